#include "os/headroom.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <span>
#include <sstream>
#include <string_view>
#include <vector>

#include "os/calls.hpp"
#include "os/file.hpp"

namespace shard::os {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

// Empty where it can't be read: a limit that can't be seen is left to the kernel.
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

// The number behind a key at the start of a line; 0 where there is none.
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

std::size_t add(std::size_t a, std::size_t b) { return a > unlimited - b ? unlimited : a + b; }
std::size_t left(std::size_t limit, std::size_t used) { return limit > used ? limit - used : 0; }

std::vector<std::string> words(const std::string& text, char separator) {
  std::vector<std::string> found;
  std::istringstream stream(text);
  for (std::string word; std::getline(stream, word, separator);) found.push_back(word);
  return found;
}

bool lists(const std::string& comma_separated, const std::string& name) {
  return std::ranges::count(words(comma_separated, ','), name) > 0;
}

// The files that say the same in the two versions of control groups.
struct version {
  const char* limit;
  const char* usage;
  const char* active;
  const char* inactive;
};
constexpr version first{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_active_file",
                        "total_inactive_file"};
constexpr version second{"memory.max", "memory.current", "active_file", "inactive_file"};

// A mounted hierarchy that can limit memory: where its files are, and which group it shows there.
struct hierarchy {
  const version* names;
  std::string shown;
  fs::path mounted;
};

// A line of mountinfo: … … … root mount-point … - type source super-options.
std::vector<hierarchy> hierarchies(const fs::path& root) {
  std::vector<hierarchy> found;
  for (const std::string& line : words(contents(root / "proc/self/mountinfo"), '\n')) {
    const std::vector<std::string> part = words(line, ' ');
    const auto dash = std::ranges::find(part, "-");
    if (part.size() < 6 || part.end() - dash < 4) continue;
    const bool memory_of_first = dash[1] == "cgroup" && lists(dash[3], "memory");
    if (!memory_of_first && dash[1] != "cgroup2") continue;
    found.push_back(
        {memory_of_first ? &first : &second, part[3], root / fs::path(part[4]).relative_path()});
  }
  return found;
}

// This process's group in a hierarchy, as /proc/self/cgroup has it: number:controllers:path.
std::string group_in(const std::string& groups, const version& names) {
  for (const std::string& line : words(groups, '\n')) {
    const std::size_t one = line.find(':');
    const std::size_t two = line.find(':', one + 1);
    if (two == std::string::npos) continue;
    const std::string controllers = line.substr(one + 1, two - one - 1);
    if (&names == &second ? controllers.empty() : lists(controllers, "memory")) {
      return line.substr(two + 1);
    }
  }
  return "/";
}

std::size_t left_in(const fs::path& group, const version& names, std::size_t swap,
                    std::size_t wanted) {
  const std::optional<std::size_t> limit = number(contents(group / names.limit));
  if (!limit) return unlimited;  // "max", or no such file: the root group has none
  const std::size_t used = number(contents(group / names.usage)).value_or(0);
  const std::size_t plain = add(left(*limit, used), swap);
  if (plain >= wanted) return plain;
  // Counting the file cache of a group is slow, so only where it matters.
  const std::string table = contents(group / "memory.stat");
  const std::size_t cache = field(table, names.active) + field(table, names.inactive);
  return add(left(*limit, left(used, cache)), swap);
}

std::size_t swap_of(const fs::path& group, std::size_t free) {
  const std::optional<std::size_t> limit = number(contents(group / "memory.swap.max"));
  if (!limit) return free;
  return std::min(free, left(*limit, number(contents(group / "memory.swap.current")).value_or(0)));
}

void keep_tighter(headroom& so_far, std::size_t available, const std::string& limit) {
  if (available < so_far.available_bytes) so_far = {available, limit};
}

// From this process's group up to the one that is mounted: each limits all below it.
void look_upwards(headroom& so_far, const hierarchy& in, std::string group, std::size_t swap,
                  std::size_t wanted) {
  // A container may see a part of the hierarchy only, under a path from outside.
  if (in.shown != "/" && group.starts_with(in.shown)) group.erase(0, in.shown.size());
  fs::path at = fs::path(group).relative_path();
  if (group.find("..") != std::string::npos) at.clear();
  while (true) {
    const fs::path files = in.mounted / at;
    keep_tighter(so_far, left_in(files, *in.names, swap_of(files, swap), wanted),
                 "memory limit of control group /" + at.string());
    if (at.empty()) return;
    at = at.parent_path();
  }
}

}  // namespace

headroom file_size_headroom() {
  struct rlimit limit {};
  if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return {unlimited, "RLIMIT_FSIZE"};
  }
  return {limit.rlim_cur, "RLIMIT_FSIZE"};
}

headroom memory_headroom(std::size_t wanted_bytes, const fs::path& root) {
  headroom found{unlimited, "memory"};
  std::size_t swap = 0;
  if (const std::string table = contents(root / "proc/meminfo"); !table.empty()) {
    swap = field(table, "SwapFree") * 1024;
    const std::size_t free = field(table, "MemAvailable") * 1024;
    if (free > 0) keep_tighter(found, add(free, swap), "MemAvailable and SwapFree");
  }
  const std::string groups = contents(root / "proc/self/cgroup");
  for (const hierarchy& each : hierarchies(root)) {
    look_upwards(found, each, group_in(groups, *each.names), swap, wanted_bytes);
  }
  return found;
}

}  // namespace shard::os
