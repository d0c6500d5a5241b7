// Where the rows of an output lie that some indices of a map own.
#pragma once

#include <algorithm>
#include <cstddef>

#include "shard/detail/job.hpp"
#include "shard/range.hpp"

namespace shard::mapping {

// Calls visit(offset in the buffer, bytes) for what lies side by side. Of a tiled space: `indices`
// are numbers of tiles, and what lies side by side is a part of one row. Of a strided space: they
// are places of one chunk, and each is a row by itself.
template <class Visit>
void each_block(const detail::space& where, const detail::grant& of, range indices, Visit visit) {
  if (indices.empty()) return;
  if (where.by == detail::space::cut::strided) {
    std::size_t row = where.order().index_at(indices.first);
    for (std::size_t left = indices.size(); left != 0; --left, row += where.stride) {
      visit(row * of.row_bytes, of.row_bytes);
    }
    return;
  }
  if (where.by != detail::space::cut::tiled) {
    visit(indices.first * of.row_bytes, indices.size() * of.row_bytes);
    return;
  }
  const std::size_t cell_bytes = of.row_bytes / std::max<std::size_t>(where.columns, 1);
  for (const std::size_t number : indices) {
    const tile cells = where.tile_number(number);
    const std::size_t bytes = cells.cols.size() * cell_bytes;
    for (const std::size_t row : cells.rows) {
      visit(row * of.row_bytes + cells.cols.first * cell_bytes, bytes);
    }
  }
}

// The bytes of all these blocks.
inline std::size_t bytes_in(const detail::space& where, const detail::grant& of, range indices) {
  if (where.by != detail::space::cut::tiled) return indices.size() * of.row_bytes;
  std::size_t sum = 0;
  each_block(where, of, indices, [&](std::size_t, std::size_t bytes) { sum += bytes; });
  return sum;
}

}  // namespace shard::mapping
