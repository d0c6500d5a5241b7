// What a finished run has left on its board: which chunks are committed, their reductions,
// failures.
#pragma once

#include <vector>

#include "board/board.hpp"
#include "map/chunk_runner.hpp"
#include "plan/partition.hpp"
#include "shard/detail/job.hpp"
#include "shard/report.hpp"

namespace shard::mapping {

// Requires: no process of the run is left.
class outcome {
 public:
  outcome(const board::board& on, const plan::partition& chunks);

  bool complete() const noexcept { return complete_; }

  // Adds every committed chunk's reductions to the reducers: ordered ones in the order of the
  // chunks, commutative ones in the order of the slots.
  void merge(const std::vector<detail::reduction>& reductions, const state_layout& states) const;

  report report_on(seconds elapsed, unsigned workers) const;

 private:
  bool committed(std::size_t chunk) const { return complete_ || committed_[chunk]; }
  std::vector<range> completed_ranges() const;
  std::vector<failure> failures() const;

  const board::board& board_;
  const plan::partition& chunks_;
  bool complete_ = false;
  std::vector<bool> committed_;  // empty if all are
};

}  // namespace shard::mapping
