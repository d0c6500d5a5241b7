// What the command `shard doctor` learns of the control groups.
#include "os/machine.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "refusal.hpp"

namespace {

// A root folder with the files of /proc and /sys that say what groups may use.
class machine {
 public:
  explicit machine(const std::string& groups) {
    write("proc/self/cgroup", groups);
    write("proc/self/mountinfo",
          "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"
          "31 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
          "32 23 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n");
  }
  void write(const std::string& path, const std::string& text) {
    const std::filesystem::path whole = root_.path() / path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << text;
  }
  auto memory() const { return shard::os::memory_limit(root_.path()); }
  auto processes() const { return shard::os::process_limit(root_.path()); }

 private:
  shard_test::folder root_;
};

TEST(GroupLimits, AreNoneWhereNoneCanBeSeen) {
  const shard_test::folder empty;
  EXPECT_FALSE(shard::os::memory_limit(empty.path()));
  EXPECT_FALSE(shard::os::process_limit(empty.path()));
}

TEST(GroupLimits, AreTheOnesThatLeaveLeast) {
  machine with("0::/batch/job\n");
  with.write("sys/fs/cgroup/batch/memory.max", "1000\n");
  with.write("sys/fs/cgroup/batch/memory.current", "900\n");
  with.write("sys/fs/cgroup/batch/job/memory.max", "500\n");
  with.write("sys/fs/cgroup/batch/job/memory.current", "100\n");
  with.write("sys/fs/cgroup/batch/pids.max", "max\n");
  with.write("sys/fs/cgroup/batch/job/pids.max", "20\n");
  with.write("sys/fs/cgroup/batch/job/pids.current", "7\n");
  ASSERT_TRUE(with.memory());
  EXPECT_EQ(with.memory()->most, 1000u);
  EXPECT_EQ(with.memory()->used, 900u);
  EXPECT_EQ(with.memory()->group, "/batch");
  ASSERT_TRUE(with.processes());
  EXPECT_EQ(with.processes()->most, 20u);
  EXPECT_EQ(with.processes()->used, 7u);
  EXPECT_EQ(with.processes()->group, "/batch/job");
}

TEST(GroupLimits, OfTheFirstVersionMayBeTheLargestNumber) {
  machine with("4:memory:/job\n5:pids:/job\n0::/\n");
  with.write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "9223372036854771712\n");
  with.write("sys/fs/cgroup/pids/job/pids.max", "3\n");
  with.write("sys/fs/cgroup/pids/job/pids.current", "5\n");
  EXPECT_FALSE(with.memory());
  ASSERT_TRUE(with.processes());
  EXPECT_EQ(with.processes()->most, 3u);
  with.write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "4096\n");
  ASSERT_TRUE(with.memory());
  EXPECT_EQ(with.memory()->most, 4096u);
}

}  // namespace
