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

// The same for a counter of somebody else's, which a write may wait for: if it is full, nothing is
// done.
bool count_foreign_event(int counter) noexcept;

// Whether a descriptor is a counter, as event_counter() makes them, or an eventfd. Throws
// call_failed. Needs /proc.
bool is_event_counter(int descriptor);

// It isn't readable any more until the next event, unless there were very many.
void take_events(const descriptor& counter) noexcept;

}  // namespace shard::os
