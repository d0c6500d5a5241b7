// The failures that a board has room for, as the report tells them.
#pragma once

#include <cstddef>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "board/board.hpp"
#include "plan/partition.hpp"
#include "shard/report.hpp"

namespace shard::mapping {

// Tells each failure once, while the run goes on: for the caller's process. The functions of a
// stack have no lines before the run is over.
class new_failures {
 public:
  new_failures(const board::board& on, const plan::partition& chunks);

  // What was recorded since the last call, in the order in which it was recorded.
  std::vector<failure> take();

 private:
  using attempt_at = std::pair<std::size_t, unsigned>;  // a chunk, and which of its attempts

  bool stands(const attempt_at& which) const;

  const board::board& board_;
  const plan::partition& chunks_;
  std::size_t seen_ = 0;              // records that were looked at
  std::vector<std::size_t> waiting_;  // of these, the ones that are not complete or not judged yet
  std::set<attempt_at> taken_;
};

// Once the run is over: all failures, in the order of chunks and attempts; those that blame no
// chunk come last.
std::vector<failure> all_failures(const board::board& on, const plan::partition& chunks);

// Whether it was at a chunk.
inline bool is_at(const failure& one) noexcept { return !one.indices.empty() || one.empty_part; }

// failure::kind of the failure, as a text that lives as long as the program.
std::string_view kind_of(const failure& one) noexcept;

}  // namespace shard::mapping
