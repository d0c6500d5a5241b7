#include "os/stack_text.hpp"

#include <algorithm>
#include <array>

namespace shard::os {
namespace {

constexpr std::size_t longest_arguments = 20;
constexpr std::size_t longest_cycle = 8;

// Behind the list that opens at `at`; the end, if it is not closed.
std::size_t end_of_list(std::string_view name, std::size_t at) {
  int depth = 0;
  for (; at < name.size(); ++at) {
    if (name[at] == '<') ++depth;
    if (name[at] == '>' && name[at - 1] != '-' && --depth == 0) return at + 1;
  }
  return at;
}

// The operators whose names have what opens or closes a list.
std::size_t length_of_operator(std::string_view name) {
  constexpr std::string_view word = "operator";
  if (!name.starts_with(word)) return 0;
  constexpr std::array<std::string_view, 11> symbols{"<=>", "<<=", ">>=", "->*", "<<", ">>",
                                                     "<=",  ">=",  "->",  "<",   ">"};
  for (const std::string_view each : symbols) {
    if (name.substr(word.size()).starts_with(each)) return word.size() + each.size();
  }
  return 0;
}

void replace_all(std::string& in, std::string_view what, std::string_view by) {
  for (std::size_t at = 0; (at = in.find(what, at)) != std::string::npos; at += by.size()) {
    in.replace(at, what.size(), by);
  }
}

// How often the frames [at, at + length) come in a row.
std::size_t times(const std::vector<std::string>& frames, std::size_t at, std::size_t length) {
  std::size_t count = 1;
  for (std::size_t next = at + length; next + length <= frames.size(); next += length, ++count) {
    const auto first = frames.begin() + static_cast<std::ptrdiff_t>(at);
    if (!std::equal(first, first + static_cast<std::ptrdiff_t>(length),
                    frames.begin() + static_cast<std::ptrdiff_t>(next))) {
      break;
    }
  }
  return count;
}

}  // namespace

std::string brief_function(std::string_view name) {
  std::string usual(name);
  replace_all(usual, "std::__cxx11::", "std::");
  replace_all(usual, "std::basic_string<char, std::char_traits<char>, std::allocator<char> >",
              "std::string");
  name = usual;
  std::string brief;
  while (!name.empty()) {
    std::size_t length = std::max<std::size_t>(length_of_operator(name), 1);
    if (name.front() == '<') {
      length = end_of_list(name, 0);
      if (length > longest_arguments + 2) {
        brief += "<...>";
        name.remove_prefix(length);
        continue;
      }
    }
    brief += name.substr(0, length);
    name.remove_prefix(length);
  }
  return brief;
}

std::string frames_left_out(std::size_t count) {
  return "(" + std::to_string(count) + (count == 1 ? " frame is" : " frames are") + " left out)";
}

std::vector<std::string> folded(const std::vector<std::string>& frames) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < frames.size();) {
    std::size_t length = 1;
    std::size_t most = 1;  // frames that a fold takes
    for (std::size_t each = 1; each <= longest_cycle; ++each) {
      const std::size_t count = times(frames, at, each);
      if (count > 1 && count * each > most) {
        length = each;
        most = count * each;
      }
    }
    const std::size_t count = most / length;
    for (std::size_t k = 0; k < length; ++k) lines.push_back(frames[at + k]);
    if (count > 1 && length == 1) lines.back() += ", " + std::to_string(count) + " times";
    if (count > 1 && length > 1) {
      lines.push_back("(these " + std::to_string(length) + " frames " + std::to_string(count) +
                      " times)");
    }
    at += std::max<std::size_t>(most, 1);
  }
  return lines;
}

std::string joined_ends(const std::vector<std::string>& lines, std::size_t innermost,
                        std::size_t left_out, std::size_t most_bytes) {
  constexpr std::size_t mark_bytes = 48;
  std::size_t bytes = left_out == 0 ? 0 : mark_bytes;
  for (const std::string& one : lines) bytes += one.size() + 1;
  std::size_t first_end = left_out == 0 ? lines.size() : std::min(innermost, lines.size());
  std::size_t last_begin = first_end;
  if (bytes > most_bytes) {
    const std::size_t half = (most_bytes - mark_bytes) / 2;
    std::size_t used = 0;
    const std::size_t most_first = first_end;
    for (first_end = 0; first_end < most_first; ++first_end) {
      if ((used += lines[first_end].size() + 1) > half) break;
    }
    used = 0;
    const std::size_t least_last = last_begin == lines.size() ? first_end : last_begin;
    for (last_begin = lines.size(); last_begin > least_last; --last_begin) {
      if ((used += lines[last_begin - 1].size() + 1) > half) break;
    }
  }
  std::string text;
  for (std::size_t k = 0; k < first_end; ++k) text += lines[k] + "\n";
  const std::size_t missing = left_out + last_begin - first_end;
  if (missing != 0) text += frames_left_out(missing) + "\n";
  for (std::size_t k = last_begin; k < lines.size(); ++k) text += lines[k] + "\n";
  return text;
}

}  // namespace shard::os
