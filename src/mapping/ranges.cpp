#include "mapping/ranges.hpp"

#include <algorithm>

namespace shard::mapping {

std::size_t indices_in(std::span<const range> ranges) noexcept {
  std::size_t sum = 0;
  for (const range part : ranges) sum += part.size();
  return sum;
}

void append(std::vector<range>& to, range part) {
  if (part.empty()) return;
  if (!to.empty() && to.back().last == part.first) {
    to.back().last = part.last;
  } else {
    to.push_back(part);
  }
}

std::vector<range> joined(std::span<const range> some, std::span<const range> others) {
  std::vector<range> both;
  while (!some.empty() || !others.empty()) {
    const bool first = others.empty() || (!some.empty() && some[0].first < others[0].first);
    std::span<const range>& from = first ? some : others;
    append(both, from[0]);
    from = from.subspan(1);
  }
  return both;
}

std::vector<range> indices_at(const detail::strided_order& order, std::span<const range> places) {
  if (indices_in(places) == order.all.size()) return {places.begin(), places.end()};
  std::vector<bool> found(order.all.size());
  for (const range part : places) {
    for (std::size_t place = part.first; place < part.last;) {
      // What is left of the part in one chunk.
      const std::size_t end = std::min(part.last, order.places(order.chunk_at(place)).last);
      std::size_t index = order.index_at(place);
      for (; place < end; ++place, index += order.stride) found[index - order.all.first] = true;
    }
  }
  std::vector<range> indices;
  for (std::size_t k = 0; k < found.size(); ++k) {
    if (found[k]) append(indices, {order.all.first + k, order.all.first + k + 1});
  }
  return indices;
}

std::vector<range> without(std::span<const range> all, std::span<const range> taken) {
  std::vector<range> rest;
  for (const range part : all) {
    std::size_t at = part.first;
    // What is taken may reach beyond this part, into the next one.
    while (!taken.empty() && taken[0].first < part.last) {
      if (at < taken[0].first) append(rest, {at, taken[0].first});
      at = std::clamp(taken[0].last, at, part.last);
      if (taken[0].last > part.last) break;
      taken = taken.subspan(1);
    }
    append(rest, {at, part.last});
  }
  return rest;
}

}  // namespace shard::mapping
