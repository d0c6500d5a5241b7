#include "mapping/failure_text.hpp"

#include <algorithm>
#include <sstream>
#include <string_view>

#include "mapping/failures.hpp"
#include "mapping/printable.hpp"

namespace shard::mapping {

std::string plural(std::size_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string brief(seconds time) {
  std::ostringstream text;
  text.precision(3);
  text << time.count() << " s";
  return text.str();
}

namespace {

constexpr std::size_t longest_frame = 240;

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

}  // namespace

std::string line_of(const failure& one) {
  std::ostringstream to;
  if (!is_at(one)) {
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
  return to.str();
}

std::vector<std::string> printed_frames(std::span<const std::string> whole) {
  constexpr std::size_t few = 3;
  auto first = std::ranges::find_if_not(whole, of_a_system_library);
  if (first == whole.end()) first = whole.begin();
  const std::span<const std::string> stack(first, whole.end());
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < stack.size();) {
    const std::string& frame = stack[at];
    std::size_t end = at + 1;
    if (is_a_remark(frame)) {
      lines.push_back("    " + printable(frame));
    } else if (!of_the_system(frame)) {
      while (end < stack.size() && stack[end] == frame) ++end;
      lines.push_back("    in " + cut(printable(frame), longest_frame));
      if (end - at > 1) lines.back() += ", " + std::to_string(end - at) + " times";
    } else {
      while (end < stack.size() && !is_a_remark(stack[end]) && of_the_system(stack[end])) ++end;
      const std::size_t shown = end - at <= few ? end - at : few - 1;
      for (std::size_t k = at; k < at + shown; ++k) {
        lines.push_back("      in " + cut(printable(stack[k]), longest_frame));
      }
      const std::size_t more = end - at - shown;
      if (more != 0) lines.push_back("      and " + plural(more, "frame") + " more of libraries");
    }
    at = end;
  }
  return lines;
}

bool same_chunk(const failure& one, const failure& other) {
  return is_at(one) && is_at(other) && one.chunk == other.chunk;
}

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

std::string hint_after(const report& result, std::span<const failure* const> all, std::size_t k) {
  std::string hint = result.replay(*all[k]);
  for (std::size_t next = k + 1; next < all.size() && same_chunk(*all[k], *all[next]); ++next) {
    if (!result.replay(*all[next]).empty()) return {};
  }
  return hint;
}

}  // namespace shard::mapping
