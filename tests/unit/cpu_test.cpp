#include "os/cpu.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "refusal.hpp"

namespace {

using shard::os::cpu_budget;

// A root folder with the files of /proc and /sys that say what CPU time is granted.
class machine {
 public:
  explicit machine(const std::string& groups) {
    write("proc/self/cgroup", groups);
    write("proc/self/mountinfo",
          "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"
          "31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
          "32 23 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
          "33 23 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  }

  void write(const std::string& path, const std::string& text) {
    const std::filesystem::path whole = root_.path() / path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << text;
  }
  unsigned budget() const { return cpu_budget(root_.path()); }

 private:
  shard_test::folder root_;
};

unsigned affinity() {
  cpu_set_t set;
  EXPECT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  return static_cast<unsigned>(CPU_COUNT(&set));
}

unsigned at_most(unsigned quota) { return std::min(quota, affinity()); }

TEST(CpuBudget, IsTheAffinityWhereNothingIsKnownOfGroups) {
  const shard_test::folder empty;
  EXPECT_EQ(cpu_budget(empty.path()), affinity());
}

TEST(CpuBudget, OfThisMachineIsAtLeastOneAndAtMostTheAffinity) {
  EXPECT_GE(cpu_budget(), 1u);
  EXPECT_LE(cpu_budget(), affinity());
}

TEST(CpuBudget, FollowsTheAffinityOfTheThreadThatAsks) {
  const shard_test::folder empty;
  unsigned found = 0;
  std::thread([&] {
    cpu_set_t all, one;
    ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    int cpu = 0;
    while (!CPU_ISSET(cpu, &all)) ++cpu;
    CPU_SET(cpu, &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    found = cpu_budget(empty.path());
  }).join();
  EXPECT_EQ(found, 1u);
}

TEST(CpuBudget, IsTheQuotaOfTheGroupInVersion2) {
  machine one("0::/job\n");
  one.write("sys/fs/cgroup/job/cpu.max", "100000 100000\n");
  EXPECT_EQ(one.budget(), 1u);
}

TEST(CpuBudget, OfAPartOfAProcessorIsRoundedUp) {
  machine part("0::/job\n");
  part.write("sys/fs/cgroup/job/cpu.max", "5000 100000\n");
  EXPECT_EQ(part.budget(), 1u);
  machine more("0::/job\n");
  more.write("sys/fs/cgroup/job/cpu.max", "110000 100000\n");
  EXPECT_EQ(more.budget(), at_most(2));
}

TEST(CpuBudget, IsTheAffinityWhereTheQuotaIsMaxOrLarger) {
  machine unlimited("0::/job\n");
  unlimited.write("sys/fs/cgroup/job/cpu.max", "max 100000\n");
  EXPECT_EQ(unlimited.budget(), affinity());
  machine large("0::/job\n");
  large.write("sys/fs/cgroup/job/cpu.max", "409600000000 100000\n");
  EXPECT_EQ(large.budget(), affinity());
}

TEST(CpuBudget, IsTheTightestQuotaUpToTheRoot) {
  for (const char* tight : {"a/b/c", "a/b", "a"}) {
    machine nested("0::/a/b/c\n");
    for (const char* group : {"a/b/c", "a/b", "a"}) {
      nested.write(std::string("sys/fs/cgroup/") + group + "/cpu.max",
                   group == std::string(tight) ? "100000 100000\n" : "max 100000\n");
    }
    EXPECT_EQ(nested.budget(), 1u) << tight;
  }
}

TEST(CpuBudget, IsFoundAtTheRootThatAContainerSees) {
  machine container("0::/\n");
  container.write("sys/fs/cgroup/cpu.max", "50000 100000\n");
  EXPECT_EQ(container.budget(), 1u);
}

TEST(CpuBudget, IsTheQuotaOfTheCpuGroupInVersion1) {
  for (const char* controllers : {"cpu", "cpu,cpuacct"}) {
    machine old("5:memory:/elsewhere\n4:" + std::string(controllers) +
                ":/job/step\n1:name=systemd:/\n");
    const std::string folder = std::string("sys/fs/cgroup/") + controllers + "/job/step/";
    old.write(folder + "cpu.cfs_quota_us", "100000\n");
    old.write(folder + "cpu.cfs_period_us", "100000\n");
    EXPECT_EQ(old.budget(), 1u) << controllers;
  }
}

TEST(CpuBudget, IsTheAffinityWhereVersion1SaysMinusOne) {
  machine old("4:cpu,cpuacct:/job\n");
  old.write("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "-1\n");
  old.write("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(old.budget(), affinity());
}

TEST(CpuBudget, IgnoresGroupsOfOtherControllers) {
  machine other("6:cpuset:/job\n5:memory:/job\n");
  other.write("sys/fs/cgroup/job/cpu.max", "100000 100000\n");
  other.write("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "100000\n");
  other.write("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(other.budget(), affinity());
}

TEST(CpuBudget, IsTheAffinityWhereFilesAreGarbage) {
  machine garbled("not a line of cgroup\n0\n0:\n0::/job\n");
  garbled.write("sys/fs/cgroup/job/cpu.max", "lots of it\n");
  EXPECT_EQ(garbled.budget(), affinity());
  garbled.write("sys/fs/cgroup/job/cpu.max", "100000 0\n");
  EXPECT_EQ(garbled.budget(), affinity());
}

TEST(OtherThreads, AreCountedWhileTheyLive) {
  const unsigned before = shard::os::other_threads().value();
  unsigned inside = 0;
  std::thread([&] { inside = shard::os::other_threads().value(); }).join();
  EXPECT_EQ(inside, before + 1);
}

}  // namespace
