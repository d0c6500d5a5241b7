// What a finished run has left on its board: which chunks are committed, their reductions,
// failures.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "board/board.hpp"
#include "family/roster.hpp"
#include "mapping/chunk_runner.hpp"
#include "mapping/units.hpp"
#include "os/anonymous.hpp"
#include "plan/partition.hpp"
#include "shard/detail/job.hpp"
#include "shard/report.hpp"

namespace shard::mapping {

// What a family had counted when a run began.
struct counted_before {
  std::size_t takeovers = 0;
  std::size_t output_lost = 0;
  std::chrono::nanoseconds forking{};
  std::chrono::nanoseconds output_stalled{};

  counted_before() = default;
  explicit counted_before(const family::roster& by) noexcept;
};

// What a complete map has.
index_sets all_completed(const plan::partition& chunks);

// Who could work on a run.
struct workforce {
  unsigned workers = 1;  // at the same time
  bool processes = false;
  std::size_t memory_limit_bytes = 0;  // of each; 0: none
  std::size_t carried_over = 0;        // chunks that were done before
};

// Behind the last merge of a map: what reducers do then. complete: the map is.
void settle_reducers(const detail::job& what, bool complete);

// Requires: nobody works on the run.
class outcome {
 public:
  outcome(const board::board& on, const family::roster& who, const plan::partition& chunks,
          const counted_before& before = {});

  bool complete() const noexcept { return complete_; }

  // Adds every committed chunk's reductions to the reducers: ordered ones in the order of the
  // chunks, commutative ones in the order of the slots.
  void merge(const std::vector<detail::reduction>& reductions, const state_layout& states) const;

  // The same while others work: of one reduction, and into that reducer.
  void merge_published(const detail::reduction& one, std::size_t number, const state_layout& states,
                       void* into) const;
  // The final indices; see report::completed().
  std::vector<range> completed() const;
  // The same as places, which are the indices unless the space is strided.
  std::vector<range> completed_places() const;
  // What of a chunk is final: places, ascending and apart. An empty chunk is itself, or nothing.
  std::vector<range> completed_in(std::size_t chunk) const;

  report report_on(std::size_t map, seconds elapsed, const workforce& who) const;

 private:
  // A chunk in quarantine when the run ended: its first indices are committed.
  struct begun {
    std::size_t indices = 0;
    std::unique_ptr<os::anonymous_memory> partial;  // of those; null: of none
  };

  // Of a chunk whose units are not all done, what is lost: offsets of indices, ascending.
  struct losses {
    std::vector<range> failed;
    std::vector<range> all;        // with what was not tried
    std::size_t failed_units = 0;  // one by one
  };

  std::size_t sets_of(const state_layout& states) const noexcept;
  void find_committed();
  void find_lost();
  void add_lost(std::size_t chunk);
  std::vector<range> failed_in(std::size_t chunk) const;
  index_sets sets() const;
  bool is_all_or_nothing(std::size_t chunk) const;
  bool is_whole(std::size_t chunk) const;
  std::vector<range> missing_chunks() const;
  std::size_t last_failures(std::size_t chunk) const;
  std::vector<chunk_record> chunk_records(std::span<const failure> failures) const;
  std::string trouble() const;

  const board::board& board_;
  const family::roster& roster_;
  const plan::partition& chunks_;
  units units_;
  counted_before before_;
  bool complete_ = false;
  // Empty if all is complete.
  std::vector<bool> committed_;
  std::map<std::size_t, begun> begun_;
  std::map<std::size_t, losses> lost_;
};

}  // namespace shard::mapping
