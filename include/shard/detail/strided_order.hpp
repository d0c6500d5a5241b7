// The order in which a strided space has its indices: chunk by chunk. Each index has a place. The
// places of a chunk lie side by side, and all places together are the same numbers as all indices.
// Not for users.
#pragma once

#include <algorithm>
#include <cstddef>

#include "shard/range.hpp"

namespace shard::detail {

struct strided_order {
  range all;
  std::size_t stride = 1;  // at least 1

  constexpr std::size_t chunks() const noexcept { return std::min(stride, all.size()); }

  // Requires: chunk < chunks().
  constexpr range places(std::size_t chunk) const noexcept {
    const std::size_t rows = all.size() / chunks();
    const std::size_t longer = all.size() % chunks();  // so many chunks have an index more
    const std::size_t first = all.first + chunk * rows + std::min(chunk, longer);
    return {first, first + rows + (chunk < longer ? 1 : 0)};
  }

  // Requires: the place is one of all.
  constexpr std::size_t chunk_at(std::size_t place) const noexcept {
    const std::size_t rows = all.size() / chunks();
    const std::size_t longer = all.size() % chunks();
    const std::size_t at = place - all.first;
    const std::size_t in_longer = longer * (rows + 1);
    return at < in_longer ? at / (rows + 1) : longer + (at - in_longer) / rows;
  }
  constexpr std::size_t index_at(std::size_t place) const noexcept {
    const std::size_t chunk = chunk_at(place);
    return all.first + chunk + (place - places(chunk).first) * stride;
  }
};

}  // namespace shard::detail
