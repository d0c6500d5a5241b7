// What a run gives up one by one: single indices, unless a run has more than a board can mark, or
// keeps its chunks whole.
#pragma once

#include <algorithm>
#include <cstddef>

#include "plan/partition.hpp"
#include "shard/range.hpp"

namespace shard::mapping {

class units {
 public:
  // So many marks are 2 GiB of address space, of which only what is marked is ever touched.
  static constexpr std::size_t most_marks = std::size_t{1} << 34;

  explicit units(const plan::partition& chunks, std::size_t most = most_marks) noexcept
      : chunks_(&chunks),
        size_(chunks.all().size() / most + 1),
        spread_(size_ != 1 || chunks.has_empty()),
        whole_(chunks.is_kept_whole()) {}

  // Indices in a unit; the last one of a chunk has fewer. If chunks are kept whole: on average.
  std::size_t size() const noexcept {
    return whole_ ? chunks_->indices() / std::max<std::size_t>(1, chunks_->chunks()) : size_;
  }

  // How many units there are, over all chunks. Chunks don't share one; some may be nobody's.
  std::size_t total() const noexcept {
    if (whole_) return chunks_->chunks();
    return chunks_->all().size() / size_ + (spread_ ? chunks_->chunks() + 1 : 0);
  }
  std::size_t first_of(std::size_t chunk) const noexcept {
    if (whole_) return chunk;
    const std::size_t at = ((*chunks_)[chunk].first - chunks_->all().first) / size_;
    return spread_ ? at + chunk : at;
  }
  // At least one: that of an empty chunk has no index.
  std::size_t in(std::size_t chunk) const noexcept {
    if (whole_) return 1;
    return std::max<std::size_t>(1, ((*chunks_)[chunk].size() + size_ - 1) / size_);
  }

  // The offsets of indices that the units [first, last) of a chunk are; last may be out of it.
  range offsets(std::size_t chunk, std::size_t first, std::size_t last) const noexcept {
    const std::size_t all = (*chunks_)[chunk].size();
    const auto offset = [&](std::size_t unit) {
      if (whole_) return unit == 0 ? 0 : all;
      return unit > all / size_ ? all : std::min(all, unit * size_);
    };
    return {offset(first), offset(last)};
  }
  // The indices themselves.
  range indices(std::size_t chunk, std::size_t first, std::size_t last) const noexcept {
    const range part = offsets(chunk, first, last);
    const std::size_t begin = (*chunks_)[chunk].first;
    return {begin + part.first, begin + part.last};
  }

 private:
  const plan::partition* chunks_;
  std::size_t size_;
  bool spread_;  // each chunk has room for one unit more
  bool whole_;   // a chunk is a unit
};

}  // namespace shard::mapping
