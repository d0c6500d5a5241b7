#include "os/cpu.hpp"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <thread>

namespace shard::os {
namespace {

unsigned affinity() {
  // A mask for more processors than cpu_set_t has is asked for in growing sizes:
  // sched_setaffinity(2).
  for (int cpus = CPU_SETSIZE; cpus <= 1 << 20; cpus *= 2) {
    cpu_set_t* const set = CPU_ALLOC(cpus);
    if (set == nullptr) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(cpus);
    const bool known = ::sched_getaffinity(0, bytes, set) == 0;
    const int count = known ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (known) return static_cast<unsigned>(std::max(count, 1));
  }
  return std::max(std::thread::hardware_concurrency(), 1u);
}

// CPU time a group may use in one period, in periods; infinity where it is not limited.
double quota_of(const std::filesystem::path& group) {
  double quota = -1;
  double period = 0;
  if (std::ifstream v2(group / "cpu.max"); v2) {
    v2 >> quota >> period;  // "max" leaves quota at 0 and the stream failed
    if (!v2) return HUGE_VAL;
  } else {
    std::ifstream(group / "cpu.cfs_quota_us") >> quota;
    std::ifstream(group / "cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? quota / period : HUGE_VAL;
}

// The tightest quota from the group up to the root of its hierarchy.
double tightest_quota(const std::filesystem::path& hierarchy, std::filesystem::path group) {
  double least = HUGE_VAL;
  for (;;) {
    least = std::min(least, quota_of(hierarchy / group.relative_path()));
    if (!group.has_relative_path()) return least;
    group = group.parent_path();
  }
}

bool names_cpu(const std::string& controllers) {
  return controllers.empty() || ("," + controllers + ",").find(",cpu,") != std::string::npos;
}

double cgroup_quota(const std::filesystem::path& root) {
  double least = HUGE_VAL;
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // "4:cpu,cpuacct:/path", v2: "0::/path"
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (!names_cpu(controllers)) continue;
    for (const char* where : {"sys/fs/cgroup", "sys/fs/cgroup/unified", "sys/fs/cgroup/cpu",
                              "sys/fs/cgroup/cpu,cpuacct"}) {
      least = std::min(least, tightest_quota(root / where, line.substr(second + 1)));
    }
  }
  return least;
}

// A thread that was joined stays listed for a moment, with the kernel's PF_EXITING.
bool lives(const std::filesystem::path& stat) {
  constexpr unsigned exiting = 4;
  std::string line;
  std::getline(std::ifstream(stat), line);
  const std::size_t name_end = line.rfind(')');
  unsigned flags = 0;
  return name_end != std::string::npos &&
         std::sscanf(line.c_str() + name_end + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) == 1 &&
         (flags & exiting) == 0;
}

constexpr unsigned sanitizer_threads =
#if defined(__SANITIZE_THREAD__)
    1;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
    1;
#else
    0;
#endif
#else
    0;
#endif

}  // namespace

unsigned cpu_budget(const std::filesystem::path& root) {
  const unsigned cpus = affinity();
  const double quota = std::ceil(cgroup_quota(root));
  return quota < cpus ? std::max(static_cast<unsigned>(quota), 1u) : cpus;
}

unsigned other_threads() {
  std::error_code unreadable;
  const std::filesystem::directory_iterator threads("/proc/self/task", unreadable);
  if (unreadable) return 0;
  const auto count =
      static_cast<unsigned>(std::count_if(begin(threads), end(threads), [](const auto& thread) {
        return lives(thread.path() / "stat");
      }));
  return count > 1 + sanitizer_threads ? count - 1 - sanitizer_threads : 0;
}

}  // namespace shard::os
