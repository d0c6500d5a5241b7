// Sets of indices, as a report has them: ranges in ascending order, not empty, disjoint, and not
// adjacent.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "shard/detail/strided_order.hpp"
#include "shard/range.hpp"

namespace shard::mapping {

std::size_t indices_in(std::span<const range> ranges) noexcept;

// Adds a part that begins where the last range ends, or later. An empty part adds nothing.
void append(std::vector<range>& to, range part);

// What is in either. The two have no index in common.
std::vector<range> joined(std::span<const range> some, std::span<const range> others);

// What is in `all` and not in `taken`.
std::vector<range> without(std::span<const range> all, std::span<const range> taken);

// The indices that have these places.
std::vector<range> indices_at(const detail::strided_order& order, std::span<const range> places);

}  // namespace shard::mapping
