// Where the time and the memory of a run went, by what is on its board.
#pragma once

#include <span>
#include <vector>

#include "board/board.hpp"
#include "shard/report.hpp"

namespace shard::mapping {

// What comes from the board. workers: that could work at the same time. chunks: the records of the
// run; none without record_chunks.
run_resources resources_of(const board::board& on, unsigned workers, seconds elapsed,
                           std::span<const chunk_record> chunks);

// What comes from the records: the slowest and the median chunk, and how busy each worker was.
// Requires: `workers` are in the order of their numbers.
void add_records(run_resources& to, seconds elapsed, std::span<const chunk_record> chunks);

// What comes from the workers: how large the parts of their time are.
void add_shares(run_resources& to, seconds elapsed);

}  // namespace shard::mapping
