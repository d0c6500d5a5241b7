// SIGINT and SIGTERM as words to whoever listens, instead of the program's end.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <memory>

#include "os/descriptor.hpp"

namespace shard::os {

// What has come since the first of those who catch the signals began to. Any thread may ask.
class stop_signals {
 public:
  stop_signals();
  stop_signals(const stop_signals&) = delete;
  stop_signals& operator=(const stop_signals&) = delete;

  int first() const noexcept { return first_.load(std::memory_order_relaxed); }  // 0: none came
  unsigned count() const noexcept { return count_.load(std::memory_order_acquire); }

  // A descriptor that is readable for ever from the first signal on; one, from the second on.
  int has_come() const noexcept { return once_.get(); }
  int has_come_again() const noexcept { return twice_.get(); }

  bool is_of_this_process() const noexcept;
  void note(int signal) noexcept;  // async-signal-safe

  mutable unsigned catchers = 0;  // for catch_ and release_, which guard it

 private:
  std::atomic<int> first_{0};
  std::atomic<unsigned> count_{0};
  descriptor once_;
  descriptor twice_;
  pid_t process_;
};

// From now on, until as many calls of the second, the signals are noted, except for one that is
// ignored; then each has the action again that it had before, unless somebody else has set one
// since. In a child of this process they have that action at once, or from when the child has
// released what it caught itself. catch_ throws call_failed; any thread may call either. `which` is
// what the first returned, here or before the fork.
std::shared_ptr<const stop_signals> catch_stop_signals();
void release_stop_signals(const stop_signals& which) noexcept;

// Null if nobody in this process catches them.
std::shared_ptr<const stop_signals> caught_stop_signals();

}  // namespace shard::os
