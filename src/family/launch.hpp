// The caller's side of a family of processes: starts it, hears when nobody of it is left, and ends
// it.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <vector>

#include "family/roster.hpp"
#include "family/supervisor.hpp"
#include "memory/segment.hpp"
#include "os/descriptor.hpp"
#include "os/process.hpp"

namespace shard::family {

// What must be seen to before a family is started: other threads, calls that the system denies,
// output that is still in buffers. Says how the supervisor is to be forked. Throws shard::error if
// it can't be.
os::child_exit prepare_to_fork(const roster& family, bool allow_threads);
// The same where nothing is forked.
void prepare_to_spawn();

class launch {
 public:
  // What every supervisor is given.
  struct gifts {
    const os::descriptor& called_off;  // readable when all is to end
    os::pipe_ends&
        life;  // to hold the write end of, as long as it, or anyone whom it starts, lives
    // Meanwhile no other thread drops a buffer, or begins a map: a child that is forked lets go.
    std::unique_lock<std::mutex>& others;
  };
  // Starts the process that becomes the supervisor.
  using birth = std::function<os::process(const gifts&)>;

  // Throws shard::error, or os::call_failed, after which nobody is left.
  launch(const roster& family, const birth& begin);
  launch(const launch&) = delete;
  launch& operator=(const launch&) = delete;

  // Readable once nobody of the family is left.
  const os::descriptor& end() const noexcept { return end_; }

  // Ends all at once: the supervisor does it, with all that it has adopted from kernels. If it
  // can't (it is stopped), its standby ends the workers, sees that the family is dismissed, and
  // leaves. Returns once nobody is left.
  void call_off(std::chrono::milliseconds patience);

  // The standby takes over, which ends all workers.
  void kill_supervisor() const noexcept { supervisor_.kill(); }

  // How the first supervisor has ended. Requires: nobody is left.
  os::ending bury() const;

 private:
  void end_successors() const;

  const roster& family_;
  os::process supervisor_;
  os::descriptor end_;  // of the pipe that who lives holds the other end of
  os::descriptor called_off_;
};

// What a supervisor begins with, but for what every launch adds. Called while no other thread makes
// or drops a buffer; `inherited`: those that the family inherits.
using briefing = std::function<supervision(std::vector<memory::live_segment> inherited)>;

// A supervisor that is forked. `again`: an earlier one may have left something undone. `brief`
// must outlive what is returned.
launch::birth forked(os::child_exit how, bool again, const briefing& brief);

// Once nobody is left: whether the last supervisor was killed before it had a standby, so that
// another one can begin where it did. At most so many are started.
bool died_at_birth(const roster& family) noexcept;
constexpr int most_births = 3;

// Once nobody is left, and none is started again: says why, on the roster, unless somebody did.
// Throws shard::error if the system has refused what a supervisor needs.
void tell_why_nobody_is_left(const roster& family);

}  // namespace shard::family
