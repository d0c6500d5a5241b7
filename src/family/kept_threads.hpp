// The threads that maps on threads use. To start them takes longer than a short map, so oneTBB
// keeps them from one map to the next.
#pragma once

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <cstddef>
#include <memory>

namespace shard::family {

// Room for so many tasks at a time, for one run.
class borrowed_arena {
 public:
  // Throws shard::error if no thread can be started.
  explicit borrowed_arena(unsigned tasks);

  oneapi::tbb::task_arena& operator*() const noexcept { return *arena_; }

 private:
  struct giving_back {
    void operator()(oneapi::tbb::task_arena* one) const noexcept;
  };

  std::size_t stack_bytes_;
  std::unique_ptr<oneapi::tbb::task_arena, giving_back> arena_;
  oneapi::tbb::global_control as_deep_;  // the stacks of threads that are started now
};

// Ends the threads that are kept, unless a run has them now, or the program uses oneTBB itself.
// Before a fork: in a process with other threads that is refused.
void end_kept_threads() noexcept;

}  // namespace shard::family
