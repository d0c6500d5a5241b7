// The standby process: sleeps until its supervisor has died, and takes its place.
#pragma once

#include <sys/types.h>

#include "family/supervisor.hpp"
#include "os/descriptor.hpp"
#include "os/process.hpp"

namespace shard::family {

// The life of a standby, from the moment it was forked. Waits for the supervisor's death, makes
// sure that nothing of it is left, and takes its place. life: its write end is open in the
// supervisor and its workers.
[[noreturn]] void be_standby(const supervision& run, const os::descriptor& supervisor_ended,
                             pid_t supervisor, os::pipe_ends& life) noexcept;

}  // namespace shard::family
