#include "family/standby.hpp"

#include <chrono>
#include <cstdio>
#include <optional>

namespace shard::family {

using namespace std::chrono_literals;

// How long a standby leaves it to the supervisor to end the run of a caller that has died.
constexpr auto grace = 500ms;

void be_standby(const supervision& run, const os::descriptor& supervisor_ended, pid_t supervisor,
                os::pipe_ends& life) noexcept {
  os::call_itself("shard standby");
  const board::board& on = run.all.board;
  const roster& family = run.all.roster;
  if (!os::lead_own_group()) os::leave(1);  // its supervisor could
  family.leader(family.takeovers().load(std::memory_order_relaxed) + 1)
      .store(os::own_pid(), std::memory_order_relaxed);
  os::unblock_signals(run.mask);
  life.write = {};
  os::watched dead[]{{supervisor_ended.get()}, {run.caller.get()}};
  while (!dead[0].ready && !dead[1].ready) os::wait_ready(dead, std::nullopt);
  // When the caller dies the supervisor ends the run, and us, unless it is stopped.
  if (!dead[0].ready) os::wait_ready({dead, 1}, grace);
  os::kill_group(supervisor);
  os::wait_for_end_of_file(life.read);

  os::watched caller{run.caller.get()};
  os::wait_ready({&caller, 1}, 0ms);
  if (caller.ready || (on.controls() & (board::finished | board::cancelled)) != 0) os::leave(0);
  // Release: pairs with the acquire of a caller that looks for its pid.
  if (family.takeovers().fetch_add(1, std::memory_order_release) >= deaths_borne) {
    std::snprintf(family.trouble(), roster::trouble_bytes, "more than %u supervisors died",
                  deaths_borne);
    os::leave(1);
  }
  be_supervisor(run, true);
}

}  // namespace shard::family
