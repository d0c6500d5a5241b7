// What an open file holds, for inspect() and for the program `shard`.
#pragma once

#include "os/descriptor.hpp"
#include "shard/backing.hpp"
#include "shard/inspect.hpp"

namespace shard::memory {

// Whatever path led to it.
backing kind_of(const os::descriptor& file);

// As inspect() describes the file with a path. Throws malformed and os::call_failed.
array_info described(const os::descriptor& file);

}  // namespace shard::memory
