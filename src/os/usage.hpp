// What a process has used so far, or had used when it ended.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

struct rusage;  // <sys/resource.h>

namespace shard::os {

struct usage {
  std::chrono::microseconds user{};
  std::chrono::microseconds system{};
  std::size_t max_rss_bytes = 0;  // what was forked begins with its parent's
  std::size_t faults = 0;         // of pages, without I/O
};

usage usage_of(const struct rusage& by) noexcept;
std::optional<usage> own_usage() noexcept;  // nothing: the system does not tell
// The same of this thread; max_rss_bytes is the process's.
std::optional<usage> usage_of_this_thread() noexcept;

}  // namespace shard::os
