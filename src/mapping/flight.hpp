// One run under way: its plan, its board, who works on it, and what is put right however it ends.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "board/board.hpp"
#include "family/crew.hpp"
#include "family/processes.hpp"
#include "family/run_queue.hpp"
#include "family/warm_family.hpp"
#include "mapping/board_keeper.hpp"
#include "mapping/chunk_runner.hpp"
#include "mapping/old_values.hpp"
#include "mapping/outcome.hpp"
#include "mapping/output_padding.hpp"
#include "mapping/settings.hpp"
#include "os/anonymous.hpp"
#include "plan/partition.hpp"
#include "shard/detail/job.hpp"
#include "shard/detail/packing.hpp"
#include "shard/options.hpp"
#include "shard/report.hpp"
#include "shard/run.hpp"

namespace shard::mapping {

using clock = std::chrono::steady_clock;

// How many workers may run a job at a time. Requires: its plan is settled.
unsigned most_workers_of(const detail::job& what) noexcept;

// What is settled before anything is made for a run.
struct order {
  // Throws shard::error if the job can't be run with these options. decided: they, resolved.
  order(const detail::job& what, const options& given, const settings& decided);

  clock::time_point began;
  std::size_t number;  // of the map in its program; 0: it is inside another
  settings how;
  plan::partition chunks;
  unsigned most_workers;  // at a time

  bool is_replayed() const noexcept { return number != 0 && how.replay.map == number; }
};

// Job, options and order must outlive it.
class flight {
 public:
  // Throws shard::error if there is no memory for the run. pool: whose family does it; null: who is
  // started for it. keeper: who has its board, and keeps apart what chunks in quarantine add; it
  // must outlive this; null: nobody.
  flight(const detail::job& what, const options& given, const order& settled,
         family::warm_family* pool = nullptr, board_keeper* keeper = nullptr);
  flight(const flight&) = delete;
  flight& operator=(const flight&) = delete;
  // What was begun and not completed is as it was, but for outputs, of which no padding tells. A
  // run in a pool that is not over is called off.
  ~flight();

  // Starts processes, or hands the run to its pool: it goes on without the caller then. In threads
  // and inline nothing is begun before join(). follows: it is not to be begun if the one before is
  // incomplete. awaited: join() comes next, and nothing follows.
  void begin(bool follows, bool awaited);

  // Waits for the end, merges the reductions, and says what happened. Requires: begin().
  report join();

  // Waits until nobody works on it any more. False: the time is over.
  bool await(std::optional<clock::time_point> until = {});
  // It ends at once, complete or not.
  void call_off();
  // Whether a wait for a later run is no wait for this one, since somebody wants to hear of it
  // meanwhile, or can stop it by a signal.
  bool needs_its_own_wait() const noexcept {
    return given_.on_failure || given_.on_progress || crew_.signals;
  }
  progress progress_now() const;
  std::vector<worker_status> workers_now() const;
  // As of now, while others work.
  outcome outcome_now() const { return {board_, roster_, order_.chunks, before_}; }
  const state_layout& states() const noexcept { return states_; }
  const board::board& board() const noexcept { return board_; }

  // Its board in the pool, for whoever may still look at it.
  family::lease release_place() noexcept { return std::move(ground_.place); }

 private:
  // Where its board and its family are.
  struct ground {
    os::anonymous_memory own = {};
    family::lease place = {};
    std::byte* board = nullptr;
    family::roster roster;
  };

  ground make_ground();
  std::vector<std::uint64_t> identity() const;
  bool has_nothing_to_do() const noexcept;
  void carry_out(const family::on_tick& listen);
  void name_stacks();
  family::crew make_crew();
  std::shared_ptr<const board::task> enter(std::vector<std::byte*> data, unsigned worker) const;
  family::on_tick teller() const;
  bool has_trouble() const noexcept;
  void tell_who_stopped() const;
  void tell_what_was_too_much() const;
  void tell_what_came_before() const;

  const detail::job& job_;
  const options& given_;
  const order& order_;
  family::warm_family* pool_;
  board_keeper* keeper_;
  unsigned workers_;  // the board has as many slots, or more
  state_layout states_;
  std::vector<std::byte*> data_here_;
  output_padding::paddings in_;
  old_values old_;
  output_padding padding_;
  std::vector<range> completed_;  // whose padding is clear
  std::size_t packed_bytes_ = 0;  // for the pool
  board::dimensions size_;
  ground ground_;
  board::board board_;
  family::roster roster_;
  family::crew crew_;
  counted_before before_;
  std::size_t inherited_ = 0;  // chunks that were committed before
  std::optional<std::stop_callback<std::function<void()>>> at_request_;
  std::optional<family::process_run> processes_;
  family::door::run number_ = 0;  // in its pool; 0: it was not submitted
  bool follows_ = false;
};

}  // namespace shard::mapping
