// Who works where: the processes of a family. There is a seat for each slot, with a worker or
// without one, and a standby. Staff forks them, hears of their ends, reaps them, and adopts and
// reaps what kernels leave behind.
//
// Staff lives as long as the family, and knows no board: what is done at a slot, whether it wants a
// worker, and what a death means is for others to say. Used by the supervisor, which has one
// thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <vector>

#include "family/relay.hpp"
#include "family/roster.hpp"
#include "os/descriptor.hpp"
#include "os/poll_set.hpp"
#include "os/process.hpp"
#include "shard/error.hpp"

namespace shard::family {

// What a worker gets from the family at its birth.
struct newcomer {
  unsigned slot = 0;
  pid_t supervisor = 0;
  std::vector<int> signs_of_life;  // closed in children that the kernel forks: they don't count
  worker_streams streams;          // none: it prints to what it inherits
};

// A worker that was reaped.
struct departure {
  pid_t pid = 0;
  os::ending how;
};

class staff {
 public:
  // Ended: its pidfd says so, but it can't be reaped yet. Dead: its slot needs mending.
  enum class seat_state { vacant, working, ended, dead };

  // signs_of_life: descriptors that are open while somebody lives, for each worker to hold.
  staff(const roster& of, relay& output, std::vector<int> signs_of_life);

  // ---- Seats.

  unsigned seats() const noexcept { return static_cast<unsigned>(seats_.size()); }
  bool is(unsigned slot, seat_state state) const { return seats_[slot].state == state; }
  unsigned in_state(seat_state state) const;
  bool may_run(unsigned slot) const;  // its worker

  // Whether memory has room for one more worker. Where it is short, fewer work at a time.
  bool has_room() const;
  void keep_to(unsigned workers) { most_working_ = workers; }

  // Forks a worker for a vacant seat. `work` is what it does, and must not return. Throws
  // shard::error where that can't be: the seat is dead then, and will have to wait.
  void start(unsigned slot, const std::function<void(const newcomer&)>& work);
  // After start() has thrown that: nobody works, and to try again is in vain.
  bool is_helpless(const error& why) const;

  void kill(unsigned slot) const { seats_[slot].worker.kill(); }
  // Reaps a worker that has ended, and closes its streams. Nullopt: it can't be reaped yet.
  std::optional<departure> reap(unsigned slot);
  // The slot of a dead worker is mended: the seat is vacant.
  void clear(unsigned slot) { seats_[slot].state = seat_state::vacant; }
  // The seat's worker died with the supervisor that had it.
  void inherit(unsigned slot);

  // ---- The standby.

  // Forks one if there is none, unless the run has only begun. `wait` is what it does, and must not
  // return. It is given the pidfd of this supervisor, and its pid. Where there can be no standby,
  // the family goes without.
  void keep_a_standby(const std::function<void(const os::descriptor&, pid_t)>& wait);

  // ---- The loop.

  void begin_turn() noexcept { short_of_processes_ = false; }
  // Every seat is vacant, and none waits for a process.
  bool has_gone() const;

  // Adds what is to be waited for, and for how long. The others are called after the wait.
  void watch(os::poll_set& all);
  void reap_standby(const os::poll_set& found);  // reaps it
  bool has_ended(unsigned slot, const os::poll_set& found) const;
  // What kernels have started and left behind ends as a child of ours: a run that is long enough
  // could have no more processes for its dead.
  void reap_orphans(const os::poll_set& found);

  // Kills and reaps all that live, and their children.
  void end_all();

 private:
  struct seat {
    seat_state state = seat_state::vacant;
    os::process worker;
    os::poll_set::token end;
  };

  os::process fork_off(const std::function<void()>& life);
  void forget();  // in a child: what is the supervisor's

  const roster& roster_;
  relay& relay_;
  std::vector<int> signs_of_life_;
  std::vector<seat> seats_;
  unsigned most_working_;
  unsigned forks_failed_ = 0;  // in a row
  bool short_of_processes_ = false;

  std::chrono::steady_clock::time_point standby_due_;
  os::process standby_;
  os::poll_set::token standby_end_;
  bool standby_ended_ = false;  // but can't be reaped yet
  unsigned standbys_lost_ = 0;

  os::descriptor children_ = os::hear_of_children();  // those of dead kernels among them
  os::poll_set::token child_end_;
  bool orphans_ended_ = false;
};

}  // namespace shard::family
