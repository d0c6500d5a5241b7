// A spill in a file, for a map whose results outlive its processes.
#pragma once

#include "os/descriptor.hpp"
#include "shard/detail/segment.hpp"

namespace shard::detail {

// go_on: it has one, whose pieces stay; nobody works on it. Throws shard::error and
// os::call_failed.
array make_spill_in(os::descriptor file, bool go_on);

// Gives back what was set aside and not taken: nothing more is taken. Throws os::call_failed.
void trim_spill(const segment& of);

}  // namespace shard::detail
