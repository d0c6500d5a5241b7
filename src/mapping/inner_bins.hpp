// What a table has in its bins but underflow and overflow.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "shard/bin_table.hpp"

namespace shard::mapping {

// The places of these bins in the table, in its order.
inline std::vector<std::size_t> inner_bins(const bin_table& table) {
  std::vector<std::size_t> places{0};
  for (const bin_axis& along : table.axes) {
    std::vector<std::size_t> next;
    next.reserve(places.size() * along.size());
    for (const std::size_t place : places)
      for (std::size_t k = 0; k < along.size(); ++k)
        next.push_back(place * along.extent() + k + (along.underflow ? 1 : 0));
    places = std::move(next);
  }
  return places;
}

}  // namespace shard::mapping
