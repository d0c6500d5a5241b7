// One worker process.
#pragma once

#include <csignal>
#include <vector>

#include "family/crew.hpp"
#include "family/staff.hpp"
#include "memory/segment.hpp"

namespace shard::family {

// What a worker begins with.
struct worker_start {
  const crew& all;
  const std::vector<memory::live_segment>&
      inherited;         // the caller's mappings, which become read-only
  const sigset_t& mask;  // signals the caller blocks
  const newcomer& self;
};

// In the supervisor of a map that a kernel has called: what that kernel's worker may write to is no
// one's here, and nothing else comes to lie there; it goes on reading what it may read.
void restrict_outer_worker() noexcept;

// The life of a worker, from the moment it was forked. Takes the narrowest view of memory it can
// work with, owns its slot of the board until nothing is left to do, and exits.
[[noreturn]] void be_worker(const worker_start& start) noexcept;

}  // namespace shard::family
