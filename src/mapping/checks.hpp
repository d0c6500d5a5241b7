// What a map refuses before anything runs. Each check throws shard::error.
#pragma once

#include "board/board.hpp"
#include "plan/partition.hpp"
#include "shard/detail/job.hpp"

namespace shard::mapping {

// What messages call one of the job's grants: its number, from 1, among the arguments that are
// buffers.
std::size_t number_among_buffers(const detail::job& what, const detail::grant& one);

// A board has a few bytes for each chunk and slot: beyond this, sizes would overflow.
void check_chunks(const plan::partition& chunks);

// Every buffer has memory that this process may use so, and every output a row for each index, or
// for each chunk, and no second role.
void check_arguments(const detail::job& what, const plan::partition& chunks);

// States live in memory that is only touched as the run goes on: two published areas and a private
// one for each worker, and a partial for each chunk. So do the old values of what is changed in
// place.
void check_headroom(const board::dimensions& size);

// Does once what every worker will do with each buffer: one could only die of its failure.
void check_mappings(const detail::job& what);

}  // namespace shard::mapping
