// Variables of the environment whose names begin with SHARD_, and which shard does not know: most
// likely misspelt ones, which would have no effect, and nobody would see why.
#pragma once

#include <string>
#include <string_view>

namespace shard::mapping {

// What is told of one, with the nearest name that shard knows, if one is near.
std::string line_about_unknown_variable(std::string_view name);

// Prints a line on stderr for each, at the first call in this process. A process that is forked
// after that call prints nothing. Never waits: a stream that is full or closed gets nothing.
void tell_unknown_variables();

}  // namespace shard::mapping
