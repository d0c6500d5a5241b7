// Pools for shard_chaos: random runs in them, one by one and in queues, over buffers that come and
// go meanwhile. A loop in the caller carries out the same runs, and both must agree.
#pragma once

#include <cstddef>
#include <random>

#include "process/family.hpp"

namespace shard_chaos {

// Where the maps and their killer meet.
enum : std::size_t {
  over,
  map_number,
  worker_kills,
  supervisor_kills,
  standby_kills,
  stops,
  state,  // of these:
  kills_between,
  kills_within
};
enum : int { no_pool, between_runs, within_runs };

struct pool_totals {
  std::size_t pools = 0, maps = 0, queued = 0, dropped = 0, closed = 0, thrown = 0, incomplete = 0,
              broken = 0, mismatches = 0, growth = 0;
};

// Has a pool for some rounds. Tells of what is wrong, and counts it.
void keep_a_pool(std::mt19937& random, const shard_test::family& relatives,
                 const shard_test::tally& at, pool_totals& into);

}  // namespace shard_chaos
