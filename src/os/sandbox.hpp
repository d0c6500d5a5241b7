// What a sandbox denies. Filters (seccomp) of containers and services make a system call fail with
// EPERM or ENOSYS, whatever its arguments.
#pragma once

#include <optional>
#include <string>

namespace shard::os {

struct denied_call {
  std::string name;
  int error = 0;
};

// The first of the calls that this process must be able to make, before it can supervise worker
// processes or start threads, and that it may not make. Each is tried so that nothing changes.
std::optional<denied_call> denied_for_processes() noexcept;
std::optional<denied_call> denied_for_threads() noexcept;

// Whether the kernel hands on the robust mutexes of this process and those it forks, when one dies.
bool hands_on_locks() noexcept;

}  // namespace shard::os
