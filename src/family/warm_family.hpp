// The caller's side of a pool's family: starts it, hands it runs, waits for them, and ends it.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "board/board.hpp"
#include "family/crew.hpp"
#include "family/launch.hpp"
#include "family/run_queue.hpp"
#include "family/service.hpp"
#include "family/spawning.hpp"
#include "memory/lending.hpp"

namespace shard::family {

class warm_family final : public memory::borrower {
 public:
  struct order {
    unsigned workers = 1;
    unsigned threads_per_worker = 0;  // 0: nobody has said anything
    bool pin = false;
    bool allow_threads = false;
    bool prefix_output = false;
    int held = -1;  // see crew
    std::chrono::nanoseconds spin{};
    unsigned processors = 1;
    service::make_task make = nullptr;
    std::optional<fresh_program> program = {};  // that its supervisor is; nothing: a fork
  };

  // Throws shard::error if it can't be started.
  explicit warm_family(const order& what);
  // Ends it: runs that are not over are called off.
  ~warm_family() override;
  warm_family(const warm_family&) = delete;
  warm_family& operator=(const warm_family&) = delete;

  run_queue& runs() noexcept { return runs_; }
  const roster& family() const noexcept { return runs_.family(); }

  // Submits what stands in the assignment. Requires: its board and its packed bytes are in place.
  void submit(door::run number);

  // Returns once the run is over, or nobody is left. listen(): called about every tick, if there is
  // one; it may throw. all: of that run, for signals. False: the time is over.
  bool wait(door::run number, const crew& all, const on_tick& listen,
            std::optional<std::chrono::steady_clock::time_point> until = {});
  // That a request to stop is on a board: whoever waits looks at it. Any thread may call it.
  void tell_of_a_request() const noexcept;
  // The family ends the run at once: kills who works on it.
  void cancel(door::run number) noexcept;

  // Waits until all that workers have printed is passed on. Requires: all runs are over.
  void wait_for_output() const;
  // Names the stacks of a run's failures. Requires: it is over.
  void name_stacks(door::run number);

  // So many supervisors have died that it had better be replaced while nothing is under way: not
  // many more are borne.
  bool is_worn() const noexcept {
    return family().takeovers().load(std::memory_order_relaxed) > deaths_borne / 2;
  }
  // Nobody is left, or none that can work.
  bool has_ended() const noexcept { return ended_; }

  void give_back(std::uint64_t buffer) noexcept override;

 private:
  void start(bool again);
  launch::birth birth_of(bool again);
  bool nobody_comes_for_anything() noexcept;
  void stop_waiting_for_it() noexcept;
  bool looks_pay_off() noexcept;
  bool may_look(door::run number, unsigned workers) const noexcept;
  void look_for_the_end(door::run number) const noexcept;
  std::optional<std::chrono::steady_clock::time_point> call_for_help() noexcept;
  bool sleep(const crew* all, const on_tick& listen,
             std::optional<std::chrono::steady_clock::time_point> until);
  void hear_of_the_end();
  void be_ended() noexcept;
  void finish();

  order what_;
  run_queue runs_;
  const door& door_;
  std::mutex closing_;  // buffers
  service service_;
  briefing brief_;
  std::optional<spawning> spawned_;  // the last one
  std::optional<launch> launch_;
  int births_ = 0;
  bool given_up_ = false;  // the program that was to be the supervisor
  // In the family's processes: where the caller had buffers.
  std::vector<memory::live_segment> inherited_;
  std::vector<mapped> forsaken_;
  bool ended_ = false;
  // The runs for which help was called, and is going to be called.
  door::run called_for_ = 0;
  door::run waited_for_ = 0;
  std::chrono::steady_clock::time_point help_is_due_;
  // The last run for which the caller slept at once, though it was short, and how many there were
  // in a row.
  std::chrono::steady_clock::time_point slept_{};
  int turns_ = 0;
};

}  // namespace shard::family
