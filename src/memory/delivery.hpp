// What comes over a socket from another process.
#pragma once

#include <string>
#include <vector>

#include "os/descriptor.hpp"
#include "os/socket.hpp"

namespace shard::memory {

// The descriptors of a message, one at least. Throws malformed.
std::vector<os::descriptor> delivered(os::delivery received, const std::string& wanted);

// The same descriptor, if it is an eventfd. Throws malformed and os::call_failed.
os::descriptor checked_event(os::descriptor event);

}  // namespace shard::memory
