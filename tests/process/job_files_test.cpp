// The folder of a job, and its files: on which file systems it may be, and when the program may
// write to the elements.

#include <errno.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "os/calls.hpp"
#include "process/starts.hpp"
#include "refusal.hpp"
#include "restored_calls.hpp"
#include "shard/shard.hpp"

namespace {

using shard::os::calls;
using shard_test::mentions;
using shard_test::refusal;
using shard_test::restored_calls;
using shard_test::tally;

namespace fs = std::filesystem;

constexpr std::size_t n = 100;

tally* seen = nullptr;
enum : std::size_t { caller, dies_at, fails_at, started };

class JobFiles : public shard_test::starts {
 protected:
  void SetUp() override {
    starts::SetUp();
    seen = &seen_;
    seen_[dies_at] = seen_[fails_at] = -1;
  }
  static double root(std::size_t i) {
    ++(*seen)[started];
    if ((*seen)[dies_at] == static_cast<int>(i)) {
      kill((*seen)[caller], SIGKILL);
      pause();
    }
    if ((*seen)[fails_at] == static_cast<int>(i)) throw std::runtime_error("not yet");
    return std::sqrt(static_cast<double>(i));
  }
};

// ---- File systems ----

// What this process is told of every file system: as if the folder were there. From linux/magic.h,
// and from the sources of those that are not a part of the kernel.
constexpr std::array<std::int64_t, 13> on_a_network{
    NFS_SUPER_MAGIC,
    SMB_SUPER_MAGIC,
    CIFS_SUPER_MAGIC,
    SMB2_SUPER_MAGIC,
    CEPH_SUPER_MAGIC,
    V9FS_MAGIC,
    AFS_SUPER_MAGIC,
    AFS_FS_MAGIC,
    CODA_SUPER_MAGIC,
    0x0bd00bd0,
    0x47504653,
    0x19830326,
    std::int64_t{static_cast<std::int32_t>(CIFS_SUPER_MAGIC)}};  // Lustre, GPFS, BeeGFS; signed
constexpr std::array<std::int64_t, 8> on_this_machine{
    EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC,       BTRFS_SUPER_MAGIC, TMPFS_MAGIC,
    F2FS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, FUSE_SUPER_MAGIC,  0x2fc12fc1};  // ZFS

class JobOnANetwork : public JobFiles {
 protected:
  static void pretend(std::int64_t type) {
    told_ = type;
    calls().fstatfs = [](int descriptor, struct statfs* found) {
      const int status = ::fstatfs(descriptor, found);
      found->f_type = static_cast<decltype(found->f_type)>(told_);
      return status;
    };
  }
  static std::string text_of(std::int64_t type) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(type));
    return text.data();
  }
  shard::job_options how(bool allow) const {
    return {
        .checkpoint = shard::seconds{}, .allow_network = allow, .maps = {.workers = 1, .grain = 1}};
  }

 private:
  static inline std::int64_t told_ = 0;
  const restored_calls afterwards_;
};

TEST_F(JobOnANetwork, IsRefusedAndLeavesNoNote) {
  for (const std::int64_t type : on_a_network) {
    SCOPED_TRACE(text_of(type));
    pretend(type);
    EXPECT_TRUE(
        mentions(refusal([&] { shard::job job(place_, how(false)); }),
                 {"cannot keep a job in", place_.c_str(), "found a file system on the network",
                  "expected a local one", "allow_network"}));
    for (const auto& each : fs::recursive_directory_iterator(here_.path())) {
      EXPECT_TRUE(each.is_directory()) << each.path();
    }
  }
}

// A folder that was made here may be mounted from elsewhere later.
TEST_F(JobOnANetwork, IsRefusedInALaterStartToo) {
  const auto steps = [&](bool allow) {
    shard::job job(place_, how(allow));
    auto out = job.create<double>("out.npy", n);
    return job.map(out, root).counts().carried_over;
  };
  EXPECT_EQ(steps(false), 0U);
  pretend(NFS_SUPER_MAGIC);
  EXPECT_TRUE(mentions(refusal([&] { steps(false); }), {"on the network"}));
  EXPECT_EQ(steps(true), n);
}

TEST_F(JobOnANetwork, IsLetInWhereThatIsAllowed) {
  for (const std::int64_t type : on_a_network) {
    SCOPED_TRACE(text_of(type));
    pretend(type);
    fs::remove_all(place_);
    shard::job job(place_, how(true));
    auto out = job.create<double>("out.npy", n);
    EXPECT_TRUE(job.map(out, root).complete());
    EXPECT_TRUE(fs::exists(place_ / "out.npy"));
    // Others of this host are kept out.
    EXPECT_TRUE(mentions(refusal_of_a_start([&] { shard::job other(place_, how(true)); }),
                         {"in use by process"}));
  }
}

TEST_F(JobOnANetwork, GoesOnAfterAKill) {
  pretend(NFS_SUPER_MAGIC);
  const auto steps = [&] {
    seen_[caller] = getpid();
    shard::job job(place_, how(true));
    auto out = job.create<double>("out.npy", n);
    const bool went_on = job.map(out, root).counts().carried_over == 40;
    for (std::size_t i = 0; i < n; ++i) {
      if (out[i] != std::sqrt(static_cast<double>(i))) return false;
    }
    return went_on;
  };
  seen_[dies_at] = 40;
  EXPECT_NE(status_of(start(steps)), 0);
  seen_[dies_at] = -1;
  must_succeed(steps);
}

TEST_F(JobOnANetwork, IsNotSuspectedOfDisksOfThisMachine) {
  for (const std::int64_t type : on_this_machine) {
    SCOPED_TRACE(text_of(type));
    pretend(type);
    EXPECT_EQ(refusal([&] { shard::job job(place_, how(false)); }), "");
  }
}

TEST_F(JobOnANetwork, IsTakenForOneIfTheSystemDoesNotTell) {
  calls().fstatfs = [](int, struct statfs*) {
    errno = ENOSYS;
    return -1;
  };
  EXPECT_TRUE(mentions(refusal([&] { shard::job job(place_, how(false)); }),
                       {"cannot work on the job in", "fstatfs"}));
  EXPECT_EQ(refusal([&] { shard::job job(place_, how(true)); }), "");
}

// ---- What the program may write to ----

class JobElements : public JobFiles {
 protected:
  // Whether the program can't store: it is ended there, or told. In a process that has what this
  // one has, and that ends at once.
  template <class Store>
  static bool ends_at(Store store) {
    const pid_t child = fork();
    if (child == 0) {
      signal(SIGSEGV, [](int) { _exit(42); });
      try {
        store();
      } catch (const shard::error&) {
        _exit(42);
      }
      _exit(0);
    }
    const int status = status_of(child);
    EXPECT_TRUE(WIFEXITED(status));
    return WIFEXITED(status) && WEXITSTATUS(status) == 42;
  }
  static bool is_read_only(shard::buffer<double>& of) {
    const double before = of[3];
    return ends_at([&] { of[3] = -1; }) && of[3] == before;
  }
  static bool can_be_written_to(shard::buffer<double>& of) {
    return !ends_at([&] { of[3] = of[3]; });
  }
  static shard::job_options how(shard::executor where = shard::executor::processes) {
    return {.checkpoint = shard::seconds{},
            .maps = {.workers = 2, .grain = 5, .retries = 0, .run_on = where}};
  }
  static double twice(std::size_t i, shard::view<double> from) { return 2 * from[i]; }
};

TEST_F(JobElements, AreReadOnlyOnceAMapHasWrittenThemAndForMapsAreNot) {
  for (const auto where :
       {shard::executor::processes, shard::executor::threads, shard::executor::serial}) {
    fs::remove_all(place_);
    shard::job job(place_, how(where));
    auto out = job.create<double>("out.npy", n);
    auto other = job.create<double>("other.npy", n);
    EXPECT_TRUE(can_be_written_to(out));
    job.map(out, root);
    EXPECT_TRUE(is_read_only(out));
    EXPECT_TRUE(can_be_written_to(other)) << "no map has written it";
    job.map(other, shard::in(out), twice);
    EXPECT_TRUE(is_read_only(out));
    EXPECT_TRUE(is_read_only(other));
    job.map(out, shard::in(other), twice);
    EXPECT_EQ(out[9], 12.0);
    EXPECT_TRUE(is_read_only(out));
  }
}

TEST_F(JobElements, AreReadOnlyBehindAMapThatWasCompleteBefore) {
  for (int time = 0; time < 2; ++time) {
    shard::job job(place_, how());
    auto out = job.create<double>("out.npy", n);
    EXPECT_EQ(job.map(out, root).counts().carried_over, time == 0 ? 0U : n / 5);
    EXPECT_TRUE(is_read_only(out));
  }
}

TEST_F(JobElements, AreReadOnlyBehindAMapThatChangesThemInPlace) {
  shard::job job(place_, how());
  auto out = job.create<double>("out.npy", n);
  job.map(out, root);
  job.map(n, shard::inout(out), [](std::size_t i, shard::slice<double> row) { row[i] += 1; });
  EXPECT_EQ(out[9], 4.0);
  EXPECT_TRUE(is_read_only(out));
}

TEST_F(JobElements, StayReadOnlyIfTheProgramHasDroppedThemMeanwhile) {
  shard::job job(place_, how());
  {
    auto out = job.create<double>("out.npy", n);
    job.map(out, root);
  }
  auto out = job.create<double>("out.npy", n);
  EXPECT_EQ(out[9], 3.0);
  EXPECT_TRUE(is_read_only(out));
  // And maps can still write to them.
  auto other = job.create<double>("other.npy", n);
  job.map(other, shard::in(out), twice);
  job.map(out, shard::in(other), twice);
  EXPECT_EQ(out[9], 12.0);
}

// The program is the same one. What it stores before its first map would spoil what that has given
// in an earlier start, and is not going to give again.
TEST_F(JobElements, AreReadOnlyInTheNextStartFromTheBeginning) {
  {
    shard::job job(place_, how());
    auto out = job.create<double>("out.npy", n);
    job.map(out, root);
  }
  shard::job job(place_, how());
  auto out = job.create<double>("out.npy", n);
  EXPECT_TRUE(is_read_only(out));
  EXPECT_EQ(job.map(out, root).counts().carried_over, n / 5);
  EXPECT_EQ(out[9], 3.0);
}

// Chunks of it are committed, and count for the next start.
TEST_F(JobElements, AreReadOnlyBehindAMapThatHasLostIndices) {
  shard::job job(place_, how());
  auto out = job.create<double>("out.npy", n);
  seen_[fails_at] = 42;
  EXPECT_FALSE(job.try_map({.keep_going = true}, out, root).complete());
  EXPECT_TRUE(is_read_only(out));
}

TEST_F(JobElements, AreReadOnlyBehindAMapThatThrows) {
  shard::job job(place_, how());
  auto out = job.create<double>("out.npy", n);
  const shard::options ends{.on_progress = [&](const shard::progress&) {
    if (seen_[started] != 0) throw std::runtime_error("enough");
  }};
  EXPECT_THROW(job.map(ends, out,
                       [](std::size_t i) {
                         ++(*seen)[started];
                         if (i > n / 2) pause();  // until the family is ended
                         return root(i);
                       }),
               std::runtime_error);
  EXPECT_TRUE(is_read_only(out));
}

// What an earlier map has given is there still.
TEST_F(JobElements, AreReadOnlyBehindAMapThatCouldNotBegin) {
  shard::job job(place_, how());
  auto out = job.create<double>("out.npy", n);
  auto other = job.create<double>("other.npy", n);
  job.map(other, root);
  job.map(out, root);
  const restored_calls afterwards;
  calls().fallocate = [](int, int, off_t, off_t) {
    errno = ENOSPC;
    return -1;
  };
  calls().posix_fallocate = [](int, off_t, off_t) { return ENOSPC; };
  EXPECT_TRUE(mentions(refusal([&] { job.map(out, shard::in(other), twice); }),
                       {"bytes for a map", "No space left"}));
  EXPECT_TRUE(is_read_only(out));
}

}  // namespace
