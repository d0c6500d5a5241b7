#include "os/usage.hpp"

#include <sys/resource.h>

namespace shard::os {
namespace {

std::chrono::microseconds duration_of(const timeval& time) {
  return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

std::optional<usage> used_by(int whom) noexcept {
  struct rusage used {};
  if (::getrusage(whom, &used) != 0) return std::nullopt;
  return usage_of(used);
}

}  // namespace

usage usage_of(const struct rusage& by) noexcept {
  return {duration_of(by.ru_utime), duration_of(by.ru_stime),
          static_cast<std::size_t>(by.ru_maxrss) * 1024, static_cast<std::size_t>(by.ru_minflt)};
}

std::optional<usage> own_usage() noexcept { return used_by(RUSAGE_SELF); }

std::optional<usage> usage_of_this_thread() noexcept { return used_by(RUSAGE_THREAD); }

}  // namespace shard::os
