// Index arithmetic of row-major arrays, and the checks that SHARD_CHECKED switches on. Not for
// users.
#pragma once

#include <array>
#include <cstddef>

#include "shard/range.hpp"

namespace shard::detail {

// Whether element access is checked. A check in every access costs a tight loop 1.7 to 3 times its
// speed, so this is a switch of its own, apart from NDEBUG. Define it for a whole program or for
// none of it: translation units that disagree would define the same templates differently.
#ifdef SHARD_CHECKED
inline constexpr bool checked = true;
#else
inline constexpr bool checked = false;
#endif

template <std::size_t Rank>
using extents = std::array<std::size_t, Rank>;

// How many elements there are. Requires: the product fits, as it does for every mapped buffer.
template <std::size_t Rank>
constexpr std::size_t volume(const extents<Rank>& shape) noexcept {
  std::size_t elements = 1;
  for (std::size_t extent : shape) elements *= extent;
  return elements;
}

// How many elements one step of the first dimension passes.
template <std::size_t Rank>
constexpr std::size_t row_volume(const extents<Rank>& shape) noexcept {
  std::size_t elements = 1;
  for (std::size_t d = 1; d < Rank; ++d) elements *= shape[d];
  return elements;
}

// How far from the first element the one at `index` is.
template <std::size_t Rank>
constexpr std::size_t offset(const extents<Rank>& shape, const extents<Rank>& index) noexcept {
  std::size_t elements = index[0];
  for (std::size_t d = 1; d < Rank; ++d) elements = elements * shape[d] + index[d];
  return elements;
}

// Each throws shard::error(argument_out_of_domain) naming the index and what was allowed.
[[noreturn]] void refuse_index(std::size_t dimension, std::size_t found, std::size_t extent);
[[noreturn]] void refuse_negative_index(std::size_t dimension, long long found);
[[noreturn]] void refuse_outside_chunk(const char* dimension, std::size_t found, range chunk);
[[noreturn]] void refuse_range(range found, std::size_t extent);
[[noreturn]] void refuse_span_of_tile(tile cells, std::size_t columns);
// Throws shard::error(invalid_argument).
[[noreturn]] void refuse_negative_extent(long long found);

template <std::size_t Rank>
constexpr void require_inside(const extents<Rank>& shape, const extents<Rank>& index) {
  for (std::size_t d = 0; d < Rank; ++d) {
    if (index[d] >= shape[d]) refuse_index(d, index[d], shape[d]);
  }
}

}  // namespace shard::detail
