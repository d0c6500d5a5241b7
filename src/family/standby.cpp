#include "family/standby.hpp"

#include <chrono>
#include <optional>
#include <string>

#include "os/own_pid.hpp"

namespace shard::family {

using namespace std::chrono_literals;

// How long a standby leaves it to the supervisor to end the run of a caller that has died.
constexpr auto grace = 500ms;

void be_standby(const supervision& run, const os::descriptor& supervisor_ended, pid_t supervisor,
                os::pipe_ends& life) noexcept {
  os::call_itself("shard standby");
  const roster& family = run.family;
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
  if (caller.ready || family.is(finished) || family.is(dismissed)) os::leave(0);
  // Release: pairs with the acquire of a caller that looks for its pid.
  if (family.takeovers().fetch_add(1, std::memory_order_release) >= deaths_borne) {
    family.tell_trouble("more than " + std::to_string(deaths_borne) + " supervisors died");
    os::leave(1);
  }
  be_supervisor(run, true);
}

}  // namespace shard::family
