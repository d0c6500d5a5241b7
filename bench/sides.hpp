// What sides of several groups are made of.
#pragma once

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/global_control.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <shard/pool.hpp>

#include "budget.hpp"

namespace bench {

using tbb_range = tbb::blocked_range<std::size_t>;

inline std::size_t scaled(const settings& with, std::size_t full) {
  return with.quick ? std::min<std::size_t>(full, std::size_t{1} << 12) : full;
}

// What element i of an input is.
inline double start_of(std::size_t i) { return static_cast<double>(i % 1021); }

std::shared_ptr<shard::pool> pool_of(unsigned workers);

// As many threads as shard has workers, as long as the result lives.
std::shared_ptr<tbb::global_control> threads_of(const settings& with);

// Does the work until it is as fast as it gets: a worker maps the pages that it meets for the first
// time, and which chunks it meets is another matter in each run.
void warm(const settings& with, const std::function<void()>& once);

// oneTBB's parallel_for under whichever partitioner was quicker when the side was set up.
workload best_of_tbb(const settings& with, std::size_t count,
                     std::function<void(std::size_t, std::size_t)> body,
                     std::function<std::uint64_t()> result);

}  // namespace bench
