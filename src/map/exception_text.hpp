// What an exception says of itself, in one line.
#pragma once

#include <string>

namespace shard::mapping {

// The exception that is being handled: "std::runtime_error: cannot fit, because std::logic_error:
// …". Requires: called inside a catch block.
std::string describe_current_exception();

}  // namespace shard::mapping
