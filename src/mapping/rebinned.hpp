// Fewer bins: neighbours are added up.
#pragma once

#include <cstddef>
#include <span>

#include "shard/bin_table.hpp"

namespace shard::mapping {

// How many neighbours become one, for at most `most` bins: if they can, so many that all are alike.
std::size_t bins_together(std::size_t bins, std::size_t most);

// The table with groups[i] neighbours on axis i as one bin; the last one may have fewer. Underflow
// and overflow stay. Requires: a checked table; groups of one or more, for each axis.
bin_table rebinned(const bin_table& from, std::span<const std::size_t> groups);

}  // namespace shard::mapping
