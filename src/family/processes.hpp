// A run in processes that are started for it.
#pragma once

#include <chrono>
#include <optional>

#include "family/crew.hpp"
#include "family/launch.hpp"

namespace shard::family {

class process_run {
 public:
  // Starts it. all: must outlive this. Throws shard::error if it can't be started.
  process_run(const crew& all, bool allow_threads);
  process_run(const process_run&) = delete;
  process_run& operator=(const process_run&) = delete;
  // Ends what still works, at once.
  ~process_run();

  // Waits until nobody works any more; heeds signals meanwhile: the first one stops the run, the
  // second one ends it at once. report_progress: called about every tick, if there is one. What it
  // throws ends the run. False: the time is over.
  bool wait(const on_tick& report_progress,
            std::optional<std::chrono::steady_clock::time_point> until = {});

  // Ends it at once.
  void cancel();

 private:
  void start();
  bool wait_for_the_end(const on_tick& report_progress,
                        std::optional<std::chrono::steady_clock::time_point> until);
  void hear_of_the_end();

  const crew& all_;
  os::child_exit how_;
  std::optional<launch> family_;  // nothing: nobody works any more
  int births_ = 0;
};

}  // namespace shard::family
