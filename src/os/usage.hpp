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
};

usage usage_of(const struct rusage& by) noexcept;
std::optional<usage> own_usage() noexcept;  // nothing: the system does not tell

}  // namespace shard::os
