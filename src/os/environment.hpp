// The variables of this process's environment, by their names.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace shard::os {

// The names that begin with `prefix`, sorted, each once.
std::vector<std::string> variables_beginning_with(std::string_view prefix);
// All variables, as NAME=value.
std::vector<std::string> own_environment();

}  // namespace shard::os
