// Spaces other than a plain count, range or buffer. Each says how the indices are cut into chunks.
// The plan depends on these fields only. The plan does not depend on the number of workers, on the
// machine or on the time.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "shard/range.hpp"

namespace shard {

// chunks{{0, n}, 4096}
//
// The chunks [first + k * grain, min(last, first + (k + 1) * grain)). Requires: grain >= 1.
struct chunks {
  range all;
  std::size_t grain = 0;
};

// chunk_list{{0, n}, parts}, with std::vector<range> parts
//
// The caller names each chunk. Requires: the chunks are ascending, inside `all`, and do not
// overlap. Indices between the chunks are not mapped. map copies the list.
struct chunk_list {
  range all;
  std::span<const range> parts;
};

// weighted{{0, n}, cost}, with std::vector<double> cost(n)
//
// About 4096 consecutive chunks of about equal cost: each differs from an equal share by less than
// the cost of one item. cost[k] is the cost of index all.first + k, in any unit. Requires:
// cost.size() == all.size(); every cost is finite and not negative.
struct weighted {
  range all;
  std::span<const double> cost;
};

// tiles{.shape = m.shape(), .step = {64, 64}}, with buffer<T, 2> m
//
// Rectangles of at most step[0] rows and step[1] columns. Together they cover shape[0] rows and
// shape[1] columns. Tiles are numbered row by row. Tile k is chunk k, and the indices in a report
// are numbers of tiles. Requires: step >= 1.
struct tiles {
  std::array<std::size_t, 2> shape;
  std::array<std::size_t, 2> step{256, 256};
};

}  // namespace shard
