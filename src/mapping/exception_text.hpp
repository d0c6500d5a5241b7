// What an exception says of itself, in one line.
#pragma once

#include <string>
#include <string_view>

namespace shard::mapping {

// The exception that is being handled: "std::runtime_error: cannot fit, because std::logic_error:
// …". Requires: called inside a catch block.
std::string describe_current_exception() noexcept;

// The type that such a description begins with.
std::string_view type_in(std::string_view description);

}  // namespace shard::mapping
