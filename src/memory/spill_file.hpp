// A spill in a file, for a map whose results outlive its processes.
#pragma once

#include "os/descriptor.hpp"
#include "shard/detail/segment.hpp"

namespace shard::detail {

// go_on: it has one, whose pieces stay; nobody works on it. Throws shard::error and
// os::call_failed.
array make_spill_in(os::descriptor file, bool go_on);

}  // namespace shard::detail
