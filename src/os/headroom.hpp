// How much more memory and file this process may use, found out without using any.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace shard::os {

// What is left under a limit, and what the limit is called: "RLIMIT_FSIZE", "MemAvailable", …
struct headroom {
  std::size_t available_bytes = 0;
  std::string limit;
};

// The longest file this process may make. A longer one would raise SIGXFSZ, memory files included.
headroom file_size_headroom();

// How much a process may map (ulimit -v).
headroom address_space_limit();

// The tightest of the machine's memory (available, and swap) and of the cgroups this process is in,
// whose file cache counts as available. `wanted_bytes` saves work: limits that allow it plainly are
// not looked into further, nor anything that was looked into a few milliseconds ago. `root` is
// where /proc and /sys are found; what can't be read limits nothing.
headroom memory_headroom(std::size_t wanted_bytes, const std::filesystem::path& root = "/");

}  // namespace shard::os
