#include "memory/buffer_lock.hpp"

#include <algorithm>

#include "memory/control.hpp"
#include "memory/segment.hpp"
#include "os/last_words.hpp"
#include "os/process.hpp"

namespace shard::detail {
namespace {

using memory::control;
using memory::exclusive_line;
using memory::shared_slot;
using memory::writer_state;
using outcome = os::robust_mutex::outcome;

// ---- What the calling thread holds. A forked child's only thread holds nothing.

struct held_lock {
  const segment* by;
  const control* area;
  shared_slot* slot;  // null: exclusively
};

struct this_thread {
  std::vector<held_lock> held;
  std::uint32_t id = static_cast<std::uint32_t>(os::own_thread());
  std::size_t first_slot = id % memory::shared_slots;
};

this_thread& mine() {
  thread_local this_thread only;
  return only;
}

// Registered once, before any thread can hold anything.
[[maybe_unused]] const bool forgetting = [] {
  os::on_fork_called([] { mine() = this_thread{}; });
  return true;
}();

std::vector<held_lock>& held() { return mine().held; }

auto found_by(const segment& handle) { return std::ranges::find(held(), &handle, &held_lock::by); }

// By any handle of it: the second lock would wait for the first for ever.
void require_not_held(const segment& of, const control& area) {
  const auto same = [&](const held_lock& one) { return one.area->identity() == area.identity(); };
  const auto found = std::ranges::find_if(held(), same);
  if (found == held().end()) return;
  throw error(std::errc::resource_deadlock_would_occur,
              "cannot lock " + of.name() + ": found it locked by this thread already, " +
                  (found->slot == nullptr ? "exclusively" : "shared") +
                  ", expected a thread that doesn't hold it");
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
bool take_main(control& area, deadline until) {
  exclusive_line& line = area.lines().exclusive;
  const outcome found = take(line.mutex, until);
  if (found == outcome::owner_died) {
    if (line.writer.load() == writer_state::holding) line.abandoned.store(1);
    line.writer.store(writer_state::none);
    area.lines().header.recoveries.fetch_add(1);
    line.mutex.mend();
  }
  return found != outcome::busy;
}

bool take_slot(control& area, shared_slot& slot, deadline until) {
  const outcome found = take(slot.mutex, until);
  if (found == outcome::owner_died) {
    slot.occupied.store(0);
    area.lines().header.recoveries.fetch_add(1);
    slot.mutex.mend();
  }
  return found != outcome::busy;
}

constexpr deadline at_once = std::chrono::steady_clock::time_point::min();

// A free slot, from one on that other threads are unlikely to begin with; the first tried, waited
// for, if there are more shared holders than slots.
shared_slot* take_any_slot(control& area, deadline until) {
  auto& slots = area.lines().slots;
  const std::size_t begin = mine().first_slot;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    shared_slot& slot = slots[(begin + i) % slots.size()];
    if (take_slot(area, slot, at_once)) return &slot;
  }
  return take_slot(area, slots[begin], until) ? &slots[begin] : nullptr;
}

void occupy(control& area, shared_slot& slot) {
  const auto number = static_cast<std::uint32_t>(&slot - area.lines().slots.data());
  auto& used = area.lines().exclusive.slots_used;
  std::uint32_t before = used.load();
  while (before <= number && !used.compare_exchange_weak(before, number + 1)) {
  }
  slot.thread.store(mine().id, std::memory_order_relaxed);
  slot.occupied.store(1);
}

void vacate(shared_slot& slot) {
  slot.occupied.store(0, std::memory_order_release);
  slot.mutex.unlock();
}

}  // namespace

// To occupy and then look for a writer, and to announce a writer and then look for who occupies,
// are sequentially consistent: of a shared and an exclusive locker at least one sees the other.
// (Dekker's; E. W. Dijkstra, EWD 35.) What is taken back needs release only: the mutexes order it.

bool lock_exclusively(segment& of, deadline until) {
  control& area = of.own_words();
  require_not_held(of, area);
  held().reserve(held().size() + 1);
  exclusive_line& line = area.lines().exclusive;
  if (!take_main(area, until)) return false;
  line.writer.store(writer_state::waiting);
  for (std::uint32_t i = 0;
       i < std::min<std::uint32_t>(line.slots_used.load(), memory::shared_slots); ++i) {
    shared_slot& slot = area.lines().slots[i];
    if (slot.occupied.load() == 0) continue;
    if (!take_slot(area, slot, until)) {
      line.writer.store(writer_state::none);
      line.mutex.unlock();
      return false;
    }
    slot.mutex.unlock();
  }
  line.thread.store(mine().id, std::memory_order_relaxed);
  line.writer.store(writer_state::holding, std::memory_order_relaxed);
  held().push_back({&of, &area, nullptr});
  return true;
}

bool lock_shared(segment& of, deadline until) {
  control& area = of.own_words();
  require_not_held(of, area);
  held().reserve(held().size() + 1);
  exclusive_line& line = area.lines().exclusive;
  shared_slot* slot = take_any_slot(area, until);
  if (slot == nullptr) return false;
  occupy(area, *slot);
  if (line.writer.load() != writer_state::none) {
    // Whoever holds the main mutex keeps writers out while it occupies its slot.
    vacate(*slot);
    if (!take_main(area, until)) return false;
    slot = take_any_slot(area, until);
    if (slot != nullptr) occupy(area, *slot);
    line.mutex.unlock();
    if (slot == nullptr) return false;
  }
  held().push_back({&of, &area, slot});
  return true;
}

void unlock_exclusively(segment& of) {
  const auto found = found_by(of);
  if (found == held().end() || found->slot != nullptr) refuse_unlock(of);
  exclusive_line& line = found->area->lines().exclusive;
  held().erase(found);
  line.thread.store(0, std::memory_order_relaxed);
  line.writer.store(writer_state::none, std::memory_order_release);
  line.mutex.unlock();
}

void unlock_shared(segment& of) {
  const auto found = found_by(of);
  if (found == held().end() || found->slot == nullptr) refuse_unlock(of);
  shared_slot& slot = *found->slot;
  held().erase(found);
  slot.thread.store(0, std::memory_order_relaxed);
  vacate(slot);
}

void release_locks(const segment& of) noexcept {
  const auto found = found_by(of);
  if (found == held().end()) return;
  auto& handle = const_cast<segment&>(of);
  found->slot == nullptr ? unlock_exclusively(handle) : unlock_shared(handle);
}

bool is_abandoned(const segment& of) {
  const control* area = of.words();
  return area != nullptr && area->laid_out() && area->lines().exclusive.abandoned.load() != 0;
}

void clear_abandoned(segment& of) { of.own_words().lines().exclusive.abandoned.store(0); }

}  // namespace shard::detail
