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
//
// A part may be empty, such as a group without members: {7, 7}. It is a chunk like the others: a
// kernel(range chunk, …) runs once with the empty range, so that it can give the result of an empty
// group. Reductions have what that call adds. A kernel(std::size_t i, …) is not called. The kernel
// knows which group it has by chunk_number(), and writes a result for each by out_per_chunk(). If
// the kernel fails there, failure::empty_part is set, and the part is in report::missing_chunks():
// no range of indices can name it.
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

// by_memory{.all = {0, n}, .index_bytes = 300 << 20, .budget_bytes = std::size_t{8} << 30}
//
// Chunks for kernels that need much memory of their own: index_bytes for each index of a chunk. The
// chunks that run at the same time never need more than budget_bytes together, so that fewer
// workers may run than options::workers says: at most budget_bytes / (grain * index_bytes).
//
// The grain is budget_bytes / index_bytes / 64, but at least 1, and at most all.size() / 4096,
// rounded up. So 64 chunks fit into the budget, unless 64 indices do not. The plan depends on these
// three fields only. It does not depend on what memory the machine has. Results that depend on the
// plan (ordered_sum) therefore change only if a field changes; all others never do.
//
// The budget is that of one map: maps that run at the same time, or that kernels call, have their
// own. shard does not measure what a kernel needs; options::memory_limit_bytes does. Requires:
// index_bytes >= 1. Throws shard::error, which names both figures, if index_bytes > budget_bytes.
struct by_memory {
  range all;
  std::size_t index_bytes = 0;
  std::size_t budget_bytes = 0;
};

// strided{{0, n}, 1000}
//
// Chunk k has the indices first + k, first + k + stride, first + k + 2 * stride, …: for costs that
// grow or shrink along the indices. There are `stride` chunks, or one for each index if there are
// fewer indices. Requires: stride >= 1.
//
// A chunk is no range, so the kernel is called for each index: kernel(std::size_t i, …). out() and
// inout() then give a slice of the one row i. Ordered reductions are in the order of the chunks,
// and in a chunk in that of its indices. collect with offsets is refused.
//
// A report still names indices. If a chunk is missing, each of its indices is a range of its own in
// missing(); missing_chunks() has the number of the chunk. failure::stride says how far the indices
// of a failed attempt are apart.
struct strided {
  range all;
  std::size_t stride = 0;
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
