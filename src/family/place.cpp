#include "family/place.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include "os/calls.hpp"
#include "os/topology.hpp"

namespace shard::family {
namespace {

// The last answer that this thread has had. To find one takes 0.5 ms where there are 256
// processors.
struct answer {
  os::processors allowed;
  unsigned workers = 0;
  unsigned threads = 0;
  std::vector<os::processors> places;
};

const std::vector<os::processors>& places_for(const os::topology& machine,
                                              const os::processors& allowed, unsigned workers,
                                              unsigned threads) {
  thread_local std::unique_ptr<const answer> last;
  if (!last || last->workers != workers || last->threads != threads || last->allowed != allowed) {
    last = std::make_unique<const answer>(
        answer{allowed, workers, threads, machine.distribute(allowed, workers, threads)});
  }
  return last->places;
}

}  // namespace

void give_places(const roster& family, unsigned threads) try {
  const std::optional<os::processors> allowed = os::own_processors();
  const os::topology* const machine = os::topology::of_this_machine();
  if (!allowed || machine == nullptr) return family.go_without(workers_pinned);
  const std::vector<os::processors>& places =
      places_for(*machine, *allowed, family.size(), std::max(threads, 1u));
  for (unsigned slot = 0; slot < family.size(); ++slot) family.at(slot).place = places[slot];
  family.set_has_places(true);
} catch (const os::call_failed&) {  // no processor of ours is known there
  family.go_without(workers_pinned);
}

void take_place(const roster& family, unsigned slot) noexcept {
  if (!family.has_places()) return;
  if (!os::keep_to(family.at(slot).place)) family.go_without(workers_pinned);
}

for_a_while::for_a_while(const roster& family, unsigned slot) noexcept {
  if (!family.has_places()) return;
  before_ = os::own_processors();
  if (before_ && os::keep_to(family.at(slot).place)) return;
  before_.reset();
  family.go_without(workers_pinned);
}

for_a_while::~for_a_while() {
  if (before_) static_cast<void>(os::keep_to(*before_));
}

}  // namespace shard::family
