#include "mapping/output_padding.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <iterator>

#include "mapping/rows.hpp"
#include "memory/segment.hpp"

namespace shard::mapping {

output_padding::paddings output_padding::of(const detail::job& what) {
  paddings all;
  for (const detail::grant& one : what.grants) all.push_back(&one.owner->padding());
  return all;
}

output_padding::output_padding(const detail::job& of, const paddings& in,
                               const std::vector<std::byte*>& data)
    : where_(of.where) {
  for (std::size_t k = 0; k < of.grants.size(); ++k) {
    const detail::grant& one = of.grants[k];
    if (one.partitioned && *in[k]) outputs_.push_back({one, *in[k], data[k]});
  }
}

void output_padding::clear(std::size_t chunk, range indices) const noexcept {
  for (const output& one : outputs_) {
    const std::size_t row_bytes = one.granted.row_bytes;
    if (one.granted.by_chunk) {
      one.in.clear({one.data + chunk * row_bytes, row_bytes});
      continue;
    }
    each_block(where_, one.granted, indices, [&](std::size_t at, std::size_t bytes) {
      one.in.clear({one.data + at, bytes});
    });
  }
}

void output_padding::clear_begun(const board::board& on, const plan::partition& chunks,
                                 std::span<const range> completed) const noexcept {
  if (!*this) return;
  const auto is_completed = [&](range chunk) {
    const auto next = std::ranges::upper_bound(completed, chunk.first, {}, &range::first);
    return next != completed.begin() && std::prev(next)->last >= chunk.last;
  };
  for (unsigned slot = 0; slot < on.size().slots; ++slot) {
    const std::uint64_t length = on.at(slot).length.load(std::memory_order_acquire);
    for (std::uint64_t k = 0; k < length; ++k) {
      const std::size_t number = on.log(slot)[k].load(std::memory_order_relaxed);
      const range chunk = chunks[number];
      if (chunk.empty() || !is_completed(chunk)) clear(number, chunk);
    }
  }
}

}  // namespace shard::mapping
