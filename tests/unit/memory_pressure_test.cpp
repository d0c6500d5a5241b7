// What the kernel tells of the memory that a process has, and of those that it killed for want of
// it.
#include "os/memory_pressure.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "process/family.hpp"
#include "refusal.hpp"

namespace {

constexpr std::size_t kib = 1024;

// A root folder with some of the files of /proc and /sys.
class machine {
 public:
  void write(const std::string& path, const std::string& text) {
    const std::filesystem::path whole = root_.path() / path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << text;
  }
  std::size_t private_bytes() const { return shard::os::private_bytes(root_.path()); }
  std::optional<std::size_t> kills() const { return shard::os::kills_for_memory(root_.path()); }

 private:
  shard_test::folder root_;
};

TEST(PrivateBytes, AreTheDirtyOnesOfPrivateMappings) {
  machine with;
  EXPECT_EQ(with.private_bytes(), 0u) << "no /proc";
  with.write("proc/self/smaps",
             "55d0c0000000-55d0c0001000 r-xp 00000000 fe:00 12    /usr/bin/job-1.2 (a b)\n"
             "Rss:                 400 kB\n"
             "Private_Clean:       100 kB\n"
             "Private_Dirty:         4 kB\n"
             "VmFlags: rd ex mr mw me sd\n"
             "7f0000000000-7f0000100000 rw-s 00000000 00:01 77    /memfd:shard (deleted)\n"
             "Private_Dirty:      1024 kB\n"
             "7f0000200000-7f0000300000 rw-p 00000000 00:00 0 \n"
             "Private_Dirty:        96 kB\n"
             "Private_Hugetlb:       8 kB\n"
             "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0    [vsyscall]\n"
             "Private_Dirty:         0 kB\n");
  EXPECT_EQ(with.private_bytes(), 100 * kib);
}

TEST(PrivateBytes, OfThisProcessGrowByWhatItTouchesAndByNothingShared) {
  if (shard_test::sanitized) GTEST_SKIP() << "sanitizers keep notes of what is touched";
  constexpr std::size_t size = 16 * kib * kib;
  const auto touch = [](int kind) {
    void* const memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(memory, MAP_FAILED);
    std::memset(memory, 1, size);
    return memory;
  };
  const std::size_t before = shard::os::private_bytes();
  void* const shared = touch(MAP_SHARED);
  const std::size_t with_shared = shard::os::private_bytes();
  void* const own = touch(MAP_PRIVATE);
  const std::size_t with_own = shard::os::private_bytes();
  munmap(own, size);
  munmap(shared, size);
  EXPECT_GT(before, 0u);
  EXPECT_LT(with_shared, before + size / 2);
  EXPECT_GE(with_own, with_shared + size);
}

TEST(KillsForMemory, AreThoseOfTheNearestGroupThatCountsThem) {
  machine with;
  EXPECT_EQ(with.kills(), std::nullopt);
  with.write("proc/self/cgroup", "0::/batch/job\n");
  with.write("proc/self/mountinfo",
             "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n");
  EXPECT_EQ(with.kills(), std::nullopt);
  with.write("sys/fs/cgroup/batch/memory.events", "low 0\nhigh 1\nmax 9\noom 7\noom_kill 3\n");
  EXPECT_EQ(with.kills(), 3u);
  with.write("sys/fs/cgroup/batch/job/memory.events",
             "max 9\noom 7\noom_kill 2\noom_group_kill 1\n");
  EXPECT_EQ(with.kills(), 2u);
}

TEST(KillsForMemory, AreCountedByTheFirstVersionToo) {
  machine with;
  with.write("proc/self/cgroup", "4:memory:/job\n0::/\n");
  with.write("proc/self/mountinfo",
             "31 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  with.write("sys/fs/cgroup/memory/job/memory.oom_control",
             "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n");
  EXPECT_EQ(with.kills(), 5u);
}

}  // namespace
