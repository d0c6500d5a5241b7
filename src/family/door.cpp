#include "family/door.hpp"

#include <thread>

#include "os/event.hpp"
#include "os/futex.hpp"

namespace shard::family {
namespace {

// All of these words are sequentially consistent: the argument is always that of two who store one
// word each, and then load the other's.
constexpr auto in_order = std::memory_order_seq_cst;

void pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

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

void door::submit(run next) const noexcept {
  shared_->submitted.store(next, in_order);
  ring_the_bell();
}

void door::await(run awaited) const noexcept { shared_->awaited.store(awaited, in_order); }

// ---- A worker. ----

// The run that may be entered now; 0: none.
door::run door::next(run last) const noexcept {
  const run first = over() + 1;
  return first <= submitted() && first != last ? first : 0;
}

door::run door::enter(unsigned slot, run last, std::chrono::nanoseconds spin) const noexcept {
  using clock = std::chrono::steady_clock;
  constexpr int turns_between_looks_at_the_clock = 64;
  place& own = places_[slot];
  clock::time_point tired{};  // when it goes to sleep; not known before it has found nothing
  for (int turn = 0;; ++turn) {
    const std::uint32_t rung = shared_->bell.load(in_order);
    if (const run now = next(last); now != 0) {
      own.inside.store(now, in_order);
      if (shared_->shut.load(in_order) < now) return now;
      own.inside.store(0, in_order);
      try_to_finish(now);  // who shut the door may have seen us inside, and rely on that
      last = now;          // nothing is left to do there
      continue;
    }
    if (turn % turns_between_looks_at_the_clock == 0 && spin.count() != 0) {
      const clock::time_point here = clock::now();
      if (tired == clock::time_point{}) tired = here + spin;
      if (here >= tired) spin = {};
    }
    if (spin.count() != 0) {
      pause();
      continue;
    }
    own.asleep.store(1, in_order);
    if (next(last) == 0) os::futex_wait(shared_->bell, rung);
    own.asleep.store(0, in_order);
  }
}

void door::leave(unsigned slot, run now) const noexcept {
  shared_->shut.store(now, in_order);  // by the first; it is what the others store
  places_[slot].inside.store(0, in_order);
  try_to_finish(now);
}

// ---- Anybody. ----

bool door::is_free(run now) const noexcept {
  for (unsigned slot = 0; slot < slots_; ++slot) {
    if (places_[slot].inside.load(in_order) == now) return false;
  }
  return true;
}

void door::try_to_finish(run now) const noexcept {
  if (shared_->shut.load(in_order) < now || !is_free(now)) return;
  run before = now - 1;
  if (!shared_->over.compare_exchange_strong(before, now, in_order)) return;
  ring_the_bell();
  tell_the_caller();
}

void door::ring_the_bell() const noexcept {
  bool any = false;
  for (unsigned slot = 0; slot < slots_; ++slot) any |= sleeps(slot);
  if (!any) return;
  shared_->bell.fetch_add(1, in_order);
  os::futex_wake_all(shared_->bell);
}

void door::tell_the_caller() const noexcept {
  const run awaited = shared_->awaited.load(in_order);
  if (awaited == 0 || awaited > over()) return;
  static_cast<void>(
      os::count_event(event_));  // a full counter is as good; a caller without one died
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
