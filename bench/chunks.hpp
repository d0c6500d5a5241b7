// Chunks of one index with (almost) nothing in them: what it costs to claim and to commit one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <shard/shard.hpp>
#include <utility>

#include "budget.hpp"

namespace bench {

// One chunk in 64 leaves a mark, so that a lost chunk can be seen; no two marks share a cache line,
// so that rivals which run neighbours on different processors aren't charged for it.
inline bool leaves_mark(std::size_t i) { return i % 64 == 0; }

// map(indices, argument, kernel) maps chunks of one index.
template <class Map>
workload marks_by(std::size_t chunks, Map map) {
  const auto marks = std::make_shared<shard::buffer<std::uint8_t>>(chunks);
  const auto once = [=] {
    map(marks->size(), shard::out(*marks), [](std::size_t i, shard::slice<std::uint8_t> mark) {
      if (leaves_mark(i)) mark[i] = 1;
    });
  };
  return {[=] { return once(), digest(std::as_const(*marks).span()); },
          [=] { return time_of(once); }};
}
workload marks_by_tbb(const settings& with, std::size_t chunks);
workload marks_by_openmp(const settings& with, std::size_t chunks);

// The same with a reduction in every chunk.
template <class Map>
workload counts_by(std::size_t chunks, Map map) {
  const auto once = [=] {
    shard::counter count;
    map(chunks, shard::reduce(count),
        [](std::size_t, shard::counter::accumulator& counted) { ++counted; });
    return static_cast<std::uint64_t>(count.value());
  };
  return {once, [=] { return time_of(once); }};
}
workload counts_by_tbb(const settings& with, std::size_t chunks);

}  // namespace bench
