#include "mapping/replay.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
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

// What the map would run of what is wanted: a part of each of its chunks from one on.
struct selection {
  std::size_t first_chunk = 0;
  std::vector<range> parts;  // places
  std::size_t indices = 0;
};

std::string text_of(const replayed& wanted) {
  if (wanted.chunk) return "chunk " + std::to_string(*wanted.chunk);
  const std::string stride =
      wanted.stride == 1 ? "" : " in steps of " + std::to_string(wanted.stride);
  return "the indices " + text_of(wanted.indices) + stride;
}

[[noreturn]] void refuse(const plan::partition& whole, const replayed& wanted) {
  throw error(std::errc::invalid_argument,
              "cannot replay map " + std::to_string(wanted.map) + ": found " + text_of(wanted) +
                  " in SHARD_REPLAY, expected some of the " + std::to_string(whole.indices()) +
                  " that it maps in " + text_of(whole.all()) + ", in " +
                  std::to_string(whole.chunks()) + " chunks");
}

// Of a chunk of a strided space, those of its places whose indices lie in a range.
range places_in(const detail::strided_order& order, std::size_t chunk, range indices) {
  const range places = order.places(chunk);
  const std::size_t base = order.all.first + chunk;
  const auto place_from = [&](std::size_t index) {  // of the first index that is not below
    const std::size_t steps =
        index <= base ? 0 : (index - base) / order.stride + ((index - base) % order.stride != 0);
    return steps < places.size() ? places.first + steps : places.last;
  };
  return {place_from(indices.first), place_from(indices.last)};
}

selection strides_of(const plan::partition& whole, const replayed& wanted) {
  const detail::strided_order order = whole.order();
  const range& indices = wanted.indices;
  if (indices.first < order.all.first || indices.last > order.all.last) refuse(whole, wanted);
  selection found;
  std::size_t last_chunk = whole.chunks();
  if (wanted.stride != 1) {
    if (wanted.stride != order.stride) refuse(whole, wanted);
    found.first_chunk = (indices.first - order.all.first) % order.stride;
    last_chunk = found.first_chunk + 1;
  }
  for (std::size_t chunk = found.first_chunk; chunk < last_chunk; ++chunk) {
    found.parts.push_back(places_in(order, chunk, indices));
    found.indices += found.parts.back().size();
  }
  return found;
}

selection parts_of(const plan::partition& whole, const replayed& wanted) {
  if (wanted.chunk) {
    if (*wanted.chunk >= whole.chunks()) refuse(whole, wanted);
    const range chunk = whole[*wanted.chunk];
    return {*wanted.chunk, {chunk}, chunk.size()};
  }
  if (whole.stride() != 0) return strides_of(whole, wanted);
  selection found;
  found.first_chunk = first_chunk_beyond(whole, wanted.indices.first);
  for (std::size_t chunk = found.first_chunk;
       chunk < whole.chunks() && whole[chunk].first < wanted.indices.last; ++chunk) {
    found.parts.push_back({std::max(whole[chunk].first, wanted.indices.first),
                           std::min(whole[chunk].last, wanted.indices.last)});
    found.indices += found.parts.back().size();
  }
  if (found.indices != wanted.indices.size() || wanted.stride != 1) refuse(whole, wanted);
  return found;
}

std::vector<range> all_of(const plan::partition& whole) {
  std::vector<range> all;
  for (std::size_t chunk = 0; chunk < whole.chunks(); ++chunk) append(all, whole[chunk]);
  return all;
}

// The numbers of the chunks that are not run as a whole.
std::vector<range> missing_from(const selection& run, const plan::partition& whole) {
  std::vector<range> missing;
  for (std::size_t chunk = 0; chunk < whole.chunks(); ++chunk) {
    const bool is_touched = chunk >= run.first_chunk && chunk - run.first_chunk < run.parts.size();
    if (is_touched && run.parts[chunk - run.first_chunk] == whole[chunk]) continue;
    append(missing, {chunk, chunk + 1});
  }
  return missing;
}

// A kernel that has the number of its chunk is never called with a part of it.
void check_whole(const selection& chosen, const plan::partition& whole, const replayed& wanted) {
  if (!whole.is_kept_whole()) return;
  for (std::size_t k = 0; k < chosen.parts.size(); ++k) {
    if (chosen.parts[k] == whole[chosen.first_chunk + k]) continue;
    throw error(std::errc::invalid_argument,
                "cannot replay map " + std::to_string(wanted.map) + ": found " + text_of(wanted) +
                    " in SHARD_REPLAY, expected whole chunks, since its kernel has their numbers");
  }
}

void run_all(const detail::job& what, const plan::partition& chunks, std::size_t first_chunk) {
  const state_layout states(what.reductions);
  const auto partial = board::run_memory(states.partial_bytes, os::sharing::none);
  const auto accumulators = board::run_memory(states.accumulator_bytes, os::sharing::none);
  const inside_a_map here(inside_a_map::where::this_thread);
  const chunk_runner runner(what, chunks, states, output_padding::of(what),
                            memory::data_here(what.grants), {.first_chunk = first_chunk});
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
  const selection chosen = parts_of(whole, wanted);
  check_whole(chosen, whole, wanted);
  run_all(what, plan::partition::listed({whole.all(), chosen.parts}), chosen.first_chunk);
  index_sets sets;
  for (const range part : chosen.parts) append(sets.completed, part);
  sets.not_tried = without(all_of(whole), sets.completed);
  sets.missing_chunks = missing_from(chosen, whole);
  const bool complete = sets.missing_chunks.empty();
  settle_reducers(what, complete);
  if (whole.stride() != 0) {
    sets.completed = indices_at(whole.order(), sets.completed);
    sets.not_tried = indices_at(whole.order(), sets.not_tried);
  }
  return report(std::move(sets), {},
                {.map = wanted.map, .chunks = whole.chunks(), .grain = whole.grain(), .workers = 1},
                std::chrono::steady_clock::now() - began,
                complete ? "" : "SHARD_REPLAY has run " + text_of(wanted) + " and no others");
}

}  // namespace shard::mapping
