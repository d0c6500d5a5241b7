// Counters that event loops can wait for. eventfd(2).
#pragma once

#include "os/descriptor.hpp"

namespace shard::os {

// Not blocking, close-on-exec. Where a sandbox denies eventfd, a pipe does the same, but each read
// of it gets one event, not their sum. Throws call_failed.
descriptor event_counter();

// Adds one. A counter that is full stays so: it is readable, which is what counts. False: it can't
// be written to.
bool count_event(int counter) noexcept;

// It isn't readable any more until the next event, unless there were very many.
void take_events(const descriptor& counter) noexcept;

}  // namespace shard::os
