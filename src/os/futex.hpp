// Waiting on a word of memory that processes share. futex(2).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>

namespace shard::os {

// Returns when woken, when `word` isn't `expected` any more, at the deadline, or for no reason.
void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::optional<std::chrono::steady_clock::time_point> until = {}) noexcept;

void futex_wake_all(const std::atomic<std::uint32_t>& word) noexcept;

}  // namespace shard::os
