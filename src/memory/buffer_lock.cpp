// The lock of a buffer: exclusive or shared, robust, and known to the thread that holds it.

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "memory/attempt.hpp"
#include "memory/control.hpp"
#include "memory/segment.hpp"
#include "os/last_words.hpp"
#include "os/own_pid.hpp"
#include "os/process.hpp"
#include "os/thread_end.hpp"
#include "shard/detail/sharing.hpp"

namespace shard::detail {
namespace {

using memory::control;
using memory::exclusive_line;
using memory::shared_slot;
using outcome = os::robust_mutex::outcome;

// ---- What the calling thread holds. A forked child's only thread holds nothing.

// The area stays mapped while it is locked, though another thread should close the handle
// (orphans): the C library and the kernel have the thread's mutexes in a list that goes through
// them.
struct held_lock {
  control* area;      // the handle's own
  shared_slot* slot;  // null: exclusively
};

struct this_thread {
  std::vector<held_lock> held;
  std::uint32_t id = static_cast<std::uint32_t>(os::own_thread());
  pid_t process = os::own_pid();
  std::size_t slot = 0;  // that it shares a lock by, if it is free
};

// A pointer, since destructors of static variables may lock and unlock: they run after those of the
// main thread's variables.
thread_local this_thread* known = nullptr;

void abandon(const held_lock& lock) noexcept;

// Areas whose handle was closed while another thread held the lock by it, until that thread ends.
// Those of threads that don't end before the process are left to its end.
struct {
  std::mutex lock;
  control* first = nullptr;
} orphans;

void adopt(std::unique_ptr<control> area) noexcept {
  const std::scoped_lock held(orphans.lock);
  area->next_orphan = std::exchange(orphans.first, area.get());
  static_cast<void>(area.release());
}

void drop_unlocked_orphans() noexcept {
  const std::scoped_lock held(orphans.lock);
  for (control** at = &orphans.first; *at != nullptr;) {
    if ((*at)->is_locked_here()) {
      at = &(*at)->next_orphan;
    } else {
      const std::unique_ptr<control> unlocked(std::exchange(*at, (*at)->next_orphan));
    }
  }
}

// The end of a thread. What it still holds it leaves as a death would, but at once: the kernel
// comes when the words may be mapped no more.
void abandon_all(void* left) {
  const std::unique_ptr<this_thread> ending(static_cast<this_thread*>(left));
  std::ranges::for_each(ending->held, abandon);
  if (!ending->held.empty()) drop_unlocked_orphans();
  known = nullptr;
}

[[gnu::noinline]] void get_to_know(const segment& of) {
  memory::attempt("lock " + of.name(), "room for what each thread knows of its locks", [] {
    static const os::thread_end last(abandon_all);
    auto made = std::make_unique<this_thread>();
    // What the main one leaves goes with the process.
    if (os::own_thread() != os::own_pid()) last.leave(made.get());
    known = made.release();
  });
}

// Of the calling thread, which is about to lock.
inline this_thread& mine(const segment& of) {
  if (known == nullptr) get_to_know(of);
  return *known;
}

// Registered once, before any thread can hold anything.
[[maybe_unused]] const bool forgetting = [] {
  os::on_fork_called([] {
    if (known != nullptr) *known = this_thread{};
    new (&orphans.lock) std::mutex;  // a thread that is not there any more may have held it
  });
  return true;
}();

inline std::atomic<pid_t>& mark_of(const held_lock& lock) noexcept {
  control::lock_marks& marks = lock.area->locked_by;
  if (lock.slot == nullptr) return marks.exclusive;
  return marks.shared[static_cast<std::size_t>(lock.slot - lock.area->lines().slots.data())];
}

// There must be room for it.
inline void hold(this_thread& me, const held_lock& lock) noexcept {
  mark_of(lock).store(me.process, std::memory_order_relaxed);
  me.held.push_back(lock);
}

// Takes from the list what the calling thread holds by this handle, in this way if that is asked
// for. Nothing: it does not.
inline std::optional<held_lock> taken_back(const segment& handle, std::optional<bool> shared) {
  if (known == nullptr) return {};
  std::vector<held_lock>& held = known->held;
  // From behind, where the last one is.
  for (std::size_t k = held.size(); k-- > 0;) {
    const held_lock lock = held[k];
    const bool is_shared = lock.slot != nullptr;
    if (lock.area != handle.attached() || shared.value_or(is_shared) != is_shared) continue;
    held.erase(held.begin() + static_cast<std::ptrdiff_t>(k));
    return lock;
  }
  return {};
}

[[noreturn]] void refuse_second(const segment& of, const held_lock& first) {
  throw error(std::errc::resource_deadlock_would_occur,
              "cannot lock " + of.name() + ": found it locked by this thread already, " +
                  (first.slot == nullptr ? "exclusively" : "shared") +
                  ", expected a thread that doesn't hold it");
}

// By any handle of it: the second lock would wait for the first for ever.
void require_not_held(const std::vector<held_lock>& held, const segment& of, const control& area) {
  for (const held_lock& one : held) {
    if (one.area->identity() == area.identity()) refuse_second(of, one);
  }
}

// Of a thread that dies the kernel hands on 2048 mutexes, the rest never (ROBUST_LIST_LIMIT). There
// must be room for those of a transfer as well.
void require_room(const std::vector<held_lock>& held, const segment& of) {
  constexpr std::size_t most = 1900;
  if (held.size() < most) return;
  throw error(std::errc::no_lock_available,
              "cannot lock " + of.name() + ": found " + std::to_string(held.size()) +
                  " locks held by this thread, expected fewer than " + std::to_string(most));
}

// Afterwards there is room to hold one more, so that nothing can fail once it is locked.
inline void prepare(std::vector<held_lock>& held, const segment& of, const control& area) {
  if (!held.empty()) {
    require_not_held(held, of, area);
    require_room(held, of);
  }
  if (held.size() == held.capacity()) held.reserve(held.size() + 1);
}

[[noreturn]] void refuse_unlock(const segment& of) {
  throw error(std::errc::operation_not_permitted,
              "cannot unlock " + of.name() +
                  ": found it not locked by this thread and handle, expected the holder");
}

// ---- Taking mutexes, with what a dead owner left put right.

outcome take(os::robust_mutex& mutex, deadline until) {
  if (!until) return mutex.lock();
  const outcome quick = mutex.try_lock();
  if (quick != outcome::busy || *until <= std::chrono::steady_clock::now()) return quick;
  return mutex.try_lock_until(*until);
}

// Every step may be repeated by the next owner, if this one dies in it.
void mend_main(control& area) {
  exclusive_line& line = area.lines().exclusive;
  if (line.holding.load() != 0) line.abandoned.store(1);
  line.holding.store(0);
  area.lines().header.recoveries.fetch_add(1);
  line.mutex.mend();
}

bool take_main(control& area, deadline until) {
  const outcome found = take(area.lines().exclusive.mutex, until);
  if (found == outcome::owner_died) mend_main(area);
  return found != outcome::busy;
}

// Whether a slot's mutex was taken; puts right what a dead owner left of it.
bool taken(control& area, shared_slot& slot, outcome found) {
  if (found == outcome::owner_died) {
    slot.thread.store(0, std::memory_order_relaxed);
    area.lines().header.recoveries.fetch_add(1);
    slot.mutex.mend();
  }
  return found != outcome::busy;
}

// The slot that the thread had last, or else the first free one: so no more slots come into use,
// for exclusive lockers to look at, than threads that share at a time, and those soon have a line
// each. If there are more sharers than slots, waits for the thread's own, but never long before it
// looks again: what is free first may be another.
shared_slot* take_any_slot(control& area, std::size_t& own, deadline until) {
  using clock = std::chrono::steady_clock;
  constexpr clock::duration longest_wait = std::chrono::milliseconds(10);
  auto& slots = area.lines().slots;
  if (taken(area, slots[own], slots[own].mutex.try_lock())) return &slots[own];
  for (clock::duration wait = std::chrono::milliseconds(1);;
       wait = std::min(2 * wait, longest_wait)) {
    for (std::size_t i = 0; i < slots.size(); ++i) {
      if (!taken(area, slots[i], slots[i].mutex.try_lock())) continue;
      own = i;
      return &slots[i];
    }
    const auto now = clock::now();
    if (until && *until <= now) return nullptr;
    const auto again = until ? std::min(*until, now + wait) : now + wait;
    if (taken(area, slots[own], take(slots[own].mutex, again))) return &slots[own];
  }
}

// From now on exclusive lockers look at this slot, which is locked.
void announce(control& area, const shared_slot& slot) {
  const auto number = static_cast<std::uint32_t>(&slot - area.lines().slots.data());
  auto& used = area.lines().exclusive.slots_used;
  std::uint32_t before = used.load();
  while (before <= number && !used.compare_exchange_weak(before, number + 1)) {
  }
}

void release(const held_lock& lock) {
  mark_of(lock).store(0, std::memory_order_relaxed);
  if (lock.slot != nullptr) {
    lock.slot->thread.store(0, std::memory_order_relaxed);
    return lock.slot->mutex.unlock();
  }
  exclusive_line& line = lock.area->lines().exclusive;
  line.thread.store(0, std::memory_order_relaxed);
  line.holding.store(0, std::memory_order_relaxed);
  line.mutex.unlock();
}

// As whoever finds its owner dead would put it right.
void abandon(const held_lock& lock) noexcept {
  if (lock.slot != nullptr) return release(lock);
  mark_of(lock).store(0, std::memory_order_relaxed);
  exclusive_line& line = lock.area->lines().exclusive;
  line.abandoned.store(1);
  line.holding.store(0);
  line.mutex.unlock();
}

}  // namespace

// To lock a slot and then look at the main mutex, and to lock that and then look at the slots, are
// sequentially consistent: of a shared and an exclusive locker at least one sees the other.
// (Dekker's; E. W. Dijkstra, EWD 35.) What is stored relaxed is for people, or for the next owner
// of the mutex.

bool lock_exclusively(segment& of, deadline until) {
  control& area = of.own_words();
  this_thread& me = mine(of);
  prepare(me.held, of, area);
  exclusive_line& line = area.lines().exclusive;
  if (!take_main(area, until)) return false;
  os::robust_mutex::order_after_lock();
  const auto used = std::min<std::uint32_t>(line.slots_used.load(), memory::shared_slots);
  for (std::uint32_t i = 0; i < used; ++i) {
    shared_slot& slot = area.lines().slots[i];
    if (slot.mutex.is_free()) continue;
    if (!taken(area, slot, take(slot.mutex, until))) {
      line.mutex.unlock();
      return false;
    }
    slot.mutex.unlock();
  }
  line.thread.store(me.id, std::memory_order_relaxed);
  line.holding.store(1, std::memory_order_relaxed);
  hold(me, {&area, nullptr});
  return true;
}

bool lock_shared(segment& of, deadline until) {
  control& area = of.own_words();
  this_thread& me = mine(of);
  prepare(me.held, of, area);
  shared_slot* slot = take_any_slot(area, me.slot, until);
  if (slot == nullptr) return false;
  announce(area, *slot);
  os::robust_mutex::order_after_lock();
  os::robust_mutex& main = area.lines().exclusive.mutex;
  if (!main.is_free()) {
    // Whoever holds the main mutex keeps exclusive lockers out while it locks its slot.
    slot->mutex.unlock();
    if (!take_main(area, until)) return false;
    slot = take_any_slot(area, me.slot, until);
    if (slot != nullptr) announce(area, *slot);
    main.unlock();
    if (slot == nullptr) return false;
  }
  slot->thread.store(me.id, std::memory_order_relaxed);
  hold(me, {&area, slot});
  return true;
}

void unlock_exclusively(segment& of) {
  const auto lock = taken_back(of, false);
  if (!lock) refuse_unlock(of);
  release(*lock);
}

void unlock_shared(segment& of) {
  const auto lock = taken_back(of, true);
  if (!lock) refuse_unlock(of);
  release(*lock);
}

void segment::release_locks() noexcept {
  if (const auto lock = taken_back(*this, {})) release(*lock);
  if (kept_ == nullptr || !kept_->is_locked_here()) return;
  forget_area();
  adopt(std::move(kept_));
}

bool is_abandoned(const segment& of) {
  const control* area = of.words();
  if (area == nullptr || !area->laid_out()) return false;
  const exclusive_line& line = area->lines().exclusive;
  const auto claimed = [&] { return line.holding.load() != 0; };
  // Of a holder that has just died nobody has said so yet. In this order: who finds it dead notes
  // that before anything else that is looked at here changes.
  if (claimed() && line.mutex.abandoned()) return true;
  if (line.abandoned.load() != 0) return true;
  // To a writer who attached no holder was left from before.
  return !area->writable() && !of.has_writers(*area) && claimed() && !of.has_writers(*area);
}

void clear_abandoned(segment& of) { of.own_words().lines().exclusive.abandoned.store(0); }

}  // namespace shard::detail
