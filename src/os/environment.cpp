#include "os/environment.hpp"

#include <unistd.h>

#include <set>

namespace shard::os {

std::vector<std::string> variables_beginning_with(std::string_view prefix) {
  std::set<std::string> found;
  // Null after clearenv().
  for (char** each = ::environ; each != nullptr && *each != nullptr; ++each) {
    const std::string_view variable(*each);
    if (variable.starts_with(prefix)) found.emplace(variable.substr(0, variable.find('=')));
  }
  return {found.begin(), found.end()};
}

std::vector<std::string> own_environment() {
  std::vector<std::string> all;
  for (char** each = ::environ; each != nullptr && *each != nullptr; ++each)
    all.emplace_back(*each);
  return all;
}

}  // namespace shard::os
