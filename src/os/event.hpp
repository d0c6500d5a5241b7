// Counters that event loops can wait for. eventfd(2).
#pragma once

#include "os/descriptor.hpp"

namespace shard::os {

// Not blocking, close-on-exec. Throws call_failed.
descriptor event_counter();

// Adds one. A counter that is full stays so: it is readable, which is what counts.
void count_event(int counter) noexcept;

}  // namespace shard::os
