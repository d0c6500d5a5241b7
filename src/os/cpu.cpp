#include "os/cpu.hpp"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>

#include "os/cgroup.hpp"
#include "os/sanitizers.hpp"

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
double quota_of(const control_group& group) {
  double quota = -1;
  double period = 0;
  if (group.second_version) {
    std::istringstream(contents(group.files / "cpu.max")) >> quota >> period;  // "max" is no number
  } else {
    std::istringstream(contents(group.files / "cpu.cfs_quota_us")) >> quota;
    std::istringstream(contents(group.files / "cpu.cfs_period_us")) >> period;
  }
  return quota > 0 && period > 0 ? quota / period : HUGE_VAL;
}

// A thread that was joined stays listed for a moment, with the kernel's PF_EXITING.
bool lives(const std::filesystem::path& stat) {
  constexpr unsigned exiting = 4;
  const std::string line = contents(stat);
  const std::size_t name_end = line.rfind(')');
  unsigned flags = 0;
  return name_end != std::string::npos &&
         std::sscanf(line.c_str() + name_end + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) == 1 &&
         (flags & exiting) == 0;
}

constexpr unsigned sanitizer_threads = thread_sanitizer ? 1 : 0;

}  // namespace

unsigned cpu_budget(const std::filesystem::path& root) {
  const unsigned cpus = affinity();
  double quota = HUGE_VAL;
  for (const control_group& group : control_groups("cpu", root)) {
    quota = std::min(quota, std::ceil(quota_of(group)));
  }
  return quota < cpus ? std::max(static_cast<unsigned>(quota), 1u) : cpus;
}

int processor_here() noexcept { return ::sched_getcpu(); }

std::optional<unsigned> other_threads() {
  std::error_code unreadable;
  const std::filesystem::directory_iterator threads("/proc/self/task", unreadable);
  auto count = static_cast<unsigned>(field(contents("/proc/self/status"), "Threads"));
  if (!unreadable) {
    count = static_cast<unsigned>(std::count_if(
        begin(threads), end(threads), [](const auto& one) { return lives(one.path() / "stat"); }));
  }
  if (count == 0) return std::nullopt;  // not even this one
  return count > 1 + sanitizer_threads ? count - 1 - sanitizer_threads : 0;
}

}  // namespace shard::os
