// The processes that a test has started, as /proc tells of them, and the board on which a test and
// they can count.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace shard_test {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool address_sanitizer = true;
#elif defined(__has_feature)
inline constexpr bool address_sanitizer = __has_feature(address_sanitizer);
#else
inline constexpr bool address_sanitizer = false;
#endif

#if defined(__SANITIZE_THREAD__)
inline constexpr bool thread_sanitizer = true;
#elif defined(__has_feature)
inline constexpr bool thread_sanitizer = __has_feature(thread_sanitizer);
#else
inline constexpr bool thread_sanitizer = false;
#endif

inline constexpr bool sanitized = address_sanitizer || thread_sanitizer;

// Waits until `condition` holds. False: it didn't, long after it should have.
template <class Condition>
[[nodiscard]] bool eventually(Condition condition) {
  const auto watchdog = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > watchdog) return false;
    const timespec little{0, 200'000};
    nanosleep(&little, nullptr);
  }
  return true;
}

struct relative {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t group = 0;
  char state = '?';
  std::string name = {};

  bool dead() const { return state == 'Z' || state == 'X'; }
  bool leads() const { return group == pid; }
};

inline std::optional<relative> process_of(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string stat;
  if (!std::getline(file, stat)) return std::nullopt;
  const std::size_t open = stat.find('(');
  const std::size_t close = stat.rfind(')');
  if (open == std::string::npos || close == std::string::npos) return std::nullopt;
  relative found{.pid = std::stoi(pid), .name = stat.substr(open + 1, close - open - 1)};
  const int fields =
      std::sscanf(stat.c_str() + close + 1, " %c %d %d", &found.state, &found.parent, &found.group);
  if (fields != 3) return std::nullopt;
  return found;
}

// Gives this process a mark that all it forks inherit, wherever they are adopted, and whatever they
// call themselves. The mark is a limit on resident memory, which Linux lets everybody see and
// enforces for nobody.
class family {
 public:
  family() {
    rlimit limit{};
    getrlimit(RLIMIT_RSS, &limit);
    mark_ = (rlim_t{1} << 40) + static_cast<rlim_t>(getpid());
    limit.rlim_cur = mark_;
    if (setrlimit(RLIMIT_RSS, &limit) != 0) throw std::runtime_error("cannot mark this process");
  }

  // From now on this process, and what it forks, is of no family.
  static void leave() {
    rlimit limit{};
    getrlimit(RLIMIT_RSS, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_RSS, &limit);
  }

  // All living processes with the mark, except this one.
  std::vector<relative> living() const {
    std::vector<relative> found;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
      const std::string pid = entry.path().filename().string();
      if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
      if (std::stoi(pid) == getpid() || !has_mark(pid)) continue;
      const auto known = process_of(pid);
      if (known && !known->dead()) found.push_back(*known);
    }
    return found;
  }

 private:
  bool has_mark(const std::string& pid) const {
    std::ifstream file("/proc/" + pid + "/limits");
    const std::string line = "Max resident set";
    for (std::string found; std::getline(file, found);) {
      if (!found.starts_with(line)) continue;
      return std::strtoull(found.c_str() + line.size(), nullptr, 10) == mark_;
    }
    return false;
  }

  rlim_t mark_ = 0;
};

// Of one run, as far as its processes have found their places.
struct cast {
  pid_t supervisor = 0;  // 0: none that has both workers and a standby
  pid_t standby = 0;
  std::vector<pid_t> workers;

  explicit cast(const std::vector<relative>& living) {
    for (const relative& one : living) {
      if (!one.leads()) continue;
      pid_t heir = 0;
      std::vector<pid_t> crew;
      for (const relative& other : living) {
        if (other.parent != one.pid) continue;
        if (other.leads()) heir = other.pid;
        if (other.group == one.pid) crew.push_back(other.pid);
      }
      if (heir == 0 || crew.empty()) continue;
      supervisor = one.pid;
      standby = heir;
      workers = std::move(crew);
    }
  }
};

// Counters that every process of a test sees, all zero.
class tally {
 public:
  using counter = std::atomic<int>;
  static constexpr std::size_t counters = 4096;

  tally() {
    void* const memory = mmap(nullptr, counters * sizeof(counter), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    first_ = static_cast<counter*>(memory);
  }
  tally(const tally&) = delete;
  tally& operator=(const tally&) = delete;
  ~tally() { munmap(first_, counters * sizeof(counter)); }

  counter& operator[](std::size_t k) const { return first_[k]; }

 private:
  counter* first_;
};

// A process beside the caller, which meanwhile maps: it runs `steps` and is over when they return.
// Not of the family, so that it never meets itself there.
class bystander {
 public:
  template <class Steps>
  explicit bystander(Steps steps) : pid_(fork()) {
    if (pid_ != 0) return;
    family::leave();
    bool fine = false;
    try {
      fine = steps();
    } catch (...) {
    }
    _exit(fine ? 0 : 1);
  }
  bystander(const bystander&) = delete;
  bystander& operator=(const bystander&) = delete;
  ~bystander() {
    if (pid_ > 0) succeeded();
  }

  pid_t pid() const { return pid_; }

  // Waits for its end; whether `steps` returned true.
  bool succeeded() {
    int status = 0;
    const pid_t waited = waitpid(std::exchange(pid_, -1), &status, 0);
    return waited > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

 private:
  pid_t pid_;
};

// Where a kernel stops its supervisor, which goes on after it has been told to, and much later than
// anybody would wait who went by a clock.
class stopped_supervisor {
 public:
  stopped_supervisor(const stopped_supervisor&) = delete;
  stopped_supervisor& operator=(const stopped_supervisor&) = delete;
  stopped_supervisor() = default;

  // Both in a kernel.
  [[nodiscard]] bool stop() const {
    seen_[pid] = getppid();
    kill(getppid(), SIGSTOP);
    return eventually([] { return process_of(std::to_string(getppid()))->state == 'T'; });
  }
  void let_go_on() const { seen_[may_go_on] = 1; }

  // After the run.
  bool went_on() { return helper_.succeeded(); }

 private:
  enum { pid, may_go_on };

  tally seen_;
  bystander helper_{[this] {
    if (!eventually([this] { return seen_[may_go_on] != 0; })) return false;
    sleep(1);
    return kill(seen_[pid], SIGCONT) == 0;
  }};
};

}  // namespace shard_test
