// Runs in supervised processes, as the caller sees them.
#pragma once

#include "family/crew.hpp"

namespace shard::family {

// Returns when no process of the run is left. Throws shard::error if the run can't be started,
// among others since the program has other threads and `allow_threads` is false. What
// report_progress throws ends the run at once, and so does a second signal.
void run_in_processes(const crew& all, bool allow_threads, const on_tick& report_progress);

}  // namespace shard::family
