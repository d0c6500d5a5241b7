// How much stack a thread has.
#pragma once

#include <cstddef>

namespace shard::os {

// The size of the calling thread's stack, where there is a limit; else one that is hardly ever used
// up.
std::size_t own_stack_bytes() noexcept;

}  // namespace shard::os
