// How a family goes from one run to the next: who works on which, and when it is over.
//
// Runs have numbers, from 1 on, and are carried out in their order. A run begins when the one
// before is over. It is over when nobody can enter it any more, and nobody is in it: who writes to
// its outputs is in it. The steps are those of tests/model/door.pml, where each is named; there are
// also the mistakes that one could make.
//
// Anybody may die at any instruction, so there are no locks. These rules hold instead:
//
//  1. over <= shut <= submitted, and none of the three ever gets smaller.
//  2. `inside` is a slot's, not its worker's. If a worker dies with work, its slot stays inside.
//     So the run is not over, and the slot's next worker finds itself inside.
//  3. A worker says that it is inside, and then looks whether the door is shut. Another one shuts
//     the door, and then looks who is inside. So one of the two sees the other.
//  4. A worker says that it is about to sleep, and then looks once more. Who has news stores it,
//     and then looks who sleeps. So one of the two sees the other. The caller waits in the same
//     way.
//  5. Who has a run wakes as many workers as it is for, less those that are awake: each of these
//     looks once more before it sleeps, or whoever buries it wakes all. One that is awake, or
//     woken, may have been stopped: the caller wakes all after a while.
//  6. Anybody may find that a run is over. One of them makes it so, and tells. If that one dies
//     before it has told, whoever buries it tells.
//  7. A run may be for some slots only. Workers of others leave it out: they are never inside, and
//     never shut its door. Whoever has such a run wakes all.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "os/futex.hpp"

namespace shard::family {

class door {
 public:
  using run = std::uint64_t;  // its number
  static constexpr unsigned all = std::numeric_limits<unsigned>::max();
  // To wake a worker for less takes longer than others take to do it.
  static constexpr std::chrono::nanoseconds worth_a_worker = std::chrono::microseconds(10);
  static constexpr run most_ahead = 64;  // a run is submitted once the one so many before is over

  static std::size_t size_bytes(unsigned slots) noexcept;

  // A view of zeroed or already used shared memory of size_bytes(), aligned to 64 bytes. `event`:
  // of the caller, see os/event.hpp.
  door(std::byte* memory, unsigned slots, int event) noexcept;

  run submitted() const noexcept { return shared_->submitted.load(std::memory_order_seq_cst); }
  run over() const noexcept { return shared_->over.load(std::memory_order_seq_cst); }

  // ---- The caller. One thread at a time.

  // Which of those that sleep are better woken: who wakes them is about to sleep, or goes on.
  enum class waker { makes_room, stays };

  // What workers of the run need must be in place. Once it may begin, so many workers are awake, or
  // woken. Others may enter it, too, if their slots are below `most`: so no more than that work on
  // it at a time, and all must be woken if there are more slots. Requires: next == submitted() + 1.
  void submit(run next, unsigned workers = all, waker by = waker::stays,
              unsigned most = all) const noexcept;

  // Wakes another one, who has slept on another processor than that of who asks, if there is one.
  void call_one_from_elsewhere() const noexcept;

  // It needs more than so many: wakes all.
  void call_all() const noexcept { ring_the_bell(); }

  // There is something else that all workers are to know: enter() returns.
  void tell_news() const noexcept;

  // From now on whoever ends the run counts the event. It may be over already: look at over(), and
  // then wait for the event; at every event, look again. 0: the caller waits for none.
  void await(run awaited) const noexcept;

  // ---- A worker, with its slot.

  // The run that the slot is in; 0: none. A worker that has just got the slot goes on in that one.
  run inside(unsigned slot) const noexcept {
    return places_[slot].inside.load(std::memory_order_seq_cst);
  }

  // It looks for runs.
  void arrive(unsigned slot) const noexcept;
  // It still does. On which processor it is tells whom to wake, and whether others are in its way.
  void note_processor(unsigned slot) const noexcept;

  // Whether the slot's worker is about to sleep, or does.
  bool sleeps(unsigned slot) const noexcept {
    return places_[slot].worker.load(std::memory_order_seq_cst) == presence::asleep;
  }

  // How many have arrived, aren't buried, and don't sleep; and how many of them don't need the
  // processor of who asks.
  struct watch {
    unsigned all = 0;
    unsigned elsewhere = 0;
  };
  watch awake() const noexcept;

  // Whether the caller was on the processor of who asks when it began to wait.
  bool caller_is_here() const noexcept;

  // How many workers the run was submitted for.
  unsigned wanted(run one) const noexcept {
    return facts_of(one).wanted.load(std::memory_order_relaxed);
  }
  // Which slots may enter a run: those below this. Requires: it is submitted, and not over.
  unsigned most(run one) const noexcept {
    return facts_of(one).most.load(std::memory_order_relaxed);
  }

  // How often there were news so far.
  std::uint64_t news() const noexcept { return shared_->news.load(std::memory_order_seq_cst); }

  // Enters the run whose turn it is; never `last`, the one that it has left before. 0: there is
  // none now. Sets `last` to a run that it came too late for, or that is not for its slot.
  run try_to_enter(unsigned slot, run& last) const noexcept;

  // Returns at once if a run may be entered, or if there are more news than the worker has heard;
  // else when the bell rings. Then, or for no reason, is the time to try again.
  void sleep(unsigned slot, run last, std::uint64_t heard) const noexcept;

  // The run that the caller waits for; 0: none.
  run awaited() const noexcept { return shared_->awaited.load(std::memory_order_seq_cst); }

  // There is nothing left to claim: nobody needs to enter any more. Requires: inside(slot) == now.
  enum class farewell {
    others_are_inside,
    over,  // by that
    told   // the same, and the caller waits for that and was told
  };
  farewell leave(unsigned slot, run now) const noexcept;

  // Whoever worked on a run says how long, before it leaves; and what that comes to. As exact as
  // is good for a guess at the next one like it.
  void note_time(run one, std::chrono::nanoseconds worked) const noexcept {
    facts_of(one).took.fetch_add(worked.count(), std::memory_order_relaxed);
  }
  std::chrono::nanoseconds time_of(run one) const noexcept {
    return std::chrono::nanoseconds(facts_of(one).took.load(std::memory_order_relaxed));
  }

  // ---- The supervisor, while nobody has the slot. Repeatable.

  // has_work: whoever gets the slot is still inside, and finishes it.
  void bury(unsigned slot, bool has_work) const noexcept;

  // All runs until that one are over, finished or not. Requires: every slot is without a worker.
  void give_up(run last) const noexcept;

 private:
  enum class presence : std::uint32_t {
    unknown,
    awake,
    asleep  // or about to sleep
  };
  struct alignas(16) facts {
    std::atomic<unsigned> wanted;
    std::atomic<unsigned> most;
    std::atomic<std::int64_t> took;  // nanoseconds
  };
  struct shared_part {
    alignas(64) std::atomic<run> submitted;  // the last run that may begin
    alignas(64) std::atomic<run> shut;       // the last run that nobody needs to enter any more
    alignas(64) std::atomic<run> over;       // the last run that nobody works on any more
    std::atomic<run> awaited;                // the one that the caller waits for; 0: none
    std::atomic<int> caller;                 // its processor
    alignas(64) std::atomic<std::uint64_t> news;
    alignas(64) std::atomic<std::uint32_t> bell;  // on which workers sleep; each ring changes it
    alignas(64) facts runs[most_ahead];
  };
  struct alignas(64) place {
    std::atomic<run> inside;
    std::atomic<presence> worker;
    std::atomic<int> processor;
  };

  struct sleeping {  // a bit for each slot, modulo their number
    os::sleepers here = 0;
    os::sleepers elsewhere = 0;
  };

  run next(run last) const noexcept;
  sleeping asleep() const noexcept;
  farewell try_to_finish(run now) const noexcept;
  bool is_free(run now) const noexcept;
  void ring_the_bell(unsigned workers = all, waker by = waker::stays) const noexcept;
  facts& facts_of(run one) const noexcept { return shared_->runs[one % most_ahead]; }
  void wake(unsigned most, os::sleepers whom) const noexcept;
  bool tell_the_caller() const noexcept;

  unsigned slots_;
  shared_part* shared_;
  place* places_;
  int event_;
};

}  // namespace shard::family
