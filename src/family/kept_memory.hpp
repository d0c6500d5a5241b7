// The memory of runs without processes. Some of those that are over leave theirs to later runs of
// the same shape: to touch fresh memory takes longer than many a run.
#pragma once

#include "board/board.hpp"
#include "os/anonymous.hpp"

namespace shard::family {

// For a board of this size, and behind it its roster. Nobody has begun anything there. Throws
// shard::error if there isn't enough address space.
os::anonymous_memory memory_in_this_process(const board::dimensions& size);

// Requires: it was made by that for this size, and nobody uses it any more.
void give_back(os::anonymous_memory memory, const board::dimensions& size) noexcept;

}  // namespace shard::family
