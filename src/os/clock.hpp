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

// The steady clock to within some milliseconds, for a fraction of what to read it exactly costs.
inline std::chrono::nanoseconds coarse_now() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

}  // namespace shard::os
