// A limit on a worker's memory, that another worker begins below again.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "family/roster.hpp"
#include "os/memory_pressure.hpp"

namespace shard::family {

class memory_limit {
 public:
  // Of this process. At first there is none.
  explicit memory_limit(const roster& family) noexcept : family_(family) {}

  // 0: none.
  void set(std::size_t private_bytes) noexcept { private_bytes_ = private_bytes; }

  // Asked between chunks.
  bool is_exceeded();

 private:
  using clock = std::chrono::steady_clock;

  std::size_t private_bytes_ = 0;
  const roster& family_;
  clock::time_point glance_due_{};
  std::optional<clock::time_point> measure_due_{};  // nothing: never asked
  os::memory_glance then_{};  // when it was measured: at first nothing was, and nothing taken
  std::size_t measured_ = 0;
};

}  // namespace shard::family
