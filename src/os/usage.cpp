#include "os/usage.hpp"

#include <sys/resource.h>

namespace shard::os {
namespace {

std::chrono::microseconds duration_of(const timeval& time) {
  return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

}  // namespace

usage usage_of(const struct rusage& by) noexcept {
  return {duration_of(by.ru_utime), duration_of(by.ru_stime),
          static_cast<std::size_t>(by.ru_maxrss) * 1024};
}

std::optional<usage> own_usage() noexcept {
  struct rusage used {};
  if (::getrusage(RUSAGE_SELF, &used) != 0) return std::nullopt;
  return usage_of(used);
}

}  // namespace shard::os
