// A family's door with some work behind it: runs whose outputs are the next run's inputs.
#pragma once

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <new>
#include <stdexcept>

#include "family/door.hpp"
#include "os/event.hpp"

namespace shard_test {

using shard::family::door;

// Looks for a run without a pause for so long, and then sleeps.
inline door::run enter(const door& at, unsigned slot, door::run left,
                       std::chrono::nanoseconds spin = {}) {
  using clock = std::chrono::steady_clock;
  const clock::time_point tired = clock::now() + spin;
  for (;;) {
    if (const door::run now = at.try_to_enter(slot, left); now != 0) return now;
    if (spin.count() == 0 || clock::now() >= tired) at.sleep(slot, left, 0);
  }
}

// In memory that children share. Each run adds its number to every cell, from one array to another.
class queue_of_runs {
 public:
  static constexpr unsigned most_slots = 4;
  static constexpr door::run most_runs = 20'000;
  static constexpr std::size_t cells = 3;

  explicit queue_of_runs(unsigned slots)
      : event_(shard::os::event_counter()),
        shared_(make()),
        door_(shared_->words.data(), slots, event_.get()) {}
  queue_of_runs(const queue_of_runs&) = delete;
  queue_of_runs& operator=(const queue_of_runs&) = delete;
  ~queue_of_runs() { munmap(shared_, sizeof(shared)); }

  const door& entrance() const { return door_; }
  const shard::os::descriptor& event() const { return event_; }

  // A worker's life: until it has left the last run.
  void serve(unsigned slot, door::run last, std::chrono::nanoseconds spin = {}) {
    door::run left = 0;
    for (door::run now = door_.inside(slot); left != last; now = 0) {
      if (now == 0) now = enter(door_, slot, left, spin);
      work(slot, now);
      door_.leave(slot, now);
      left = now;
    }
  }

  // Of the slot of a worker that has died.
  bool has_work(unsigned slot) const {
    const door::run now = door_.inside(slot);
    if (now == 0) return false;
    for (std::size_t k = 0; k < cells; ++k) {
      const cell& one = shared_->runs[now][k];
      if (one.claimed.load() == slot + 1 && one.done.load() == 0) return true;
    }
    return false;
  }

  // Whether, after so many runs, each has been carried out once, in its turn.
  bool are_carried_out(door::run runs) const {
    for (const std::uint64_t found : shared_->values[runs % 2]) {
      if (found != runs * (runs + 1) / 2) return false;
    }
    for (door::run k = 1; k <= runs; ++k) {
      for (const cell& one : shared_->runs[k]) {
        if (one.done.load() == 0) return false;
      }
    }
    return true;
  }
  unsigned out_of_turn() const { return shared_->out_of_turn.load(); }

  // A run that ends for a worker only once all of so many have entered it.
  void gather_in(door::run meeting, unsigned workers) {
    meeting_ = meeting;
    workers_ = workers;
  }

 private:
  struct cell {
    std::atomic<std::uint32_t> claimed;  // by the worker of slot claimed - 1
    std::atomic<std::uint32_t> done;
  };
  struct shared {
    alignas(64) std::array<std::byte, 4096> words;
    // Plain words: ThreadSanitizer sees whether the door alone keeps runs apart.
    std::array<std::array<std::uint64_t, cells>, 2> values;
    std::atomic<unsigned> out_of_turn;
    std::atomic<unsigned> gathered;
    std::array<std::array<cell, cells>, most_runs + 1> runs;
  };

  static shared* make() {
    if (door::size_bytes(most_slots) > sizeof(shared::words)) throw std::logic_error("small words");
    void* const memory =
        mmap(nullptr, sizeof(shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    return static_cast<shared*>(memory);  // zeros are the initial state of all of it
  }

  void check_turn(door::run now) {
    if (door_.over() != now - 1) shared_->out_of_turn.fetch_add(1);
  }

  void work(unsigned slot, door::run now) {
    check_turn(now);
    for (std::size_t k = 0; k < cells; ++k) {
      cell& one = shared_->runs[now][k];
      std::uint32_t nobody = 0;
      const bool mine = one.claimed.compare_exchange_strong(nobody, slot + 1) ||
                        (nobody == slot + 1 && one.done.load() == 0);
      if (!mine) continue;
      shared_->values[now % 2][k] = shared_->values[(now - 1) % 2][k] + now;
      check_turn(now);
      one.done.store(1);
    }
    if (now == meeting_) {
      shared_->gathered.fetch_add(1);
      while (shared_->gathered.load() < workers_) {
      }
    }
  }

  shard::os::descriptor event_;
  shared* shared_;
  door door_;
  door::run meeting_ = 0;
  unsigned workers_ = 0;
};

}  // namespace shard_test
