#include "os/cpu.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <limits>
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

// Of all groups that this process is in.
double quota(const std::filesystem::path& root) {
  double least = HUGE_VAL;
  for (const control_group& group : control_groups("cpu", root)) {
    least = std::min(least, std::ceil(quota_of(group)));
  }
  return least;
}

unsigned within(double quota) {
  const unsigned cpus = affinity();
  return quota < cpus ? std::max(static_cast<unsigned>(quota), 1u) : cpus;
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

unsigned cpu_budget(const std::filesystem::path& root) { return within(quota(root)); }

unsigned cpu_budget_of_late() {
  using clock = std::chrono::steady_clock;
  static std::atomic<double> found{0};
  static std::atomic<clock::rep> outdated{0};
  const clock::time_point now = clock::now();
  if (now.time_since_epoch().count() >= outdated.load(std::memory_order_acquire)) {
    found.store(quota("/"), std::memory_order_relaxed);
    outdated.store((now + std::chrono::seconds(1)).time_since_epoch().count(),
                   std::memory_order_release);
  }
  return within(found.load(std::memory_order_relaxed));
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

#if defined(__x86_64__)
std::string vector_extensions() {
  std::string text;
  const auto add = [&text](bool has, const char* name) {
    if (has) text += (text.empty() ? "" : " ") + std::string(name);
  };
  add(__builtin_cpu_supports("fma") != 0, "fma");
  add(__builtin_cpu_supports("avx") != 0, "avx");
  add(__builtin_cpu_supports("avx2") != 0, "avx2");
  add(__builtin_cpu_supports("avx512f") != 0, "avx512f");
  return text.empty() ? "no vector extensions" : text;
}

bool flushes_to_zero() noexcept {
  constexpr std::uint32_t flush_and_take = 0x8040;  // FTZ and DAZ
  std::uint32_t mode = 0;
  asm volatile("stmxcsr %0" : "=m"(mode)::"memory");
  return (mode & flush_and_take) != 0;
}
#else
std::string vector_extensions() { return "no choice of vector extensions"; }

bool flushes_to_zero() noexcept {
  volatile double least = std::numeric_limits<double>::denorm_min();
  return least * 1.0 == 0.0;
}
#endif

}  // namespace shard::os
