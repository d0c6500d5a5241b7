// Runs without processes: the same board, with threads or one thread in the place of workers. A
// kernel that crashes takes the program with it, and one that runs can't be ended: a second signal
// does what the first one did.
#pragma once

#include "family/crew.hpp"

namespace shard::family {

void run_serial(const crew& all, const on_tick& report_progress);
void run_on_threads(const crew& all, const on_tick& report_progress);

}  // namespace shard::family
