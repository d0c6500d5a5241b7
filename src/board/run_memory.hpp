// The memory of a run: its board, and what whoever works on it needs besides.
#pragma once

#include <cstddef>

#include "os/anonymous.hpp"

namespace shard::board {

// All zeros. Throws shard::error if there isn't enough address space.
os::anonymous_memory run_memory(std::size_t bytes, os::sharing how);

}  // namespace shard::board
