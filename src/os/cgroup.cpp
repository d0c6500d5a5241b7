#include "os/cgroup.hpp"

#include <algorithm>
#include <charconv>
#include <span>
#include <sstream>

#include "os/calls.hpp"
#include "os/file.hpp"

namespace shard::os {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> words(const std::string& text, char separator) {
  std::vector<std::string> found;
  std::istringstream stream(text);
  for (std::string word; std::getline(stream, word, separator);) found.push_back(word);
  return found;
}

bool lists(const std::string& comma_separated, const std::string& name) {
  return std::ranges::count(words(comma_separated, ','), name) > 0;
}

// A mounted hierarchy: where its files are, and which group it shows there.
struct hierarchy {
  bool second_version;
  std::string shown;
  fs::path mounted;
};

// A line of mountinfo: … … … root mount-point … - type source super-options.
std::vector<hierarchy> hierarchies(const std::string& controller, const fs::path& root) {
  std::vector<hierarchy> found;
  for (const std::string& line : words(contents(root / "proc/self/mountinfo"), '\n')) {
    const std::vector<std::string> part = words(line, ' ');
    const auto dash = std::ranges::find(part, "-");
    if (part.size() < 6 || part.end() - dash < 4) continue;
    const bool second = dash[1] == "cgroup2";
    if (!second && (dash[1] != "cgroup" || !lists(dash[3], controller))) continue;
    found.push_back({second, part[3], root / fs::path(part[4]).relative_path()});
  }
  return found;
}

// This process's group in a hierarchy, as /proc/self/cgroup has it: number:controllers:path.
std::string group_in(const std::string& groups, const std::string& controller, bool second) {
  for (const std::string& line : words(groups, '\n')) {
    const std::size_t one = line.find(':');
    const std::size_t two = one == std::string::npos ? one : line.find(':', one + 1);
    if (two == std::string::npos) continue;
    const std::string controllers = line.substr(one + 1, two - one - 1);
    if (second ? controllers.empty() : lists(controllers, controller)) return line.substr(two + 1);
  }
  return "/";
}

}  // namespace

std::vector<control_group> control_groups(const std::string& controller, const fs::path& root) {
  std::vector<control_group> found;
  const std::string groups = contents(root / "proc/self/cgroup");
  for (const hierarchy& in : hierarchies(controller, root)) {
    std::string group = group_in(groups, controller, in.second_version);
    // A container may see a part of the hierarchy only, under a path from outside.
    if (in.shown != "/" && group.starts_with(in.shown)) group.erase(0, in.shown.size());
    fs::path at = fs::path(group).relative_path();
    if (group.find("..") != std::string::npos) at.clear();
    found.push_back({in.mounted / at, "/" + at.string(), in.second_version});
    while (!at.empty()) {
      at = at.parent_path();
      found.push_back({in.mounted / at, "/" + at.string(), in.second_version});
    }
  }
  return found;
}

std::string contents(const fs::path& path) try {
  const descriptor file = open(path.string(), protection::read);
  std::string text;
  std::size_t used = 0;
  do {
    text.resize(used + 4096);
    const auto room = std::as_writable_bytes(std::span(text).subspan(used));
    const std::size_t found = read_some(file, room, used);
    used += found;
    if (found < room.size()) break;
  } while (true);
  text.resize(used);
  return text;
} catch (const call_failed&) {
  return {};
}

std::optional<std::size_t> number(std::string_view text) {
  std::size_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc{}) return std::nullopt;
  return value;
}

std::size_t field(std::string_view table, std::string_view key) {
  for (std::size_t line = 0; line < table.size();) {
    const std::size_t end = std::min(table.find('\n', line), table.size());
    std::string_view row = table.substr(line, end - line);
    line = end + 1;
    if (!row.starts_with(key)) continue;
    row.remove_prefix(key.size());
    if (row.empty() || (row[0] != ' ' && row[0] != ':')) continue;
    row.remove_prefix(std::min(row.find_first_of("0123456789"), row.size()));
    return number(row).value_or(0);
  }
  return 0;
}

}  // namespace shard::os
