// Waiting on a word of memory that processes share. futex(2).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <thread>

namespace shard::os {

// A bit for each who waits, or for several: they can be woken apart from others.
using sleepers = std::uint32_t;
constexpr sleepers everybody = ~sleepers{0};

// Returns when woken, when `word` isn't `expected` any more, at the deadline, or for no reason.
void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::optional<std::chrono::steady_clock::time_point> until = {},
                sleepers as = everybody) noexcept;

// Wakes at most so many of those who wait.
void futex_wake(const std::atomic<std::uint32_t>& word, unsigned most,
                sleepers whom = everybody) noexcept;
void futex_wake_all(const std::atomic<std::uint32_t>& word) noexcept;

// The same for one or two words of memory that others may know as something else, side by side and
// at a multiple of their size. Returns when one of them isn't as expected any more, too. Who wakes
// needs to know the first one only. The memory may be mapped for reading alone.
void futex_wait_words(const void* first, std::span<const std::uint32_t> expected,
                      std::optional<std::chrono::steady_clock::time_point> until) noexcept;
void futex_wake_words(const void* first, unsigned most) noexcept;

// Between two looks at a word that another processor is about to change.
inline void pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace shard::os
