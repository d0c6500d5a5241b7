// Tells a stack overflow from other faults.
#pragma once

#include <cstddef>
#include <optional>

#include "os/last_words.hpp"

namespace shard::os {

struct overflown_stack {
  std::size_t size_bytes = 0;  // that it may have; 0: it has no limit of its own
  bool by_ulimit = false;      // the size is RLIMIT_STACK's, as of a process's first thread
};

// The stack that has overflown, if that is why an access to `address` has faulted: the thread's
// stack pointer is at the address, or below it, and the nearest memory above both is the stack's.
// Nothing where the system does not tell (/proc/self/maps). Async-signal-safe.
std::optional<overflown_stack> stack_overflow_at(interruption where, const void* address) noexcept;

}  // namespace shard::os
