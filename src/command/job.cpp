// shard status and shard watch: how far a job is.

#include <chrono>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "command/command.hpp"
#include "command/listing.hpp"
#include "command/output.hpp"
#include "journal/status.hpp"
#include "os/output.hpp"

namespace shard::command {
namespace {

using journal::chunk_under_way;
using journal::job_status;
using journal::map_status;

constexpr std::size_t most_shown_workers = 16;

std::string percent(std::uint64_t part, std::uint64_t all) {
  return fmt::format(
      "{:.1f}%", all == 0 ? 100.0 : 100.0 * static_cast<double>(part) / static_cast<double>(all));
}

void put_map(output& to, const map_status& one, bool in_use, bool is_last) {
  to.print("map {}: ", one.number);
  if (one.complete) return to.print("complete, {} chunks\n", one.chunks);
  if (!one.known) return to.put("begun, nothing is done\n");
  to.print("{}{} of {} chunks are done ({})", in_use && is_last ? "under way, " : "", one.committed,
           one.chunks, percent(one.committed, one.chunks));
  if (one.from_checkpoint) to.put(", as of the last checkpoint");
  if (one.failures != 0) to.print(", {} failures", one.failures);
  if (one.given_up != 0) to.print(", {} indices given up", one.given_up);
  to.put('\n');
  std::size_t shown = 0;
  for (const chunk_under_way& each : one.under_way) {
    if (shown++ == most_shown_workers) {
      to.print("  and {} workers more\n", one.under_way.size() - most_shown_workers);
      break;
    }
    to.print("  worker {}: chunk {}", each.worker, each.chunk);
    if (!each.indices.empty()) {
      to.print(", indices [{}, {})", each.indices.first, each.indices.last);
    }
    to.print(", for {:.1f} s\n", each.seconds);
  }
}

void put_text(output& to, const job_status& found, const std::string& folder) {
  if (found.in_use) {
    to.print("{}: in use by process {} on {} since {}\n", folder, found.by.pid, found.by.host,
             found.by.since);
  } else {
    to.print("{}: nobody works on it; the last start was on {} at {}\n", folder, found.by.host,
             found.by.since);
  }
  if (found.maps.empty()) to.put("no map has begun\n");
  for (const map_status& one : found.maps) {
    put_map(to, one, found.in_use, &one == &found.maps.back());
  }
}

void put_object(output& to, const job_status& found) {
  nlohmann::ordered_json all{{"in_use", found.in_use},
                             {"pid", found.by.pid},
                             {"host", found.by.host},
                             {"since", found.by.since},
                             {"starts", found.starts}};
  all["maps"] = nlohmann::ordered_json::array();
  for (const map_status& one : found.maps) {
    nlohmann::ordered_json map{{"number", one.number},
                               {"complete", one.complete},
                               {"known", one.known},
                               {"from_checkpoint", one.from_checkpoint},
                               {"chunks", one.chunks},
                               {"committed", one.committed},
                               {"carried_over", one.carried_over},
                               {"failures", one.failures},
                               {"given_up", one.given_up}};
    map["under_way"] = nlohmann::ordered_json::array();
    for (const chunk_under_way& each : one.under_way) {
      map["under_way"].push_back({{"worker", each.worker},
                                  {"chunk", each.chunk},
                                  {"indices", {each.indices.first, each.indices.last}},
                                  {"seconds", each.seconds}});
    }
    all["maps"].push_back(std::move(map));
  }
  put_json(to, all);
}

// One line, as far as the eye is concerned: what changes.
std::string line_of(const job_status& found, double rate) {
  if (found.maps.empty()) return "no map has begun";
  const map_status& one = found.maps.back();
  if (one.complete) return fmt::format("map {} is complete", one.number);
  std::string text = fmt::format("map {}: {} of {} chunks ({})", one.number, one.committed,
                                 one.chunks, percent(one.committed, one.chunks));
  if (one.failures != 0) text += fmt::format(", {} failures", one.failures);
  if (rate > 0) {
    const auto left = static_cast<double>(one.chunks - one.committed) / rate;
    text += fmt::format(", {:.3g} chunks/s, {:.0f} s left", rate, left);
  }
  return text;
}

}  // namespace

status job_status_of(const std::string& folder, bool why, bool as_json) {
  output to;
  if (why) {
    const std::vector<std::string> obstacles = journal::obstacles_in(folder);
    if (as_json) {
      put_json(to, nlohmann::ordered_json(obstacles));
    } else {
      for (const std::string& each : obstacles) to.print("{}\n", each);
      if (obstacles.empty()) {
        to.put("all inputs are as they were; what else has changed only the program can tell\n");
      }
    }
    to.flush();
    return obstacles.empty() ? status::ok : status::failed;
  }
  const job_status found = journal::status_of(folder);
  as_json ? put_object(to, found) : put_text(to, found, folder);
  to.flush();
  return status::ok;
}

// On a terminal the line is written over. Elsewhere a line is added when something has changed.
status watch(const std::string& folder, double every) {
  using clock = std::chrono::steady_clock;
  const bool redraws = os::is_terminal(1);
  std::string last;
  std::uint64_t before = 0;
  std::size_t map_before = 0;
  clock::time_point then = clock::now();
  double rate = 0;
  for (;;) {
    const job_status found = journal::status_of(folder);
    const clock::time_point now = clock::now();
    if (!found.maps.empty()) {
      const map_status& one = found.maps.back();
      const double passed = std::chrono::duration<double>(now - then).count();
      if (one.number != map_before) {
        rate = 0;
      } else if (passed > 0 && one.committed >= before) {
        const double here = static_cast<double>(one.committed - before) / passed;
        rate = rate == 0 ? here : 0.7 * rate + 0.3 * here;  // the pace of late
      }
      before = one.committed;
      map_before = one.number;
      then = now;
    }
    const std::string line = line_of(found, rate);
    output to;
    if (redraws) {
      to.print("\r\x1b[K{}", line);
    } else if (line != last) {
      to.print("{}\n", line);
    }
    last = line;
    if (!found.in_use) {
      to.put(redraws ? "\nnobody works on it\n" : "nobody works on it\n");
      to.flush();
      return status::ok;
    }
    to.flush();
    std::this_thread::sleep_for(std::chrono::duration<double>(every));
  }
}

}  // namespace shard::command
