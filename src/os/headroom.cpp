#include "os/headroom.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>

#include "os/cgroup.hpp"

namespace shard::os {
namespace {

namespace fs = std::filesystem;
using clock = std::chrono::steady_clock;

constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

std::size_t add(std::size_t a, std::size_t b) { return a > unlimited - b ? unlimited : a + b; }
std::size_t left(std::size_t limit, std::size_t used) { return limit > used ? limit - used : 0; }

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

template <class Resource>
headroom limit_of(Resource which, const char* name) {
  struct rlimit limit {};
  const bool limited = getrlimit(which, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  return {limited ? limit.rlim_cur : unlimited, name};
}

headroom look_everywhere(std::size_t wanted_bytes, const fs::path& root) {
  headroom found{unlimited, "memory"};
  std::size_t swap = 0;
  if (const std::string table = contents(root / "proc/meminfo"); !table.empty()) {
    swap = field(table, "SwapFree") * 1024;
    const std::size_t free = field(table, "MemAvailable") * 1024;
    if (free > 0) keep_tighter(found, add(free, swap), "MemAvailable and SwapFree");
  }
  for (const control_group& each : control_groups("memory", root)) {
    const version& names = each.second_version ? second : first;
    keep_tighter(found, left_in(each.files, names, swap_of(each.files, swap), wanted_bytes),
                 "memory limit of control group " + each.name);
  }
  return found;
}

}  // namespace

headroom file_size_headroom() { return limit_of(RLIMIT_FSIZE, "RLIMIT_FSIZE"); }
headroom address_space_limit() { return limit_of(RLIMIT_AS, "RLIMIT_AS"); }

headroom memory_headroom(std::size_t wanted_bytes, const fs::path& root) {
  // The kernel writes a dozen files anew for this. What they said is good for a little longer: no
  // longer than it may take anyhow until what was found to be free is used, by us or by others.
  static thread_local headroom recent;
  static thread_local clock::time_point recent_until;
  if (root != "/") return look_everywhere(wanted_bytes, root);
  if (recent.available_bytes < wanted_bytes || clock::now() >= recent_until) {
    recent = look_everywhere(wanted_bytes, root);
    recent_until = clock::now() + std::chrono::milliseconds(20);
  }
  return recent;
}

}  // namespace shard::os
