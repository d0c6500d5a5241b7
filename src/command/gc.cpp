// shard gc: removes named buffers that killed processes have left.

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command/command.hpp"
#include "command/listing.hpp"
#include "command/output.hpp"
#include "memory/named.hpp"

namespace shard::command {
namespace {

using memory::leftover;

void put_text(output& to, const std::vector<leftover>& all, bool dry_run) {
  std::size_t sum = 0;
  for (const leftover& each : all) {
    to.print("{} {}  {} bytes\n", dry_run ? "would remove" : "removed", each.name, each.size_bytes);
    sum += each.size_bytes;
  }
  if (all.empty()) {
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

void add_gc(CLI::App& program, status& result) {
  struct request {
    bool dry_run = false;
    bool as_json = false;
  };
  CLI::App* const gc =
      program.add_subcommand("gc", "Remove named buffers that killed processes have left");
  const auto asked = std::make_shared<request>();
  gc->add_flag("-n,--dry-run", asked->dry_run, "Only show what would be removed");
  gc->add_flag("--json", asked->as_json, "As a JSON array, with an object for each");
  gc->footer(
      "A named buffer (/dev/shm/shard.NAME) goes with its last handle, unless that was killed.\n"
      "Whether anyone holds it is told by a lock that the kernel drops, never by a process's\n"
      "number. What is held, another user's, or no buffer is left alone.\n\n"
      "Examples:\n"
      "  shard gc --dry-run\n"
      "  shard gc --json | jq 'map(.bytes) | add'");
  gc->callback([asked, &result] {
    const memory::leftovers found =
        asked->dry_run ? memory::find_leftovers() : memory::remove_leftovers();
    output to;
    asked->as_json ? put_objects(to, found.all, asked->dry_run)
                   : put_text(to, found.all, asked->dry_run);
    to.flush();
    for (const std::string& why : found.failures) complain(why);
    result = found.failures.empty() ? status::ok : status::failed;
  });
}

}  // namespace shard::command
