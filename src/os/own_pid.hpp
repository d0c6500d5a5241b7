// Which process this is: what a forked child must not do for its parent hangs on that.
#pragma once

#include <sys/types.h>

namespace shard::os {

// A system call only the first time in each process. Requires: not between vfork(2) and exec(2).
pid_t own_pid() noexcept;

pid_t own_thread() noexcept;  // its id

}  // namespace shard::os
