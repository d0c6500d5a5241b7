// How an index range is cut into chunks: pure functions of their arguments, so that the same call
// has the same chunks on every machine and at every number of workers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "shard/plan.hpp"
#include "shard/range.hpp"

namespace shard::plan {

// Consecutive chunks of an index range.
class partition {
 public:
  // Chunks of `grain` indices, the last one shorter. Throws shard::error if grain is 0.
  static partition uniform(range all, std::size_t grain);

  // As given. Throws shard::error if parts overlap, descend, are empty or leave `all`.
  static partition listed(const chunk_list& list);

  // Throws shard::error if a cost is negative or not finite, or their number is not all.size().
  static partition balanced(const weighted& items);

  std::size_t chunks() const noexcept { return chunks_; }
  std::size_t grain() const noexcept { return grain_; }  // 0: chunks are listed one by one
  range all() const noexcept { return all_; }
  // The chunks, if they are listed one by one.
  std::span<const range> parts() const noexcept { return parts_; }
  range operator[](std::size_t chunk) const noexcept {
    if (grain_ == 0) return parts_[chunk];
    const std::size_t first = all_.first + chunk * grain_;
    return {first, first + std::min(grain_, all_.last - first)};
  }

  // How many indices lie in all chunks together: all().size(), or less for a list with gaps.
  std::size_t indices() const noexcept { return indices_; }

 private:
  partition(range all, std::vector<range> parts);

  range all_;
  std::size_t grain_ = 0;
  std::size_t chunks_ = 0;
  std::size_t indices_ = 0;
  std::vector<range> parts_;
};

// The grain of a map that names none. It gives about 4096 chunks, and never fewer than 1024, unless
// there are fewer indices. Within that, the chunk borders of every output fall on the largest
// blocks possible: on pages if an output is large, else on cache lines, else on halves of them, and
// so on. row_bytes: for each output, the bytes that one index owns.
std::size_t default_grain(std::size_t indices, std::span<const std::size_t> row_bytes) noexcept;

}  // namespace shard::plan
