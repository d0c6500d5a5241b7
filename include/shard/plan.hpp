// Spaces other than a plain count, range or buffer: ways to say how the indices are cut into
// chunks. A plan is a pure function of these fields: never of the number of workers, the machine or
// the time.
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
// Chunks given one by one: ascending, inside all, without overlap; indices between them are not
// mapped. The list is copied when the map is called.
struct chunk_list {
  range all;
  std::span<const range> parts;
};

// weighted{{0, n}, cost}, with std::vector<double> cost(n)
//
// About 4096 consecutive chunks whose costs differ from an equal share by less than one item's.
// cost[k] is the cost of index all.first + k, in any unit. Requires: cost.size() == all.size();
// every cost finite and not negative.
struct weighted {
  range all;
  std::span<const double> cost;
};

// tiles{.shape = m.shape(), .step = {64, 64}}, with buffer<T, 2> m
//
// Rectangles of at most step[0] rows and step[1] columns that cover shape[0] rows and shape[1]
// columns, numbered row by row: tile k is chunk k, and a report counts tiles. Requires: step >= 1.
struct tiles {
  std::array<std::size_t, 2> shape;
  std::array<std::size_t, 2> step{256, 256};
};

}  // namespace shard
