// shard status and shard watch: how far a job is.

#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "command/command.hpp"
#include "command/listing.hpp"
#include "command/output.hpp"
#include "command/values.hpp"
#include "journal/status.hpp"
#include "os/output.hpp"

namespace shard::command {
namespace {

using journal::chunk_under_way;
using journal::job_status;
using journal::map_status;
using nlohmann::ordered_json;

constexpr std::size_t most_shown_workers = 16;

std::string counted(std::uint64_t count, const char* what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string percent(std::uint64_t part, std::uint64_t all) {
  return fmt::format(
      "{:.1f}%", all == 0 ? 100.0 : 100.0 * static_cast<double>(part) / static_cast<double>(all));
}

// In the words of the lock file, which says since when somebody works on the job.
std::string local_time(std::int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  if (::localtime_r(&time, &parts) == nullptr) return "an unknown time";
  std::array<char, 64> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts)};
}

void put_map(output& to, const map_status& one, bool in_use, bool is_last) {
  to.print("map {}: ", one.number);
  if (one.complete) return to.print("complete, {} chunks\n", one.chunks);
  if (!one.known) return to.put("begun, nothing is done\n");
  if (in_use && is_last) {
    to.put("under way");
    if (one.began != 0) to.print(" since {}", local_time(one.began));
    to.put(", ");
  }
  to.print("{} of {} chunks are done ({})", one.committed, one.chunks,
           percent(one.committed, one.chunks));
  if (one.from_checkpoint) to.put(", as of the last checkpoint");
  if (one.failures != 0) to.print(", {}", counted(one.failures, "failure"));
  if (one.given_up != 0)
    to.print(", {} given up",
             one.given_up == 1 ? "1 index" : fmt::format("{} indices", one.given_up));
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

// Anybody who may write to the folder can have written what its files say.
void put_text(output& to, const job_status& found, const std::string& folder) {
  const std::string host = printable(found.by.host);
  const std::string since = printable(found.by.since);
  if (found.in_use) {
    to.print("{}: in use by process {} on {} since {}\n", printable(folder), found.by.pid, host,
             since);
  } else {
    to.print("{}: nobody works on it; the last start was on {} at {}\n", printable(folder), host,
             since);
  }
  if (found.maps.empty()) to.put("no map has begun\n");
  for (const map_status& one : found.maps) {
    put_map(to, one, found.in_use, &one == &found.maps.back());
  }
}

void put_object(output& to, const job_status& found) {
  ordered_json all{{"in_use", found.in_use},
                   {"pid", found.by.pid},
                   {"host", found.by.host},
                   {"since", found.by.since},
                   {"starts", found.starts}};
  all["maps"] = ordered_json::array();
  for (const map_status& one : found.maps) {
    ordered_json map{{"number", one.number},
                     {"complete", one.complete},
                     {"known", one.known},
                     {"from_checkpoint", one.from_checkpoint},
                     {"chunks", one.chunks},
                     {"committed", one.committed},
                     {"carried_over", one.carried_over},
                     {"failures", one.failures},
                     {"given_up", one.given_up},
                     {"began", one.began == 0 ? ordered_json() : ordered_json(one.began)}};
    map["under_way"] = ordered_json::array();
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
  if (one.failures != 0) text += ", " + counted(one.failures, "failure");
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
      put_json(to, ordered_json(obstacles));
    } else {
      for (const std::string& each : obstacles) to.print("{}\n", printable(each));
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
