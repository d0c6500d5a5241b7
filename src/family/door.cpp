#include "family/door.hpp"

#include "os/event.hpp"
#include "os/futex.hpp"

namespace shard::family {
namespace {

// All of these words are sequentially consistent: the argument is always that of two who store one
// word each, and then load the other's.
constexpr auto in_order = std::memory_order_seq_cst;

}  // namespace

std::size_t door::size_bytes(unsigned slots) noexcept {
  return sizeof(shared_part) + slots * sizeof(place);
}

door::door(std::byte* memory, unsigned slots, int event) noexcept
    : slots_(slots),
      shared_(reinterpret_cast<shared_part*>(memory)),
      places_(reinterpret_cast<place*>(memory + sizeof(shared_part))),
      event_(event) {}

// ---- The caller. ----

void door::submit(run next, unsigned workers) const noexcept {
  shared_->submitted.store(next, in_order);
  // Else whoever ends the run before rings, or whoever buries it.
  if (over() + 1 == next) ring_the_bell(workers);
}

void door::tell_news() const noexcept {
  shared_->news.fetch_add(1, in_order);
  ring_the_bell();
}

void door::await(run awaited) const noexcept { shared_->awaited.store(awaited, in_order); }

// ---- A worker. ----

// The run that may be entered now; 0: none.
door::run door::next(run last) const noexcept {
  const run first = over() + 1;
  return first <= submitted() && first != last ? first : 0;
}

door::run door::try_to_enter(unsigned slot, run& last) const noexcept {
  place& own = places_[slot];
  for (;;) {
    const run now = next(last);
    if (now == 0) return 0;
    own.inside.store(now, in_order);
    if (shared_->shut.load(in_order) < now) return now;
    own.inside.store(0, in_order);
    try_to_finish(now);  // who shut the door may have seen us inside, and rely on that
    last = now;          // nothing is left to do there
  }
}

void door::sleep(unsigned slot, run last, std::uint64_t heard) const noexcept {
  place& own = places_[slot];
  const std::uint32_t rung = shared_->bell.load(in_order);
  own.asleep.store(1, in_order);
  if (next(last) == 0 && news() == heard) os::futex_wait(shared_->bell, rung);
  own.asleep.store(0, in_order);
}

bool door::leave(unsigned slot, run now) const noexcept {
  shared_->shut.store(now, in_order);  // by the first; it is what the others store
  places_[slot].inside.store(0, in_order);
  return try_to_finish(now);
}

// ---- Anybody. ----

bool door::is_free(run now) const noexcept {
  for (unsigned slot = 0; slot < slots_; ++slot) {
    if (places_[slot].inside.load(in_order) == now) return false;
  }
  return true;
}

// Returns whether the caller was told.
bool door::try_to_finish(run now) const noexcept {
  if (shared_->shut.load(in_order) < now || !is_free(now)) return false;
  run before = now - 1;
  if (!shared_->over.compare_exchange_strong(before, now, in_order)) return false;
  if (now < submitted()) ring_the_bell();  // there is another one
  return tell_the_caller();
}

void door::ring_the_bell(unsigned workers) const noexcept {
  bool any = false;
  for (unsigned slot = 0; slot < slots_; ++slot) any |= sleeps(slot);
  if (!any) return;
  shared_->bell.fetch_add(1, in_order);
  os::futex_wake(shared_->bell, workers);
}

bool door::tell_the_caller() const noexcept {
  const run awaited = shared_->awaited.load(in_order);
  if (awaited == 0 || awaited > over()) return false;
  static_cast<void>(
      os::count_event(event_));  // a full counter is as good; a caller without one died
  return true;
}

// ---- The supervisor. ----

void door::bury(unsigned slot, bool has_work) const noexcept {
  if (!has_work) places_[slot].inside.store(0, in_order);
  places_[slot].asleep.store(0, in_order);
  // The dead one may have been the last in its run, or have found that it is over, and told nobody.
  try_to_finish(over() + 1);
  ring_the_bell();
  tell_the_caller();
}

void door::give_up(run last) const noexcept {
  for (unsigned slot = 0; slot < slots_; ++slot) {
    places_[slot].inside.store(0, in_order);
    places_[slot].asleep.store(0, in_order);
  }
  if (shared_->shut.load(in_order) < last) shared_->shut.store(last, in_order);
  if (over() < last) shared_->over.store(last, in_order);
  tell_the_caller();
}

}  // namespace shard::family
