// shard gc: removes named buffers that killed processes have left.

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command/command.hpp"
#include "command/listing.hpp"
#include "command/output.hpp"
#include "command/values.hpp"
#include "memory/named.hpp"

namespace shard::command {
namespace {

using memory::leftover;
using memory::leftovers;

void put_text(output& to, const leftovers& found, bool dry_run) {
  const std::vector<leftover>& all = found.all;
  std::size_t sum = 0;
  for (const leftover& each : all) {
    to.print("{} {}  {} bytes\n", dry_run ? "would remove" : "removed", printable(each.name),
             each.size_bytes);
    sum += each.size_bytes;
  }
  if (all.empty() && found.failures.empty()) {
    to.put("nothing is left by processes that were killed\n");
  } else if (all.size() > 1) {
    to.print("{} buffers, {} bytes\n", all.size(), sum);
  }
}

void put_objects(output& to, const std::vector<leftover>& all, bool dry_run) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const leftover& each : all) {
    list.push_back({{"name", each.name}, {"bytes", each.size_bytes}, {"removed", !dry_run}});
  }
  put_json(to, list);
}

}  // namespace

status gc(bool dry_run, bool as_json) {
  const memory::leftovers found = dry_run ? memory::find_leftovers() : memory::remove_leftovers();
  output to;
  as_json ? put_objects(to, found.all, dry_run) : put_text(to, found, dry_run);
  to.flush();
  for (const error& why : found.failures) complain(why.what());
  return found.failures.empty() ? status::ok : status::failed;
}

}  // namespace shard::command
