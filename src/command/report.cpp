// shard report: what a map has left as report.json, for people.

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "command/command.hpp"
#include "command/output.hpp"
#include "shard/error.hpp"
#include "shard/histogram_files.hpp"
#include "shard/report.hpp"

namespace shard::command {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Of a member that is not there, the value that it has by itself: reports of earlier versions have
// fewer.
template <class T>
T member(const json& of, const char* name, T otherwise = {}) {
  return of.value(name, otherwise);
}
seconds time(const json& of, const char* name) { return seconds(member<double>(of, name)); }

range range_in(const json& of) {
  return {of.at(0).get<std::size_t>(), of.at(1).get<std::size_t>()};
}
range a_range(const json& of, const char* name) {
  return of.contains(name) ? range_in(of.at(name)) : range{};
}

const json& list(const json& of, const char* name) {
  static const json none = json::array();
  return of.contains(name) ? of.at(name) : none;
}

std::vector<range> ranges(const json& of, const char* name) {
  std::vector<range> all;
  for (const json& one : list(of, name)) all.push_back(range_in(one));
  return all;
}

failure failure_in(const json& of) {
  return {.chunk = member<std::size_t>(of, "chunk"),
          .indices = a_range(of, "indices"),
          .stride = member<std::size_t>(of, "stride", 1),
          .empty_part = member<bool>(of, "empty_part"),
          .kind = member<std::string>(of, "kind"),
          .what = member<std::string>(of, "what"),
          .signal = member<int>(of, "signal"),
          .exit_status = member<int>(of, "exit_status"),
          .attempt = member<unsigned>(of, "attempt"),
          .worker = member<unsigned>(of, "worker"),
          .exception = member<std::string>(of, "exception"),
          .stack = member<std::vector<std::string>>(of, "stack"),
          .stderr_tail = member<std::string>(of, "stderr_tail"),
          .pid = member<int>(of, "pid"),
          .at = time(of, "at"),
          .elapsed = time(of, "elapsed"),
          .user_time = time(of, "user_time"),
          .system_time = time(of, "system_time"),
          .max_rss_bytes = member<std::size_t>(of, "max_rss_bytes"),
          .from_outside = member<bool>(of, "from_outside")};
}

run_counts counts_in(const json& of) {
  run_counts counts{.map = member<std::size_t>(of, "map"),
                    .chunks = member<std::size_t>(of, "chunks"),
                    .grain = member<std::size_t>(of, "grain"),
                    .workers = member<unsigned>(of, "workers"),
                    .retries = member<std::size_t>(of, "retries"),
                    .deaths = member<std::size_t>(of, "deaths"),
                    .replacements = member<std::size_t>(of, "replacements"),
                    .takeovers = member<std::size_t>(of, "takeovers"),
                    .failures_lost = member<std::size_t>(of, "failures_lost"),
                    .output_lost = member<std::size_t>(of, "output_lost")};
  counts.forking = time(of, "forking");
  counts.forked_bytes = member<std::size_t>(of, "forked_bytes");
  counts.looking = time(of, "looking");
  counts.without = member<std::vector<std::string>>(of, "without");
  return counts;
}

worker_resources worker_in(const json& of) {
  return {.worker = member<unsigned>(of, "worker"),
          .processes = member<unsigned>(of, "processes"),
          .chunks = member<std::size_t>(of, "chunks"),
          .user_time = time(of, "user_time"),
          .system_time = time(of, "system_time"),
          .page_faults = member<std::size_t>(of, "page_faults"),
          .peak_private_bytes = member<std::size_t>(of, "peak_private_bytes"),
          .began = time(of, "began"),
          .ended = time(of, "ended"),
          .working = time(of, "working"),
          .publishing = time(of, "publishing"),
          .waiting = time(of, "waiting"),
          .busy = member<std::vector<float>>(of, "busy")};
}

run_resources resources_in(const json& of) {
  run_resources used{.recorded = member<bool>(of, "recorded"),
                     .processes = member<bool>(of, "processes"),
                     .starting = member<double>(of, "starting"),
                     .working = member<double>(of, "working"),
                     .publishing = member<double>(of, "publishing"),
                     .waiting = member<double>(of, "waiting"),
                     .median_chunk = time(of, "median_chunk"),
                     .output_stalled = time(of, "output_stalled"),
                     .memory_limit_bytes = member<std::size_t>(of, "memory_limit_bytes")};
  for (const json& one : list(of, "workers")) used.workers.push_back(worker_in(one));
  for (const json& one : list(of, "replacements")) {
    used.replacements.push_back({member<unsigned>(one, "worker"), time(one, "at")});
  }
  if (const json& slowest = of.contains("slowest") ? of.at("slowest") : json();
      slowest.is_object()) {
    used.slowest =
        chunk_record{.chunk = member<std::size_t>(slowest, "chunk"),
                     .indices = a_range(slowest, "indices"),
                     .stride = member<std::size_t>(slowest, "stride", 1),
                     .worker = member<unsigned>(slowest, "worker"),
                     .attempt = member<unsigned>(slowest, "attempt", 1),
                     .start = time(slowest, "start"),
                     .duration = time(slowest, "duration"),
                     .cause = {},  // it is complete
                     .peak_private_bytes = member<std::size_t>(slowest, "peak_private_bytes")};
  }
  return used;
}

report report_in(const json& of) {
  index_sets sets{.completed = ranges(of, "completed"),
                  .failed = ranges(of, "failed"),
                  .not_tried = ranges(of, "not_tried"),
                  .missing_chunks = ranges(of, "missing_chunks")};
  std::vector<failure> failures;
  for (const json& one : list(of, "failures")) failures.push_back(failure_in(one));
  return report(std::move(sets), std::move(failures), counts_in(of.at("counts")),
                time(of, "elapsed"), member<std::string>(of, "trouble"),
                resources_in(of.contains("resources") ? of.at("resources") : json::object()));
}

std::string contents(const fs::path& file) {
  errno = 0;
  std::ifstream from(file, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(from), {}};
  if (!from.is_open() || from.bad()) {
    const std::error_code why(errno != 0 ? errno : EIO, std::generic_category());
    throw error(why, "cannot read " + file.string() + ": found '" + why.message() +
                         "', expected the report of a map in JSON");
  }
  return text;
}

report read(const fs::path& file) {
  const std::string text = contents(file);
  try {
    return report_in(json::parse(text));
  } catch (const json::exception& e) {
    throw error(std::errc::invalid_argument, "cannot read " + file.string() + ": found that " +
                                                 e.what() +
                                                 ", expected what report::json() has written");
  }
}

}  // namespace

status report_of(const report_request& asked) {
  std::error_code none;
  const fs::path given(asked.file);
  const fs::path file = fs::is_directory(given, none) ? given / "report.json" : given;
  const report of = read(file);
  std::string text;
  if (asked.as_html) {
    text = of.html("Report of " + asked.file);
  } else {
    std::ostringstream lines;
    lines << of << "\n";
    text = std::move(lines).str();
  }
  if (!asked.to.empty()) {
    detail::save_text(asked.to, text, durability::memory);
    return status::ok;
  }
  output to;
  to.put(text);
  to.flush();
  return status::ok;
}

}  // namespace shard::command
