#include "mapping/replay.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "board/run_memory.hpp"
#include "mapping/chunk_runner.hpp"
#include "mapping/nesting.hpp"
#include "mapping/outcome.hpp"
#include "mapping/ranges.hpp"
#include "memory/granted.hpp"
#include "shard/error.hpp"

namespace shard::mapping {
namespace {

std::string text_of(range indices) {
  return "[" + std::to_string(indices.first) + ", " + std::to_string(indices.last) + ")";
}

// The number of the first chunk that ends after `index`.
std::size_t first_chunk_beyond(const plan::partition& whole, std::size_t index) {
  std::size_t low = 0;
  for (std::size_t high = whole.chunks(); low < high;) {
    const std::size_t middle = low + (high - low) / 2;
    if (whole[middle].last > index) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

// What the map would run of `wanted` in each of its chunks.
std::vector<range> parts_of(const plan::partition& whole, const replayed& wanted) {
  std::vector<range> parts;
  std::size_t found = 0;
  for (std::size_t chunk = first_chunk_beyond(whole, wanted.indices.first);
       chunk < whole.chunks() && whole[chunk].first < wanted.indices.last; ++chunk) {
    parts.push_back({std::max(whole[chunk].first, wanted.indices.first),
                     std::min(whole[chunk].last, wanted.indices.last)});
    found += parts.back().size();
  }
  if (found == wanted.indices.size()) return parts;
  throw error(std::errc::invalid_argument,
              "cannot replay map " + std::to_string(wanted.map) + ": found the indices " +
                  text_of(wanted.indices) + " in SHARD_REPLAY, expected some of the " +
                  std::to_string(whole.indices()) + " that it maps in " + text_of(whole.all()));
}

std::vector<range> all_of(const plan::partition& whole) {
  std::vector<range> all;
  for (std::size_t chunk = 0; chunk < whole.chunks(); ++chunk) append(all, whole[chunk]);
  return all;
}

void run_all(const detail::job& what, const plan::partition& chunks) {
  const state_layout states(what.reductions);
  const auto partial = board::run_memory(states.partial_bytes, os::sharing::none);
  const auto accumulators = board::run_memory(states.accumulator_bytes, os::sharing::none);
  const inside_a_map here(inside_a_map::where::this_thread);
  const chunk_runner runner(what, chunks, states, output_padding::of(what),
                            memory::data_here(what.grants));
  const auto merge = [&](bool ordered, std::byte* from) {
    for (std::size_t k = 0; k < what.reductions.size(); ++k) {
      const detail::reduction& one = what.reductions[k];
      if (one.ordered == ordered) one.merge(one, one.reducer, from + states.places[k].offset, 1, 0);
    }
  };
  runner.start(accumulators.base());
  for (std::size_t chunk = 0; chunk < chunks.chunks(); ++chunk) {
    runner.run({.chunk = chunk}, partial.base(), accumulators.base());
    merge(true, partial.base());
  }
  merge(false, accumulators.base());
}

}  // namespace

report replay(const detail::job& what, const plan::partition& whole, const replayed& wanted) {
  const auto began = std::chrono::steady_clock::now();
  const std::vector<range> parts = parts_of(whole, wanted);
  run_all(what, plan::partition::listed({whole.all(), parts}));
  settle_reducers(what, whole.indices() == wanted.indices.size());
  const std::vector<range> completed{wanted.indices};
  return report(
      {.completed = completed, .not_tried = without(all_of(whole), completed)}, {},
      {.map = wanted.map, .chunks = whole.chunks(), .grain = whole.grain(), .workers = 1},
      std::chrono::steady_clock::now() - began,
      whole.indices() == wanted.indices.size()
          ? ""
          : "SHARD_REPLAY has run the indices " + text_of(wanted.indices) + " and no others");
}

}  // namespace shard::mapping
