// The stacks of a run's failures, in words. Done once, when the run is over, in a process of the
// same image that is about to end: what names take to be found is then given back.
#pragma once

#include "board/board.hpp"

namespace shard::family {

// Writes names into the records of the board that have a stack.
void name_stacks(const board::board& on);

}  // namespace shard::family
