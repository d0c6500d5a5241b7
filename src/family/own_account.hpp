// What a worker process has used so far, as it tells its board.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "board/owner.hpp"
#include "family/roster.hpp"
#include "os/memory_pressure.hpp"

namespace shard::family {

class own_account {
 public:
  // Of this process, which has just been forked: what it has in memory now is its parent's.
  explicit own_account(const roster& family) noexcept;

  // Nothing: the system doesn't tell. Its peak of memory is that of the process's life.
  std::optional<board::account> give() noexcept;

 private:
  using clock = std::chrono::steady_clock;

  void measure(const os::memory_glance& now) noexcept;

  const roster& family_;
  os::memory_glance at_birth_ = os::glance_at_own_memory();
  std::size_t peak_in_memory_ = at_birth_.peak_bytes;  // of both kinds, when it was looked last
  std::size_t peak_ = 0;
  clock::time_point measure_due_;
};

}  // namespace shard::family
