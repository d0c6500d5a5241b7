// One run under way: its plan, its board, who works on it, and what is put right however it ends.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include "board/board.hpp"
#include "family/crew.hpp"
#include "mapping/chunk_runner.hpp"
#include "mapping/old_values.hpp"
#include "mapping/output_padding.hpp"
#include "mapping/settings.hpp"
#include "os/anonymous.hpp"
#include "plan/partition.hpp"
#include "shard/detail/job.hpp"
#include "shard/options.hpp"
#include "shard/report.hpp"

namespace shard::mapping {

using clock = std::chrono::steady_clock;

// What is settled before anything is made for a run.
struct order {
  // Throws shard::error if the job can't be run with these options.
  order(const detail::job& what, const options& given);

  clock::time_point began;
  std::size_t number;  // of the map in its program; 0: it is inside another
  settings how;
  plan::partition chunks;

  bool is_replayed() const noexcept { return number != 0 && how.replay.map == number; }
};

// Job, options and order must outlive it.
class flight {
 public:
  // Throws shard::error if there is no memory for the run.
  flight(const detail::job& what, const options& given, const order& settled);
  flight(const flight&) = delete;
  flight& operator=(const flight&) = delete;
  // What was begun and not completed is as it was, but for outputs, of which no padding tells.
  ~flight();

  // Carries the run out, merges the reductions, and says what happened.
  report wait();

 private:
  family::crew crew();
  std::shared_ptr<const board::task> enter(std::vector<std::byte*> data) const;
  family::on_tick teller() const;
  progress progress_now() const;
  bool has_trouble() const noexcept;
  void tell_who_stopped() const;
  void tell_what_was_too_much() const;

  const detail::job& job_;
  const options& given_;
  const order& order_;
  unsigned workers_;
  state_layout states_;
  std::vector<std::byte*> data_here_;
  old_values old_;
  output_padding padding_;
  std::vector<range> completed_;  // whose padding is clear
  board::dimensions size_;
  os::anonymous_memory memory_;
  board::board board_;
  family::roster roster_;
  family::crew crew_;
};

}  // namespace shard::mapping
