// Named buffers as a program looks at them, and tidies up.

#include "shard/named.hpp"

#include <utility>

#include "memory/named.hpp"

namespace shard::named {

std::vector<entry> list() {
  memory::found_names found = memory::find_names();
  if (!found.failures.empty()) throw error(found.failures.front());
  std::vector<entry> entries;
  for (memory::found_name& each : found.all) {
    entries.push_back({std::move(each.name), each.size_bytes, each.held});
  }
  return entries;
}

std::vector<std::string> reclaim() {
  memory::leftovers removed = memory::remove_leftovers();
  if (!removed.failures.empty()) throw error(removed.failures.front());
  std::vector<std::string> names;
  for (memory::leftover& each : removed.all) names.push_back(std::move(each.name));
  return names;
}

}  // namespace shard::named
