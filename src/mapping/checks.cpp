#include "mapping/checks.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "memory/granted.hpp"
#include "memory/segment.hpp"
#include "os/headroom.hpp"
#include "shard/error.hpp"

namespace shard::mapping {

using detail::grant;
using detail::job;
using detail::space;

namespace {

// "argument 2 (squares.npy)", counted among those that are buffers.
std::string name_of(const job& what, const grant& one) {
  const std::string place = "argument " + std::to_string(number_among_buffers(what, one));
  return one.owner ? place + " (" + one.owner->name() + ")" : place;
}

// Outputs must have a row for every index; for a count, exactly those.
void check_outputs(const job& what, const plan::partition& chunks) {
  const space& where = what.where;
  for (const grant& one : what.grants) {
    if (!one.partitioned) continue;
    if (one.by_chunk) {
      if (one.rows == chunks.chunks()) continue;
      throw error(std::errc::invalid_argument, "cannot map to " + name_of(what, one) + ": found " +
                                                   std::to_string(one.rows) + " rows, expected " +
                                                   std::to_string(chunks.chunks()) +
                                                   ", one for each chunk");
    }
    if (where.by == space::cut::tiled) {
      if (one.rows == where.rows && one.columns == where.columns) continue;
      throw error(std::errc::invalid_argument,
                  "cannot map tiles to " + name_of(what, one) + ": found " +
                      std::to_string(one.rows) + " x " + std::to_string(one.columns) +
                      " elements, expected " + std::to_string(where.rows) + " x " +
                      std::to_string(where.columns));
    }
    const bool fits = where.whole ? one.rows == where.all.last : one.rows >= where.all.last;
    if (fits) continue;
    throw error(std::errc::invalid_argument,
                "cannot map to " + name_of(what, one) + ": found " + std::to_string(one.rows) +
                    " rows, expected " + (where.whole ? "" : "at least ") +
                    std::to_string(where.all.last) + ", one for each index");
  }
}

void check_memory(const job& what) {
  for (const grant& one : what.grants) {
    if (one.owner) {
      one.owner->require(one.rights);
      continue;
    }
    throw error(std::errc::invalid_argument,
                "cannot map with " + name_of(what, one) +
                    ": found a buffer that was closed or moved from, expected one with memory");
  }
}

// A chunk that is run again must find what its first run found: nothing but its own slice may stand
// for the elements that it writes.
void check_outputs_are_apart(const job& what) {
  for (const grant& output : what.grants) {
    if (!output.partitioned) continue;
    const auto uses = std::ranges::count_if(
        what.grants, [&](const grant& one) { return one.owner->same_memory(*output.owner); });
    if (uses == 1) continue;
    throw error(std::errc::invalid_argument,
                "cannot map to " + name_of(what, output) +
                    ": found a buffer that is an output and another argument, expected an output "
                    "that is nothing else: a chunk that is run again would read what it wrote");
  }
}

}  // namespace

std::size_t number_among_buffers(const job& what, const grant& one) {
  const grant* const first = what.grants.data();
  return static_cast<std::size_t>(
             std::count_if(first, &one, [](const grant& before) { return !before.is_spill; })) +
         1;
}

void check_chunks(const plan::partition& chunks) {
  constexpr std::size_t most = std::size_t{1} << 40;
  if (chunks.chunks() <= most) return;
  throw error(std::errc::value_too_large,
              "cannot plan the map: found " + std::to_string(chunks.chunks()) +
                  " chunks, expected at most " + std::to_string(most) + ": use a larger grain");
}

void check_arguments(const job& what, const plan::partition& chunks) {
  check_memory(what);
  check_outputs_are_apart(what);
  check_outputs(what, chunks);
}

void check_headroom(const board::dimensions& size) {
  std::size_t wanted = 0;
  const auto add = [&wanted](std::size_t count, std::size_t bytes) {
    std::size_t all = 0;
    if (__builtin_mul_overflow(count, bytes, &all) ||
        __builtin_add_overflow(wanted, all, &wanted)) {
      wanted = std::numeric_limits<std::size_t>::max();
    }
  };
  add(3 * std::size_t{size.slots}, size.accumulator_bytes);
  add(size.slots, size.undo_bytes);
  add(size.chunks, size.partial_bytes);
  if (wanted < std::size_t{1} << 20) return;
  const os::headroom found = os::memory_headroom(wanted);
  if (wanted <= found.available_bytes) return;
  throw error(std::errc::not_enough_memory,
              "cannot map: found " + std::to_string(found.available_bytes) + " bytes available (" +
                  found.limit + "), expected " + std::to_string(wanted) +
                  " for the reductions and old values of " + std::to_string(size.slots) +
                  " workers and " + std::to_string(size.chunks) + " chunks: use fewer");
}

void check_mappings(const job& what) {
  for (const grant& one : what.grants) memory::map_again(*one.owner, one.rights);
}

}  // namespace shard::mapping

namespace shard::detail {

void refuse_negative_count(long long count) {
  throw error(std::errc::invalid_argument, "cannot map: found a count of " + std::to_string(count) +
                                               ", expected one that is not negative");
}

void refuse_unequal_outputs(std::size_t first, std::size_t other) {
  throw error(std::errc::invalid_argument, "cannot map to outputs of different size: found " +
                                               std::to_string(other) + " elements, expected " +
                                               std::to_string(first) + ", as the first one has");
}

void refuse_empty_step() {
  throw error(std::errc::invalid_argument,
              "cannot plan the map: found tiles with a step of 0, expected at least 1");
}

void refuse_too_many_tiles() {
  throw error(std::errc::value_too_large,
              "cannot plan the map: found more tiles than can be counted, expected a larger step");
}

}  // namespace shard::detail
