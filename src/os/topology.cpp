#include "os/topology.hpp"

#include <hwloc.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <exception>
#include <new>
#include <span>
#include <utility>

#include "os/calls.hpp"

namespace shard::os {
namespace {

struct bitmap_ending {
  void operator()(hwloc_bitmap_s* one) const noexcept { hwloc_bitmap_free(one); }
};
using bitmap = std::unique_ptr<hwloc_bitmap_s, bitmap_ending>;

bitmap owned(hwloc_bitmap_t made) {
  if (made == nullptr) throw std::bad_alloc();
  return bitmap(made);
}

bitmap copy_of(hwloc_const_bitmap_t from) { return owned(hwloc_bitmap_dup(from)); }

bitmap bitmap_of(const processors& these) {
  bitmap made = owned(hwloc_bitmap_alloc());
  for (unsigned k = 0; k < processors::most; ++k) {
    if (these.contains(k)) hwloc_bitmap_set(made.get(), k);
  }
  return made;
}

processors processors_of(hwloc_const_bitmap_t from) {
  processors made;
  for (int k = hwloc_bitmap_first(from); k >= 0; k = hwloc_bitmap_next(from, k)) {
    if (static_cast<unsigned>(k) < processors::most) made.insert(static_cast<unsigned>(k));
  }
  return made;
}

unsigned size_of(hwloc_const_bitmap_t of) {
  return static_cast<unsigned>(std::max(hwloc_bitmap_weight(of), 0));
}

unsigned count_of(hwloc_topology_t in, hwloc_obj_type_t what) {
  return static_cast<unsigned>(std::max(hwloc_get_nbobjs_by_type(in, what), 0));
}

// Cuts the processors into so many shares of the same size, as far as that goes, each of which is
// as close together as can be. If there are fewer processors than shares, some shares are the same.
std::vector<bitmap> shares_of(hwloc_topology_t in, unsigned count) {
  hwloc_obj_t root = hwloc_get_root_obj(in);
  std::vector<hwloc_bitmap_t> raw(count, nullptr);
  const int failed = hwloc_distrib(in, &root, 1, raw.data(), count, INT_MAX, 0);
  std::vector<bitmap> made;
  made.reserve(count);
  for (hwloc_bitmap_t each : raw) made.emplace_back(each);
  if (failed != 0 ||
      std::ranges::any_of(raw, [](hwloc_bitmap_t each) { return each == nullptr; })) {
    throw std::bad_alloc();
  }
  return made;
}

unsigned room_in(hwloc_obj_t what, unsigned threads) { return size_of(what->cpuset) / threads; }

// How many workers each of these parts gets: the next one goes where most is free after that.
std::vector<unsigned> spread_over(std::span<const hwloc_obj_t> parts, unsigned workers,
                                  unsigned threads) {
  std::vector<unsigned> taken(parts.size());
  const auto fuller = [&](std::size_t a, std::size_t b) {
    return (taken[a] + 1) * size_of(parts[b]->cpuset) > (taken[b] + 1) * size_of(parts[a]->cpuset);
  };
  for (; workers != 0; --workers) {
    std::size_t best = parts.size();
    for (std::size_t k = 0; k < parts.size(); ++k) {
      if (taken[k] == room_in(parts[k], threads)) continue;
      if (best == parts.size() || fuller(best, k)) best = k;
    }
    ++taken[best];
  }
  return taken;
}

// So many processors for each worker, in this part of the machine, which has enough. No worker's
// are in two smaller parts, if all workers have room that way.
void place_in(hwloc_topology_t all, hwloc_obj_t part, unsigned workers, unsigned threads,
              std::vector<bitmap>& places) {
  const std::span<const hwloc_obj_t> parts(part->children, part->arity);
  unsigned room = 0;
  for (hwloc_obj_t each : parts) room += room_in(each, threads);
  if (room >= workers) {
    const std::vector<unsigned> shares = spread_over(parts, workers, threads);
    for (std::size_t k = 0; k < parts.size(); ++k) {
      place_in(all, parts[k], shares[k], threads, places);
    }
    return;
  }
  std::vector<hwloc_obj_t> units;  // in the order in which they lie together
  for (hwloc_obj_t at = nullptr; (at = hwloc_get_next_obj_inside_cpuset_by_type(
                                      all, part->cpuset, HWLOC_OBJ_PU, at)) != nullptr;) {
    units.push_back(at);
  }
  for (std::size_t k = 0; k < workers; ++k) {
    bitmap& place = places.emplace_back(owned(hwloc_bitmap_alloc()));
    const std::size_t first = k * units.size() / workers;
    for (std::size_t unit = first; unit < first + threads; ++unit) {
      hwloc_bitmap_or(place.get(), place.get(), units[unit]->cpuset);
    }
  }
}

// All that lies in objects of this kind which these processors are in.
void widen(hwloc_topology_t in, bitmap& these, hwloc_obj_type_t to) {
  const bitmap before = copy_of(these.get());
  hwloc_obj_t at = nullptr;
  while ((at = hwloc_get_next_obj_by_type(in, to, at)) != nullptr) {
    if (hwloc_bitmap_intersects(at->cpuset, before.get()) != 0) {
      hwloc_bitmap_or(these.get(), these.get(), at->cpuset);
    }
  }
}

}  // namespace

void topology::ending::operator()(hwloc_topology* one) const noexcept {
  hwloc_topology_destroy(one);
}

// Processors that this process may not use are left out later, when it is known who asks. hwloc's
// way to ask processors themselves would move the calling thread from one to the next, and is not
// needed.
topology::handle topology::load(const char* description) {
  hwloc_topology_t made = nullptr;
  if (hwloc_topology_init(&made) != 0) fail("hwloc_topology_init");
  handle found(made);
  hwloc_topology_set_flags(made, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
  if (description == nullptr) {
    hwloc_topology_set_components(made, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "x86");
  } else if (hwloc_topology_set_synthetic(made, description) != 0) {
    fail("hwloc_topology_set_synthetic");
  }
  if (hwloc_topology_load(made) != 0) fail("hwloc_topology_load");
  return found;
}

topology::topology(const std::string& description) : loaded_(load(description.c_str())) {}

// Never destroyed. Without a lock of our own: a child that another thread forks could find it held.
const topology* topology::of_this_machine() noexcept try {
  static std::atomic<const topology*> found{nullptr};
  const topology* here = found.load(std::memory_order_acquire);
  if (here != nullptr) return here;
  std::unique_ptr<const topology> made(new topology(load(nullptr)));
  if (!found.compare_exchange_strong(here, made.get(), std::memory_order_acq_rel)) return here;
  return made.release();
} catch (const std::exception&) {
  return nullptr;
}

topology::handle topology::restricted(const processors& allowed) const {
  hwloc_topology_t made = nullptr;
  if (hwloc_topology_dup(&made, loaded_.get()) != 0) fail("hwloc_topology_dup");
  handle copy(made);
  if (hwloc_topology_restrict(made, bitmap_of(allowed).get(), HWLOC_RESTRICT_FLAG_REMOVE_CPULESS) !=
      0) {
    fail("hwloc_topology_restrict");
  }
  return copy;
}

std::vector<processors> topology::distribute(const processors& allowed, unsigned workers,
                                             unsigned threads) const {
  threads = std::max(threads, 1u);
  const handle whole = restricted(allowed);
  const bitmap one_of_each_core = copy_of(hwloc_topology_get_topology_cpuset(whole.get()));
  const unsigned all = size_of(one_of_each_core.get());
  hwloc_bitmap_singlify_per_core(whole.get(), one_of_each_core.get(), 0);
  const unsigned cores = size_of(one_of_each_core.get());

  std::vector<bitmap> found;
  if (workers <= cores / threads) {
    const handle of_cores = restricted(processors_of(one_of_each_core.get()));
    place_in(of_cores.get(), hwloc_get_root_obj(of_cores.get()), workers, threads, found);
    for (bitmap& one : found) widen(whole.get(), one, HWLOC_OBJ_CORE);
  } else {
    found = shares_of(whole.get(), workers);
    if (workers > all) {
      for (bitmap& one : found) widen(whole.get(), one, HWLOC_OBJ_NUMANODE);
    }
  }
  std::vector<processors> places;
  places.reserve(workers);
  for (const bitmap& one : found) places.push_back(processors_of(one.get()));
  return places;
}

topology::counts topology::count(const processors& allowed) const {
  const handle here = restricted(allowed);
  const bitmap each = copy_of(hwloc_topology_get_topology_cpuset(here.get()));
  const unsigned all = size_of(each.get());
  hwloc_bitmap_singlify_per_core(here.get(), each.get(), 0);
  return {.packages = std::max(count_of(here.get(), HWLOC_OBJ_PACKAGE), 1u),
          .cores = size_of(each.get()),
          .processors = all,
          .nodes = std::max(count_of(here.get(), HWLOC_OBJ_NUMANODE), 1u)};
}

processors topology::all() const {
  return processors_of(hwloc_topology_get_topology_cpuset(loaded_.get()));
}

}  // namespace shard::os
