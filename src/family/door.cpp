#include "family/door.hpp"

#include <algorithm>

#include "os/cpu.hpp"
#include "os/event.hpp"
#include "os/futex.hpp"

namespace shard::family {
namespace {

// All of these words are sequentially consistent: the argument is always that of two who store one
// word each, and then load the other's.
constexpr auto in_order = std::memory_order_seq_cst;

constexpr os::sleepers bit_of(unsigned slot) { return os::sleepers{1} << slot % 32; }

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

void door::submit(run next, unsigned workers, waker by, unsigned most) const noexcept {
  facts_of(next).wanted.store(workers, std::memory_order_relaxed);
  facts_of(next).most.store(most, std::memory_order_relaxed);
  facts_of(next).took.store(0, std::memory_order_relaxed);
  shared_->submitted.store(next, in_order);
  // Else whoever ends the run before rings, or whoever buries it.
  if (over() + 1 == next) ring_the_bell(workers, by);
}

void door::tell_news() const noexcept {
  shared_->news.fetch_add(1, in_order);
  ring_the_bell();
}

void door::await(run awaited) const noexcept {
  if (awaited != 0) shared_->caller.store(os::processor_here(), std::memory_order_relaxed);
  shared_->awaited.store(awaited, in_order);
}

// ---- A worker. ----

void door::arrive(unsigned slot) const noexcept {
  note_processor(slot);
  places_[slot].worker.store(presence::awake, in_order);
}

void door::note_processor(unsigned slot) const noexcept {
  std::atomic<int>& last = places_[slot].processor;
  const int here = os::processor_here();
  if (last.load(std::memory_order_relaxed) != here) last.store(here, std::memory_order_relaxed);
}

bool door::caller_is_here() const noexcept {
  return shared_->caller.load(std::memory_order_relaxed) == os::processor_here();
}

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
    // If the run is over by now, this may be what a later run allows: either way leads on.
    if (slot >= most(now)) {
      last = now;
      continue;
    }
    own.inside.store(now, in_order);
    if (shared_->shut.load(in_order) < now) return now;
    own.inside.store(0, in_order);
    try_to_finish(now);  // who shut the door may have seen us inside, and rely on that
    last = now;          // nothing is left to do there
  }
}

void door::sleep(unsigned slot, run last, std::uint64_t heard) const noexcept {
  place& own = places_[slot];
  note_processor(slot);
  const std::uint32_t rung = shared_->bell.load(in_order);
  own.worker.store(presence::asleep, in_order);
  if (next(last) == 0 && news() == heard) os::futex_wait(shared_->bell, rung, {}, bit_of(slot));
  arrive(slot);
}

door::farewell door::leave(unsigned slot, run now) const noexcept {
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

door::farewell door::try_to_finish(run now) const noexcept {
  if (shared_->shut.load(in_order) < now || !is_free(now)) return farewell::others_are_inside;
  run before = now - 1;
  if (!shared_->over.compare_exchange_strong(before, now, in_order)) {
    return farewell::others_are_inside;
  }
  if (now < submitted()) ring_the_bell(wanted(now + 1));  // there is another one
  return tell_the_caller() ? farewell::told : farewell::over;
}

door::watch door::awake() const noexcept {
  watch found;
  const int here = os::processor_here();
  for (unsigned slot = 0; slot < slots_; ++slot) {
    if (places_[slot].worker.load(in_order) != presence::awake) continue;
    ++found.all;
    if (places_[slot].processor.load(std::memory_order_relaxed) != here) ++found.elsewhere;
  }
  return found;
}

door::sleeping door::asleep() const noexcept {
  sleeping found;
  const int here = os::processor_here();
  for (unsigned slot = 0; slot < slots_; ++slot) {
    if (!sleeps(slot)) continue;
    const bool is_here = places_[slot].processor.load(std::memory_order_relaxed) == here;
    (is_here ? found.here : found.elsewhere) |= bit_of(slot);
  }
  return found;
}

void door::wake(unsigned most, os::sleepers whom) const noexcept {
  shared_->bell.fetch_add(1, in_order);
  os::futex_wake(shared_->bell, most, whom);
}

// So that so many are awake.
void door::ring_the_bell(unsigned workers, waker by) const noexcept {
  const sleeping found = asleep();
  if ((found.here | found.elsewhere) == 0) return;
  const unsigned there = workers == all ? 0 : awake().all;
  if (there >= workers) return;
  const unsigned wanted = workers - there;
  // One is better woken where it needs no other processor's attention, if that becomes free here.
  const os::sleepers best = by == waker::makes_room ? found.here : found.elsewhere;
  wake(wanted, wanted == 1 && best != 0 ? best : os::everybody);
}

void door::call_one_from_elsewhere() const noexcept {
  if (const os::sleepers them = asleep().elsewhere; them != 0) wake(1, them);
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
  places_[slot].worker.store(presence::unknown, in_order);
  // The dead one may have been the last in its run, or have found that it is over, and told nobody.
  try_to_finish(over() + 1);
  ring_the_bell();
  tell_the_caller();
}

void door::give_up(run last) const noexcept {
  for (unsigned slot = 0; slot < slots_; ++slot) {
    places_[slot].inside.store(0, in_order);
    places_[slot].worker.store(presence::unknown, in_order);
  }
  if (shared_->shut.load(in_order) < last) shared_->shut.store(last, in_order);
  if (over() < last) shared_->over.store(last, in_order);
  tell_the_caller();
}

}  // namespace shard::family
