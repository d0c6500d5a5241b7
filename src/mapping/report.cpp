#include "shard/report.hpp"

#include <algorithm>
#include <iomanip>
#include <iterator>
#include <ostream>
#include <span>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

#include "mapping/printable.hpp"
#include "mapping/ranges.hpp"

namespace shard {
namespace {

using mapping::indices_in;
using mapping::printable;

// What a printed report tells: failures, and of each of them frames and lines of stderr.
constexpr std::size_t most_shown = 20;
constexpr std::size_t most_frames = 12;
constexpr std::size_t longest_frame = 240;
constexpr std::size_t most_lines = 5;
constexpr std::size_t longest_line = 200;

std::string plural(std::size_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string brief(seconds time) {
  std::ostringstream text;
  text.precision(3);
  text << time.count() << " s";
  return text.str();
}

// Not at a chunk.
bool is_outside(const failure& one) { return one.indices.empty() && !one.empty_part; }

// What failed, in one line.
void print_line(std::ostream& to, const failure& one) {
  if (is_outside(one)) {
    to << "worker " << one.worker << " outside of any chunk";
  } else {
    if (one.empty_part) {
      to << "an empty part at index " << one.indices.first;
    } else if (one.indices.size() == 1) {
      to << "index " << one.indices.first;
    } else {
      to << "indices [" << one.indices.first << ", " << one.indices.last << ")";
      if (one.stride != 1) to << " in steps of " << one.stride;
    }
    to << " (chunk " << one.chunk << "), attempt " << one.attempt << ", worker " << one.worker
       << ", after " << brief(one.elapsed);
  }
  to << ": " << (one.kind == "exception" ? "exception " : "") << printable(one.what);
}

// The C and C++ libraries: the innermost of their frames are how a program ends: raise, abort, …
bool of_a_system_library(std::string_view frame) {
  constexpr std::string_view libraries[]{"libc.so", "libstdc++.so", "libgcc_s.so", "libm.so"};
  const std::size_t in = frame.rfind(" in ");
  const std::string_view place = in == std::string_view::npos ? frame : frame.substr(in + 4);
  return std::ranges::any_of(libraries,
                             [place](std::string_view name) { return place.starts_with(name); });
}

// Code that the program's author didn't write: libraries, and templates of their headers. A
// function template's name has the returned type before it.
bool of_the_system(std::string_view frame) {
  if (of_a_system_library(frame) || frame.find(" at /usr/") != std::string_view::npos) return true;
  const std::string_view name = frame.substr(0, frame.find('('));
  const std::string_view last = name.substr(name.find_last_of(' ', name.size() - 1) + 1);
  return last.starts_with("std::") || last.starts_with("__gnu_cxx::") || name.starts_with("std::");
}

std::string cut(const std::string& text, std::size_t bytes) {
  return text.size() <= bytes ? text : text.substr(0, bytes) + "...";
}

// "(41234 frames are left out)"
bool is_a_remark(std::string_view line) { return line.starts_with('(') && line.ends_with(')'); }

// The lines of a printed stack: the program's own frames, and less far to the left those of
// libraries, of which many in a row are counted.
std::vector<std::string> printed_frames(std::span<const std::string> stack) {
  constexpr std::size_t few = 3;
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < stack.size();) {
    const std::string& frame = stack[at];
    std::size_t end = at + 1;
    if (is_a_remark(frame)) {
      lines.push_back("    " + frame);
    } else if (!of_the_system(frame)) {
      while (end < stack.size() && stack[end] == frame) ++end;
      lines.push_back("    in " + cut(frame, longest_frame));
      if (end - at > 1) lines.back() += ", " + std::to_string(end - at) + " times";
    } else {
      while (end < stack.size() && !is_a_remark(stack[end]) && of_the_system(stack[end])) ++end;
      const std::size_t shown = end - at <= few ? end - at : few - 1;
      for (std::size_t k = at; k < at + shown; ++k) {
        lines.push_back("      in " + cut(stack[k], longest_frame));
      }
      const std::size_t more = end - at - shown;
      if (more != 0) lines.push_back("      and " + plural(more, "frame") + " more of libraries");
    }
    at = end;
  }
  return lines;
}

// From the program's own code on, to the kernel.
void print_stack(std::ostream& to, const std::vector<std::string>& stack) {
  auto first = std::ranges::find_if_not(stack, of_a_system_library);
  if (first == stack.end()) first = stack.begin();
  const std::vector<std::string> lines = printed_frames({first, stack.end()});
  constexpr std::size_t outermost = 5;
  const bool all = lines.size() <= most_frames;
  for (std::size_t k = 0; k < lines.size(); ++k) {
    if (!all && k == most_frames - outermost) {
      to << "\n    and " << plural(lines.size() - most_frames, "line") << " more";
      k = lines.size() - outermost;
    }
    to << "\n" << lines[k];
  }
}

void print_stderr(std::ostream& to, std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  if (text.empty()) return;
  std::vector<std::string_view> lines;
  for (std::size_t end = 0; end != std::string_view::npos && lines.size() < most_lines;) {
    end = text.rfind('\n');
    lines.push_back(text.substr(end + 1));  // npos + 1 is 0
    text = text.substr(0, end == std::string_view::npos ? 0 : end);
  }
  std::ranges::reverse(lines);
  for (const std::string_view line : lines) {
    to << "\n    stderr: " << printable(line.substr(0, longest_line))
       << (line.size() > longest_line ? "..." : "");
  }
}

void print(std::ostream& to, const failure& one, const failure* before) {
  print_line(to, one);
  if (before == nullptr || before->stack != one.stack) print_stack(to, one.stack);
  print_stderr(to, one.stderr_tail);
}

bool same_chunk(const failure& one, const failure& other) {
  return !is_outside(one) && !is_outside(other) && one.chunk == other.chunk;
}

// The failures that tell something new: of a chunk that was searched for what fails in it, the
// first attempt, and those at single indices. What lies between them is how they were found.
std::vector<const failure*> telling(std::span<const failure> all) {
  constexpr std::size_t few = 3;
  std::vector<const failure*> found;
  for (std::size_t first = 0; first < all.size();) {
    std::size_t last = first + 1;
    while (last < all.size() && same_chunk(all[first], all[last])) ++last;
    for (std::size_t k = first; k < last; ++k) {
      const bool tells = last - first <= few || k == first || k + 1 == last ||
                         (all[k].indices.size() == 1 && all[k].indices != all[k + 1].indices);
      if (tells) found.push_back(&all[k]);
    }
    first = last;
  }
  return found;
}

// ", 2 failed, 30 not tried"; empty if all are completed.
std::string missing_from(const report& result) {
  std::string text;
  if (const std::size_t count = indices_in(result.failed()); count != 0)
    text += ", " + std::to_string(count) + " failed";
  if (const std::size_t count = indices_in(result.not_tried()); count != 0)
    text += ", " + std::to_string(count) + " not tried";
  // Where no index says it.
  if (text.empty() && !result.complete()) {
    text += ", without " + plural(indices_in(result.missing_chunks()), "empty part");
  }
  return text;
}

std::string gibibytes(std::size_t bytes) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << static_cast<double>(bytes) / (1 << 30) << " GiB";
  return text.str();
}

// And since the caller is large, not since the map was short.
bool forks_were_most_of(const report& result) {
  constexpr std::size_t large = std::size_t{64} << 20;
  const run_counts& counts = result.counts();
  return counts.forked_bytes >= large && 2 * counts.forking > result.elapsed();
}

// The one line that a map_error says: what is missing, and the first reason, as closely as it is
// known.
std::string summary(const report& result) {
  std::ostringstream text;
  text << "cannot complete the map: found " << indices_in(result.completed()) << " of "
       << result.indices() << " indices done" << missing_from(result) << "; expected all";
  if (!result.trouble().empty()) text << "; " << result.trouble();
  if (!result.failures().empty()) {
    text << "; ";
    const auto all = telling(result.failures());
    const auto other = [&](const failure* one) { return !same_chunk(*all.front(), *one); };
    const auto next = std::find_if(all.begin() + 1, all.end(), other);
    print_line(text, **std::prev(next));
  }
  return text.str();
}

// How to debug the k-th of the failures that are told: after the last one of each chunk that has
// something to debug.
std::string hint_after(const report& result, std::span<const failure* const> all, std::size_t k) {
  std::string hint = result.replay(*all[k]);
  for (std::size_t next = k + 1; next < all.size() && same_chunk(*all[k], *all[next]); ++next) {
    if (!result.replay(*all[next]).empty()) return {};
  }
  return hint;
}

}  // namespace

report::report(index_sets indices, std::vector<failure> failures, run_counts counts,
               seconds elapsed, std::string trouble)
    : sets_(std::move(indices)),
      missing_(mapping::joined(sets_.failed, sets_.not_tried)),
      failures_(std::move(failures)),
      counts_(std::move(counts)),
      elapsed_(elapsed),
      trouble_(std::move(trouble)) {}

std::size_t report::indices() const noexcept {
  return indices_in(sets_.completed) + indices_in(missing_);
}

std::string report::replay(const failure& one) const {
  if (counts_.map == 0 || is_outside(one) || one.from_outside) return {};
  const std::string which = "SHARD_REPLAY=" + std::to_string(counts_.map) + ":";
  if (one.empty_part) return which + "chunk" + std::to_string(one.chunk);
  return which + std::to_string(one.indices.first) + "-" + std::to_string(one.indices.last) +
         (one.stride == 1 ? "" : "/" + std::to_string(one.stride));
}

std::ostream& operator<<(std::ostream& to, const report& result) {
  const run_counts& counts = result.counts();
  std::ostringstream line;
  const std::string missing = missing_from(result);
  line << indices_in(result.completed()) << " of " << result.indices() << " indices" << missing
       << (missing.empty() ? " in " : ", in ") << plural(counts.chunks, "chunk") << " on "
       << plural(counts.workers, "worker") << ", ";
  line << brief(result.elapsed());
  if (counts.retries != 0)
    line << ", " << counts.retries << (counts.retries == 1 ? " retry" : " retries");
  if (counts.deaths != 0) line << ", " << plural(counts.deaths, "death");
  if (counts.replacements != 0) {
    line << ", " << plural(counts.replacements, "worker") << " replaced for taking too much memory";
  }
  if (counts.takeovers != 0) line << ", " << plural(counts.takeovers, "supervisor") << " replaced";
  if (counts.output_lost != 0)
    line << ", " << plural(counts.output_lost, "byte") << " of output lost";
  to << line.str();
  const std::vector<const failure*> all = telling(result.failures());
  const std::size_t shown = std::min(all.size(), most_shown);
  for (std::size_t k = 0; k < shown; ++k) {
    to << "\n  ";
    print(to, *all[k], k == 0 ? nullptr : all[k - 1]);
    if (const std::string hint = hint_after(result, all, k); !hint.empty())
      to << "\n    to debug it: " << hint;
  }
  const std::size_t more = all.size() - shown + counts.failures_lost;
  if (more != 0) to << "\n  and " << plural(more, "failure") << " more";
  if (!result.trouble().empty()) to << "\n  " << result.trouble();
  for (const std::string& each : counts.without) to << "\n  went without " << each;
  if (forks_were_most_of(result)) {
    to << "\n  " << brief(counts.forking) << " of " << brief(result.elapsed())
       << " went into forking a caller that has " << gibibytes(counts.forked_bytes)
       << " of memory of its own: data in a shard::buffer would cost nothing";
  }
  return to;
}

map_error::map_error(report result)
    : error(std::errc::operation_canceled, summary(result)), result_(std::move(result)) {}

map_error::map_error(report result, const error& cause)
    : error(cause.code(), std::string(cause.what()) +
                              "; every index is completed, and the output keeps its elements: "
                              "call finish() again, or save() a copy"),
      result_(std::move(result)) {}

}  // namespace shard
