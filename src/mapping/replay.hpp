// SHARD_REPLAY: some indices of one map, run again in the calling process for a debugger.
#pragma once

#include "mapping/settings.hpp"
#include "plan/partition.hpp"
#include "shard/detail/job.hpp"
#include "shard/report.hpp"

namespace shard::mapping {

// Runs the job on `wanted` and on nothing else, one chunk after the other, with nothing between the
// kernel and the caller: what it throws leaves this. Merges what its reductions hold. Throws
// shard::error if the map hasn't all of these indices. recorded: the report has a record of each
// chunk, whose cause is "replay" if only a part of it was run.
report replay(const detail::job& what, const plan::partition& whole, const replayed& wanted,
              bool recorded);

}  // namespace shard::mapping
