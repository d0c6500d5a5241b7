#include "mapping/replay.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "board/run_memory.hpp"
#include "mapping/chunk_runner.hpp"
#include "mapping/nesting.hpp"
#include "mapping/outcome.hpp"
#include "mapping/ranges.hpp"
#include "mapping/resources.hpp"
#include "memory/granted.hpp"
#include "os/usage.hpp"
#include "shard/error.hpp"

namespace shard::mapping {
namespace {

using steady = std::chrono::steady_clock;

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

// What the caller has spent since this was made, as the one worker that it is.
class one_account {
 public:
  worker_resources so_far(std::size_t chunks) const {
    const std::optional<os::usage> now = os::usage_of_this_thread();
    worker_resources one{.processes = 1, .chunks = chunks};
    if (before_ && now) {
      one.user_time = now->user - before_->user;
      one.system_time = now->system - before_->system;
      one.page_faults = now->faults - before_->faults;
    }
    return one;
  }

 private:
  std::optional<os::usage> before_ = os::usage_of_this_thread();
};

// Calls ran(k, began) behind the k-th chunk.
void run_all(const detail::job& what, const plan::partition& chunks, std::size_t first_chunk,
             const std::function<void(std::size_t, steady::time_point)>& ran) {
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
    const steady::time_point began = steady::now();
    runner.run({.chunk = chunk}, partial.base(), accumulators.base());
    ran(chunk, began);
    merge(true, partial.base());
  }
  merge(false, accumulators.base());
}

}  // namespace

report replay(const detail::job& what, const plan::partition& whole, const replayed& wanted,
              bool recorded) {
  const steady::time_point began = steady::now();
  const selection chosen = parts_of(whole, wanted);
  check_whole(chosen, whole, wanted);
  const plan::partition parts = plan::partition::listed({whole.all(), chosen.parts});
  const one_account account;
  std::vector<chunk_record> records;
  seconds ready{};
  seconds worked{};
  run_all(what, parts, chosen.first_chunk, [&](std::size_t k, steady::time_point at) {
    const seconds took = steady::now() - at;
    if (worked == seconds(0)) ready = at - began;
    worked += took;
    if (!recorded) return;
    const auto [indices, stride] = whole.extent_of(parts[k]);
    const bool is_whole = parts[k] == whole[chosen.first_chunk + k];
    records.push_back({.chunk = chosen.first_chunk + k,
                       .indices = indices,
                       .stride = stride,
                       .start = at - began,
                       .duration = took,
                       .cause = is_whole ? "" : "replay"});
  });
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
  const seconds elapsed = steady::now() - began;
  run_resources used{.recorded = recorded};
  used.workers.push_back(account.so_far(parts.chunks()));
  worker_resources& caller = used.workers.front();
  caller.began = ready;
  caller.working = worked;
  caller.ended = elapsed;
  caller.waiting = elapsed - ready - worked;
  add_shares(used, elapsed);
  if (recorded) add_records(used, elapsed, records);
  return report(std::move(sets), {},
                {.map = wanted.map, .chunks = whole.chunks(), .grain = whole.grain(), .workers = 1},
                elapsed,
                complete ? "" : "SHARD_REPLAY has run " + text_of(wanted) + " and no others",
                std::move(used), std::move(records));
}

}  // namespace shard::mapping
