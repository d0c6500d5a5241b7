// How an index range is cut into chunks: pure functions of their arguments, so that the same call
// has the same chunks on every machine and at every number of workers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "shard/detail/strided_order.hpp"
#include "shard/plan.hpp"
#include "shard/range.hpp"

namespace shard::plan {

// Consecutive chunks of an index range. Those of a strided space are consecutive in another order
// of the same numbers: they are ranges of places, and each place has an index.
class partition {
 public:
  // Chunks of `grain` indices, the last one shorter. Throws shard::error if grain is 0.
  static partition uniform(range all, std::size_t grain);

  // As given. Throws shard::error if parts overlap, descend or leave `all`. They may be empty.
  static partition listed(const chunk_list& list);

  // Throws shard::error if a cost is negative or not finite, or their number is not all.size().
  static partition balanced(const weighted& items);

  // Throws shard::error if an index alone needs more than the budget.
  static partition within(const by_memory& need);

  // Throws shard::error if the stride is 0.
  static partition interleaved(const strided& cut);

  std::size_t chunks() const noexcept { return chunks_; }
  std::size_t grain() const noexcept { return grain_; }  // 0: chunks are listed one by one
  range all() const noexcept { return all_; }
  // The chunks, if they are listed one by one.
  std::span<const range> parts() const noexcept { return parts_; }
  range operator[](std::size_t chunk) const noexcept {
    if (grain_ == 0) return stride_ == 0 ? parts_[chunk] : order().places(chunk);
    const std::size_t first = all_.first + chunk * grain_;
    return {first, first + std::min(grain_, all_.last - first)};
  }

  // How many indices lie in all chunks together: all().size(), or less for a list with gaps.
  std::size_t indices() const noexcept { return indices_; }

  // Each chunk is completed as a whole, or not at all.
  void keep_whole() noexcept { whole_ = true; }
  bool is_kept_whole() const noexcept { return whole_; }

  // Whether a chunk may be empty.
  bool has_empty() const noexcept { return has_empty_; }

  // 0: places are indices.
  std::size_t stride() const noexcept { return stride_; }
  // Requires: a stride.
  detail::strided_order order() const noexcept { return {all_, stride_}; }

  // Where the indices of some places of one chunk lie: from the first to behind the last one, and
  // how far they are apart.
  struct extent {
    range indices;
    std::size_t stride = 1;
  };
  extent extent_of(range places) const noexcept;

 private:
  partition(range all, std::vector<range> parts);

  range all_;
  std::size_t grain_ = 0;
  std::size_t stride_ = 0;
  bool has_empty_ = false;
  bool whole_ = false;
  std::size_t chunks_ = 0;
  std::size_t indices_ = 0;
  std::vector<range> parts_;
};

// The grain of a space by memory, and how many such chunks fit into its budget. Requires: a single
// index does.
std::size_t grain_within(const by_memory& need) noexcept;
std::size_t chunks_at_a_time(const by_memory& need) noexcept;

// The grain of a map that names none. It gives about 4096 chunks, and never fewer than 1024, unless
// there are fewer indices. Within that, the chunk borders of every output fall on the largest
// blocks possible: on pages if an output is large, else on cache lines, else on halves of them, and
// so on. row_bytes: for each output, the bytes that one index owns.
std::size_t default_grain(std::size_t indices, std::span<const std::size_t> row_bytes) noexcept;

}  // namespace shard::plan
