// Maps where the system gives little: processes, address space, shared memory, disk. There is a
// clear error, or a smaller run that is right; never a hang, and nothing is left. (Descriptors:
// caller_test.cpp.)

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "os/cgroup.hpp"
#include "process/leftovers.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

namespace fs = std::filesystem;
using shard_test::mentions;
using shard_test::refusal;

using Limits = shard_test::leaves_nothing;

constexpr int not_here = 77;  // exit status of a child in which the limit can't be set

// Runs `steps` in a child and gives its exit status; nothing if it didn't exit.
template <class Steps>
std::optional<int> exit_status_of(Steps steps) {
  const pid_t child = fork();
  if (child == 0) {
    int status = 2;
    try {
      status = steps();
    } catch (...) {
    }
    _exit(status);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFEXITED(status)) return std::nullopt;
  return WEXITSTATUS(status);
}

// ---- Processes ----

// The limit doesn't bind root, so that it becomes somebody else.
bool become_bound() {
  if (geteuid() != 0) return true;
  constexpr uid_t nobody = 65534;
  if (setresgid(nobody, nobody, nobody) != 0 || setresuid(nobody, nobody, nobody) != 0)
    return false;
  // The change of identity has closed /proc/self to this process.
  return prctl(PR_SET_DUMPABLE, 1) == 0;
}

rlim_t threads_of_this_user() {
  rlim_t found = 0;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/proc", ignored)) {
    struct stat owner {};
    if (stat(entry.path().c_str(), &owner) != 0 || owner.st_uid != geteuid()) continue;
    for ([[maybe_unused]] const auto& thread :
         fs::directory_iterator(entry.path() / "task", ignored))
      ++found;
  }
  return found;
}

TEST_F(Limits, OfProcessesGiveASmallerRunOrAnError) {
  // One process is the supervisor, the second its standby, the third a worker.
  for (const rlim_t spare : {1u, 2u, 3u, 4u, 6u, 1000u}) {
    SCOPED_TRACE("room for processes: " + std::to_string(spare));
    const std::optional<int> status = exit_status_of([&] {
      if (!become_bound()) return not_here;
      const rlim_t limit = threads_of_this_user() + spare;
      const rlimit few{limit, limit};
      setrlimit(RLIMIT_NPROC, &few);
      shard::buffer<int> out(100);
      bool right = true;
      const std::string message = refusal([&] {
        const shard::report run = shard::map({.workers = 3, .grain = 1}, out,
                                             [](std::size_t i) { return static_cast<int>(i); });
        for (std::size_t i = 0; i < out.size(); ++i) right = right && out[i] == static_cast<int>(i);
        right = right && run.failures().empty();
      });
      if (spare == 1000 && !message.empty()) return 3;
      if (!message.empty() && !mentions(message, {"cannot start a process", "ulimit -u"})) return 4;
      return right ? 0 : 5;
    });
    if (status == not_here) GTEST_SKIP() << "there is no other user to become";
    EXPECT_EQ(status, 0);
    EXPECT_TRUE(shard_test::eventually([&] { return relatives().living().empty(); }));
  }
}

TEST_F(Limits, OfNoProcessAtAllAreAnErrorBeforeAnythingRuns) {
  const std::optional<int> status = exit_status_of([&] {
    if (!become_bound()) return not_here;
    const rlimit none{0, 0};
    setrlimit(RLIMIT_NPROC, &none);
    shard::buffer<int> out(20);
    const std::string message = refusal([&] { shard::map(out, [](std::size_t) { return 1; }); });
    return mentions(message, {"cannot start a process"}) && out[0] == 0 ? 0 : 1;
  });
  if (status == not_here) GTEST_SKIP() << "there is no other user to become";
  EXPECT_EQ(status, 0);
}

// A buffer is its maker's, and workers open it anew.
TEST_F(Limits, OfAnotherUsersBufferAreTold) {
  const std::optional<int> status = exit_status_of([&] {
    shard::buffer<int> out(20);
    const uid_t before = geteuid();
    if (!become_bound() || geteuid() == before) return not_here;
    const std::string message = refusal([&] { shard::map(out, [](std::size_t) { return 1; }); });
    if (!mentions(message, {"Permission denied", "a file that this user may open"})) return 3;
    shard::buffer<int> own(20);
    shard::map(own, [](std::size_t) { return 1; });
    return own[19] == 1 && out[19] == 0 ? 0 : 4;
  });
  if (status == not_here) GTEST_SKIP() << "there is no other user to become";
  EXPECT_EQ(status, 0);
}

// ---- Memory of a control group ----

// A group of ours below the one that this process is in, with a limit; empty where we may not.
fs::path limited_group(std::size_t bytes) {
  for (const auto& own : shard::os::control_groups("memory")) {
    const fs::path group = own.files / ("shard-test-" + std::to_string(getpid()));
    std::error_code refused;
    if (!fs::create_directory(group, refused)) continue;
    const char* const limit = own.second_version ? "memory.max" : "memory.limit_in_bytes";
    std::ofstream file(group / limit);
    if (fs::exists(group / limit) && file << bytes << std::flush) return group;
    fs::remove(group, refused);
  }
  return {};
}

void take(std::size_t bytes) {
  void* const memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) _exit(1);
  std::memset(memory, 1, bytes);
  munmap(memory, bytes);
}

// The index that takes more than there is fails, alone in the end, and is told from other kills.
TEST_F(Limits, OfAControlGroupsMemoryCostTheIndexThatNeedsMore) {
  if (shard_test::sanitized) GTEST_SKIP() << "the sanitizers take more than the limit";
  constexpr std::size_t mib = std::size_t{1} << 20;
  const fs::path group = limited_group(64 * mib);
  if (group.empty()) GTEST_SKIP() << "this process may make no control group with a limit";
  const std::optional<int> status = exit_status_of([&] {
    if (!(std::ofstream(group / "cgroup.procs") << getpid() << std::flush)) return not_here;
    shard::buffer<int> out(40);
    const shard::report run =
        shard::try_map({.workers = 2, .grain = 4, .keep_going = true}, out, [](std::size_t i) {
          if (i == 13) take(512 * mib);
          return static_cast<int>(i) + 1;
        });
    std::cerr << run << '\n';
    if (run.counts().takeovers != 0 || !run.trouble().empty()) return 3;
    const std::vector<shard::range> right{{0, 13}, {14, 40}};
    if (!std::ranges::equal(run.completed(), right)) return 4;
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (i != 13 && out[i] != static_cast<int>(i) + 1) return 5;
    }
    if (run.failures().empty()) return 6;
    for (const shard::failure& one : run.failures()) {
      if (one.kind != "oom" || one.signal != SIGKILL || !one.indices.contains(13)) return 7;
    }
    return 0;
  });
  EXPECT_TRUE(shard_test::eventually([&] {
    std::error_code busy;
    return fs::remove(group, busy);
  }));
  if (status == not_here) GTEST_SKIP() << "this process may not enter a control group";
  EXPECT_EQ(status, 0);
}

// ---- Address space ----

rlim_t address_space() {
  std::ifstream file("/proc/self/statm");
  rlim_t pages = 0;
  file >> pages;
  return pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE));
}

TEST_F(Limits, OfAddressSpaceGiveARightRunOrAnError) {
  if (shard_test::sanitized) GTEST_SKIP() << "the sanitizers reserve most of it";
  constexpr std::size_t n = 1 << 18;  // 1 MiB, which each worker maps once more
  constexpr rlim_t kib = 1 << 10;
  bool some_failed = false;
  for (const rlim_t spare : {0 * kib, 16 * kib, 64 * kib, 128 * kib, 256 * kib, 512 * kib,
                             1024 * kib, 1536 * kib, 2048 * kib, 4096 * kib, 65536 * kib}) {
    SCOPED_TRACE("room for KiB: " + std::to_string(spare / kib));
    const std::optional<int> status = exit_status_of([&] {
      shard::buffer<int> out(n);
      shard::ordered_sum<double> total;
      const rlim_t limit = address_space() + spare;
      const rlimit little{limit, limit};
      setrlimit(RLIMIT_AS, &little);
      bool right = true;
      std::string message;
      try {
        message = refusal([&] {
          shard::map({.workers = 2, .grain = 1000}, out, shard::reduce(total),
                     [](std::size_t i, auto& sum) {
                       sum += 1.0;
                       return static_cast<int>(i);
                     });
          for (std::size_t i = 0; i < n; ++i) right = right && out[i] == static_cast<int>(i);
          right = right && total.value() == static_cast<double>(n);
        });
      } catch (const std::bad_alloc&) {  // the caller's own heap
        message = "cannot allocate";
      }
      if (!right) return 3;
      if (message.empty()) return 0;
      return mentions(message, {"cannot "}) ? 10 : 4;
    });
    EXPECT_TRUE(status == 0 || status == 10) << status.value_or(-1);
    if (spare == 65536 * kib) {
      EXPECT_EQ(status, 0);
    }
    some_failed = some_failed || status == 10;
    EXPECT_TRUE(shard_test::eventually([&] { return relatives().living().empty(); }));
  }
  EXPECT_TRUE(some_failed) << "the limit wasn't felt";
}

// ---- Shared memory and disk ----

// In namespaces of its own, where anyone may mount. False if this system won't.
bool mount_small_disk(const fs::path& at) {
  const std::string user = std::to_string(geteuid()) + " " + std::to_string(geteuid()) + " 1";
  const std::string group = std::to_string(getegid()) + " " + std::to_string(getegid()) + " 1";
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  std::ofstream("/proc/self/setgroups") << "deny";
  std::ofstream("/proc/self/uid_map") << user;
  std::ofstream("/proc/self/gid_map") << group;
  return mount("tmpfs", at.c_str(), "tmpfs", 0, "size=4m") == 0;
}

// Neither buffers in memory nor the board of a run lie there.
TEST_F(Limits, OfDevShmDoNotConcernMapsInMemory) {
  const std::optional<int> status = exit_status_of([] {
    if (!mount_small_disk("/dev/shm")) return not_here;
    constexpr std::size_t n = 1 << 20;
    shard::buffer<double> out(n);                             // 8 MiB
    shard::histogram bins{shard::axis::integer(0, 1 << 20)};  // another 8, for each worker thrice
    const shard::report run =
        shard::map({.workers = 2}, out, shard::reduce(bins), [](std::size_t i, auto& bin) {
          bin(static_cast<int>(i));
          return static_cast<double>(i);
        });
    for (std::size_t i = 0; i < n; i += 997) {
      if (out[i] != static_cast<double>(i) || bins.at(static_cast<int>(i)) != 1) return 1;
    }
    return run.complete() && run.counts().deaths == 0 ? 0 : 1;
  });
  if (status == not_here) GTEST_SKIP() << "no mounting in a user namespace here";
  EXPECT_EQ(status, 0);
}

void fill(const fs::path& file) {
  const int open_file = open(file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  const std::string block(4096, 'x');
  while (write(open_file, block.data(), block.size()) > 0) {
  }
  close(open_file);
}

TEST_F(Limits, OfADiskThatFillsUpDoNotConcernOutputsThatWereCreated) {
  const shard_test::folder folder;
  const std::optional<int> status = exit_status_of([&] {
    if (!mount_small_disk(folder.path())) return not_here;
    constexpr std::size_t n = 1 << 18;  // 2 MiB
    {
      auto out = shard::create<double>(folder / "out.npy", n);
      fill(folder / "other");
      shard::map({.workers = 2}, out, [](std::size_t i) { return static_cast<double>(i); });
    }
    const auto read = shard::open<double>(folder / "out.npy");
    for (std::size_t i = 0; i < n; ++i) {
      if (read[i] != static_cast<double>(i)) return 1;
    }
    return 0;
  });
  if (status == not_here) GTEST_SKIP() << "no mounting in a user namespace here";
  EXPECT_EQ(status, 0);
}

TEST_F(Limits, OfADiskThatIsFullAreAnErrorAndTheNextMapIsRight) {
  const shard_test::folder folder;
  const std::optional<int> status = exit_status_of([&] {
    if (!mount_small_disk(folder.path())) return not_here;
    fill(folder / "other");
    const bool told = mentions(refusal([&] { shard::create<double>(folder / "out.npy", 1 << 18); }),
                               {"cannot create", "No space left on device"});
    shard::buffer<double> out(1 << 18);
    shard::map({.workers = 2}, out, [](std::size_t i) { return static_cast<double>(i); });
    const bool saved_nothing = mentions(refusal([&] { shard::save(folder / "out.npy", out); }),
                                        {"No space left on device"}) &&
                               !fs::exists(folder / "out.npy");
    return told && saved_nothing && out[99] == 99.0 ? 0 : 1;
  });
  if (status == not_here) GTEST_SKIP() << "no mounting in a user namespace here";
  EXPECT_EQ(status, 0);
}

}  // namespace
