// What a process takes of memory, and what the system does to those that take too much.
#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <optional>

#include "os/usage.hpp"

namespace shard::os {

// Memory that this process alone has written to: not what it inherited and has only read
// (Private_Dirty), nor shared memory, which counts as private while one process alone has touched
// it. Takes milliseconds for each GiB. 0 where it can't be read.
std::size_t private_bytes(const std::filesystem::path& root = "/");

// What private_bytes() can have grown by since an earlier glance, without the cost of looking: 1
// µs.
struct memory_glance {
  std::size_t anonymous_bytes = 0;  // in memory: what it has written to, and what it has inherited
  std::size_t faulted_bytes = 0;    // ever; more, if it has overwritten what it had inherited
  std::size_t shared_bytes = 0;     // in memory: of files, and memory that others may have, too
  std::size_t peak_bytes = 0;       // that were ever in memory, of both kinds
  std::optional<usage> used = {};   // nothing: the system does not tell

  // The growth since then: of memory that was new to the process, and at most of all of it.
  std::size_t new_since(const memory_glance& then) const noexcept {
    return anonymous_bytes > then.anonymous_bytes ? anonymous_bytes - then.anonymous_bytes : 0;
  }
  std::size_t most_since(const memory_glance& then) const noexcept {
    return std::max(new_since(then), faulted_bytes - then.faulted_bytes);
  }
};
memory_glance glance_at_own_memory() noexcept;

// How many processes the kernel has killed for want of memory in this process's control group (v1
// or v2), or nothing where it doesn't say. `root` is where /proc and /sys are found.
std::optional<std::size_t> kills_for_memory(const std::filesystem::path& root = "/");

// From now on this process and those it forks are killed for want of memory before others that take
// as much. False: the system chooses by size alone.
[[nodiscard]] bool volunteer_for_memory_kills() noexcept;

}  // namespace shard::os
