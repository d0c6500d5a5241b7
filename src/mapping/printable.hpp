// Foreign text as a part of a line that shard prints.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace shard::mapping {

// Not to be taken for several lines, and no commands to a terminal.
inline std::string printable(std::string_view text) {
  std::string shown(text);
  std::ranges::replace_if(
      shown, [](char c) { return (c >= 0 && c < ' ') || c == '\x7f'; }, '.');
  return shown;
}

}  // namespace shard::mapping
