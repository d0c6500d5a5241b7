// What a family asks of a segment: which there are, and one more mapping with fewer rights.

#include "memory/segment.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "memory/granted.hpp"
#include "os/headroom.hpp"
#include "refusal.hpp"
#include "shard/npy.hpp"

namespace {

namespace fs = std::filesystem;
using shard::detail::owner_of;
using shard::detail::segment;
using shard_test::folder;
using shard_test::mentions;
using shard_test::open_descriptors;
using shard_test::refusal;

// The signal that ended a forked child running `steps`; 0 if they returned.
template <class Steps>
int fatal_signal_of(Steps steps) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);  // a sanitizer's handler would turn the signal into an exit status
    signal(SIGBUS, SIG_DFL);
    steps();
    _exit(0);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST(Segment, IsListedWhileItIsMapped) {
  const folder in;
  const std::size_t before = segment::live(segment::hold_live()).size();
  {
    shard::buffer<double> memory(10);
    const auto file = shard::create<std::int16_t>(in / "x.npy", 20);
    const auto live = segment::live(segment::hold_live());
    ASSERT_EQ(live.size(), before + 2);
    const auto& first = live[before];
    EXPECT_EQ(first.name, "memory");
    EXPECT_EQ(first.base + first.data_offset, reinterpret_cast<std::byte*>(memory.begin()));
    EXPECT_EQ(first.length_bytes, 4096u + 80);
    EXPECT_EQ(first.element_bytes, 8u);
    EXPECT_TRUE(first.may_be_written);
    EXPECT_EQ(live[before + 1].name, (in / "x.npy").string());
    const auto view = shard::buffer<const double>::reopen(memory.descriptor());
    EXPECT_FALSE(segment::live(segment::hold_live()).back().may_be_written);
  }
  EXPECT_EQ(segment::live(segment::hold_live()).size(), before);
}

TEST(Segment, LivesAsLongAsAnyoneSharesIt) {
  const std::size_t before = segment::live(segment::hold_live()).size();
  auto numbers = std::make_unique<shard::buffer<int>>(3);
  std::shared_ptr<segment> shared = owner_of(*numbers);
  numbers.reset();
  EXPECT_EQ(segment::live(segment::hold_live()).size(), before + 1);
  shared.reset();
  EXPECT_EQ(segment::live(segment::hold_live()).size(), before);
}

TEST(Segment, LeavesNothingAfterTwoThousand) {
  const folder in;
  const std::size_t descriptors = open_descriptors();
  const std::size_t segments = segment::live(segment::hold_live()).size();
  for (int i = 0; i < 1000; ++i) {
    shard::buffer<int> memory(100);
    if (i % 10 == 0) shard::create<int>(in / "x.npy", 100).finish();
    EXPECT_NE(refusal([&] { shard::buffer<double>::reopen(memory.descriptor()); }), "");
    EXPECT_NE(refusal([&] { shard::open<int>(in / "none.npy"); }), "");
  }
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_EQ(segment::live(segment::hold_live()).size(), segments);
  EXPECT_EQ(in.names(), std::set<std::string>{"x.npy"});
}

TEST(MapAgain, SharesTheElements) {
  const folder in;
  shard::buffer<int> memory(100);
  auto file = shard::create<int>(in / "x.npy", 100);
  for (const auto& owner : {owner_of(memory), owner_of(file)}) {
    const auto writable = shard::memory::map_again(*owner, shard::detail::access::write);
    const auto readable = shard::memory::map_again(*owner, shard::detail::access::read);
    EXPECT_NE(writable.base(), owner->base());
    EXPECT_EQ(writable.length_bytes(), owner->length_bytes());
    reinterpret_cast<int*>(writable.base() + owner->data_offset())[7] = 9;
    EXPECT_EQ(reinterpret_cast<const int*>(readable.base() + owner->data_offset())[7], 9);
    EXPECT_EQ(reinterpret_cast<const int*>(owner->data())[7], 9);
  }
}

TEST(MapAgain, FaultsWhereOnlyReadingWasGranted) {
  shard::buffer<int> numbers(100);
  EXPECT_EQ(fatal_signal_of([&] {
              const auto view =
                  shard::memory::map_again(*owner_of(numbers), shard::detail::access::read);
              *reinterpret_cast<volatile int*>(view.base() + 4096) = 1;
            }),
            SIGSEGV);
  const auto only = shard::buffer<const int>::reopen(numbers.descriptor());
  mentions(
      refusal([&] { shard::memory::map_again(*owner_of(only), shard::detail::access::write); }),
      {"memory", "for writing", "reading only"});
}

TEST(Segment, FaultsOnceItsMappingIsMadeReadOnly) {
  shard::buffer<int> numbers(100);
  EXPECT_EQ(fatal_signal_of([&] {
              for (const auto& each : segment::live(segment::hold_live())) {
                if (each.may_be_written) shard::os::make_read_only(each.base, each.length_bytes);
              }
              *const_cast<volatile int*>(numbers.begin()) = 1;
            }),
            SIGSEGV);
  numbers[0] = 1;
  EXPECT_EQ(numbers[0], 1) << "in the parent it stays writable";
}

// A /proc and /sys of the test's own.
class machine {
 public:
  void write(const std::string& path, const std::string& text) const {
    const fs::path file = root_ / path;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  shard::os::headroom headroom(std::size_t wanted = 1) const {
    return shard::os::memory_headroom(wanted, root_.path());
  }

 private:
  folder root_;
};

constexpr std::size_t mebi = 1 << 20;

TEST(Headroom, IsWhatTheMachineHasAvailable) {
  machine pretended;
  pretended.write("proc/meminfo",
                  "MemTotal: 9999 kB\nMemAvailable:   2048 kB\nSwapFree: 1024 kB\n");
  EXPECT_EQ(pretended.headroom().available_bytes, 3 * mebi);
  EXPECT_EQ(machine().headroom().available_bytes, std::numeric_limits<std::size_t>::max());
}

TEST(Headroom, IsTheTightestOfAllGroupsAbove) {
  machine pretended;
  pretended.write("proc/meminfo", "MemAvailable: 1048576 kB\nSwapFree: 0 kB\n");
  pretended.write("proc/self/cgroup", "0::/batch/job\n");
  pretended.write("proc/self/mountinfo",
                  "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n");
  pretended.write("sys/fs/cgroup/batch/job/memory.max", "max\n");
  pretended.write("sys/fs/cgroup/batch/memory.max", std::to_string(100 * mebi));
  pretended.write("sys/fs/cgroup/batch/memory.current", std::to_string(90 * mebi));
  pretended.write("sys/fs/cgroup/batch/memory.stat",
                  "anon 1\nfile 99999999\ninactive_file " + std::to_string(20 * mebi) +
                      "\nactive_file " + std::to_string(10 * mebi) + "\n");
  EXPECT_EQ(pretended.headroom(mebi).available_bytes, 10 * mebi) << "enough without the file cache";
  const auto all = pretended.headroom(30 * mebi);
  EXPECT_EQ(all.available_bytes, 40 * mebi) << "the file cache can go";
  EXPECT_NE(all.limit.find("/batch"), std::string::npos) << all.limit;
}

TEST(Headroom, ReadsTheFirstVersionOfGroupsFromInsideAContainer) {
  machine pretended;
  pretended.write("proc/self/cgroup", "9:name=systemd:/x\n4:cpu,memory:/docker/c0/step\n0::/\n");
  pretended.write(
      "proc/self/mountinfo",
      "30 23 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
      "31 23 0:27 /docker/c0 /sys/fs/cgroup/memory rw shared:4 - cgroup cgroup rw,memory\n");
  const std::string group = "sys/fs/cgroup/memory/";
  pretended.write(group + "memory.limit_in_bytes", "9223372036854771712");
  pretended.write(group + "step/memory.limit_in_bytes", std::to_string(8 * mebi));
  pretended.write(group + "step/memory.usage_in_bytes", std::to_string(5 * mebi));
  pretended.write(group + "step/memory.stat", "total_inactive_file 0\ntotal_active_file 0\n");
  EXPECT_EQ(pretended.headroom(8 * mebi).available_bytes, 3 * mebi);
}

TEST(Headroom, CountsThePromisesOfOtherBuffers) {
  const std::size_t before = segment::promised_bytes();
  shard::buffer<char> untouched(10 * mebi);
  EXPECT_GE(segment::promised_bytes(), before + 9 * mebi);
  std::fill(untouched.begin(), untouched.end(), 'x');
  EXPECT_LT(segment::promised_bytes(), before + mebi);
}

}  // namespace
