#include "os/memory_pressure.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <span>
#include <sstream>
#include <string>

#include "os/calls.hpp"
#include "os/cgroup.hpp"
#include "os/file.hpp"

namespace shard::os {

// smaps has for each mapping a line "from-to rwxp …", whose fourth letter is s for shared memory,
// and then lines of fields.
std::size_t private_bytes(const std::filesystem::path& root) {
  std::istringstream maps(contents(root / "proc/self/smaps"));
  std::size_t sum_kib = 0;
  bool shared = false;
  for (std::string line; std::getline(maps, line);) {
    if (const std::size_t rights = line.find(' '); line.find('-') < rights) {
      shared = line.substr(rights + 1, 4).ends_with('s');
    } else if (!shared) {
      sum_kib += field(line, "Private_Dirty");
    }
  }
  return sum_kib * 1024;
}

// statm: size resident shared …, in pages.
memory_glance glance_at_own_memory() noexcept {
  static const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  memory_glance found;
  found.used = own_usage();
  if (found.used) {
    found.faulted_bytes = found.used->faults * page;
    found.peak_bytes = found.used->max_rss_bytes;
  }
  const int file = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (file < 0) return found;
  char text[128];
  const ssize_t length = ::read(file, text, sizeof text - 1);
  ::close(file);
  if (length <= 0) return found;
  text[length] = '\0';
  char* at = text;
  std::strtoull(at, &at, 10);
  const std::size_t resident = std::strtoull(at, &at, 10);
  const std::size_t shared = std::strtoull(at, &at, 10);
  found.shared_bytes = std::min(shared, resident) * page;
  found.anonymous_bytes = resident * page - found.shared_bytes;
  return found;
}

std::optional<std::size_t> kills_for_memory(const std::filesystem::path& root) {
  for (const control_group& group : control_groups("memory", root)) {
    const std::string events =
        contents(group.files / (group.second_version ? "memory.events" : "memory.oom_control"));
    if (events.find("oom_kill ") != std::string::npos) return field(events, "oom_kill");
  }
  return std::nullopt;
}

bool volunteer_for_memory_kills() noexcept try {
  constexpr int more = 300;
  constexpr int most = 1000;
  constexpr const char* path = "/proc/self/oom_score_adj";
  const std::string now = contents(path);
  const int score = now.empty() ? 0 : std::stoi(now);
  const std::string wanted = std::to_string(std::min(score + more, most));
  write_all(open(path, protection::write), std::as_bytes(std::span(wanted)), 0);
  return true;
} catch (const std::exception&) {
  return false;
}

}  // namespace shard::os
