// The lock of a buffer: exclusive or shared, robust, and known to the thread that holds it.
#pragma once

#include "shard/detail/sharing.hpp"

namespace shard::detail {

// Unlocks what the calling thread holds by this handle: before it is closed.
void release_locks(const segment& of) noexcept;

}  // namespace shard::detail
