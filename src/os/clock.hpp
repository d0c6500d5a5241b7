// Moments, as system calls take them.
#pragma once

#include <algorithm>
#include <chrono>
#include <ctime>

namespace shard::os {

// By a moment's own clock: CLOCK_MONOTONIC for the steady one, CLOCK_REALTIME for the system's. One
// before its start is its start.
template <class Clock, class Duration>
timespec since_start(std::chrono::time_point<Clock, Duration> moment) noexcept {
  using namespace std::chrono;
  const auto since = std::max(duration_cast<nanoseconds>(moment.time_since_epoch()), 0ns);
  const auto whole = duration_cast<seconds>(since);
  return {static_cast<std::time_t>(whole.count()), static_cast<long>((since - whole).count())};
}

}  // namespace shard::os
