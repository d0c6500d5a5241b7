// What a job refuses so that nothing is lost, wrong, or waited for in vain; and what it does about
// it.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>

#include "os/file.hpp"
#include "process/starts.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using namespace std::chrono_literals;
using shard_test::content_of;
using shard_test::eventually;
using shard_test::mentions;
using shard_test::refusal;
using shard_test::tally;
using testing::HasSubstr;

namespace fs = std::filesystem;

constexpr std::size_t n = 100;

tally* seen = nullptr;
enum : std::size_t { fails_at, refused, ran };
shard::job* open_job = nullptr;  // for kernels

class JobRefusals : public shard_test::starts {
 protected:
  void SetUp() override {
    starts::SetUp();
    seen = &seen_;
    seen_[fails_at] = -1;
  }
  static shard::job_options how(shard::executor where = shard::executor::processes) {
    return {.checkpoint = shard::seconds{},
            .maps = {.workers = 2, .grain = 5, .retries = 0, .run_on = where}};
  }
  static double root(std::size_t i) {
    ++(*seen)[ran];
    if ((*seen)[fails_at] == static_cast<int>(i)) throw std::runtime_error("not yet");
    return std::sqrt(static_cast<double>(i));
  }
  // One start.
  bool run() const {
    shard::job job(place_, how());
    auto out = job.create<double>("out.npy", n);
    return job.try_map({.keep_going = true}, out, root).complete();
  }
  bool is_refused(const std::string& what) const {
    return mentions(refusal([&] { run(); }), {what.c_str()});
  }
};

// ---- Whose file is it ----

TEST_F(JobRefusals, TakeNoOutputThatWasRemovedForWhatItWas) {
  EXPECT_TRUE(run());
  fs::remove(place_ / "out.npy");
  EXPECT_TRUE(is_refused("its outputs are other files"));
  EXPECT_TRUE(is_refused("its outputs are other files"));
}

TEST_F(JobRefusals, TakeNoFolderForAnotherThatHasItsName) {
  if (shard::os::birth_of(shard::os::open_directory(here_.path().string()).get()) == 0) {
    GTEST_SKIP() << "this file system doesn't tell when a folder was made";
  }
  EXPECT_TRUE(run());
  fs::copy(place_, here_ / "kept", fs::copy_options::recursive);
  fs::remove_all(place_);
  fs::copy(here_ / "kept", place_, fs::copy_options::recursive);
  EXPECT_TRUE(is_refused("a copy of another folder"));
}

TEST_F(JobRefusals, LeaveOthersFilesAlone) {
  fs::create_directories(place_);
  for (const std::string name : {"out.npy", "out.npy.part"}) {
    SCOPED_TRACE(name);
    std::ofstream(place_ / name) << "somebody's";
    EXPECT_TRUE(is_refused(name + ", which this job has not made"));
    EXPECT_EQ(content_of(place_ / name), "somebody's");
    fs::remove(place_ / name);
  }
  EXPECT_TRUE(run());
}

TEST_F(JobRefusals, GiveNoFileANameThatAJobHasUseFor) {
  shard::job job(place_, how());
  for (const char* const name : {"a.npy.part", "report.json", "chunks.tsv", "failures.jsonl",
                                 "report.html", "trace.pftrace", "", "a/b", ".shard"}) {
    EXPECT_TRUE(mentions(refusal([&] { job.create<double>(name, n); }), {"the name of a file"}))
        << name;
  }
}

// Some of its rows may be changed already, and nobody knows which.
TEST_F(JobRefusals, ChangeNothingInPlaceTwice) {
  const auto add_one = [&] {
    shard::job job(place_, how());
    auto all = job.create<double>("all.npy", n);
    return job.try_map({.keep_going = true}, n, shard::inout(all),
                       [](std::size_t i, shard::slice<double> row) { row[i] += 1 + root(i) * 0; });
  };
  seen_[fails_at] = 99;
  EXPECT_FALSE(add_one().complete());
  fs::remove(place_ / ".shard" / "1.live");
  EXPECT_TRUE(mentions(refusal([&] { static_cast<void>(add_one()); }),
                       {"changes a buffer in place", "1.live is gone"}));
}

// ---- Who would wait for himself ----

TEST_F(JobRefusals, EndCallsInKernelsAndInCallbacks) {
  for (const auto where :
       {shard::executor::processes, shard::executor::threads, shard::executor::serial}) {
    fs::remove_all(place_);
    seen_[refused] = 0;
    shard::job job(place_, how(where));
    open_job = &job;
    auto out = job.create<double>("out.npy", n);
    auto other = job.create<double>("other.npy", n);
    job.map(out, [](std::size_t) {
      const std::string of_create = refusal([] { open_job->create<double>("new.npy", n); });
      if (mentions(of_create, {"cannot create"})) ++(*seen)[refused];
      return 0.0;
    });
    EXPECT_EQ(seen_[refused], static_cast<int>(n));
    std::string of_callback;
    const shard::options asks{.on_progress = [&](const shard::progress&) {
      of_callback = refusal([&] { job.create<double>("new.npy", n); });
    }};
    job.map(asks, other, root);
    EXPECT_TRUE(mentions(of_callback, {"on_progress", "outside of its maps"}));
    EXPECT_EQ(job.create<double>("new.npy", n).size(), n);
  }
}

// Another thread of the program is in a map, and its lock is never given back in the child.
TEST_F(JobRefusals, EndCallsInChildrenOfAProgramThatIsInAMap) {
  shard::job job(place_, how());
  auto out = job.create<double>("out.npy", n);
  std::atomic<bool> begun = false;
  std::atomic<bool> done = false;
  const shard::options waits{.allow_threads = true, .on_progress = [&](const shard::progress&) {
                               begun = true;
                               EXPECT_TRUE(eventually([&] { return done.load(); }));
                             }};
  std::thread other([&] { job.map(waits, out, root); });
  EXPECT_TRUE(eventually([&] { return begun.load(); }));
  EXPECT_THAT(refusal_of_a_start([&] { job.create<double>("new.npy", n); }),
              HasSubstr("forked by process"));
  done = true;
  other.join();
}

// ---- Where it is ----

TEST_F(JobRefusals, AreNotNeededWhenTheProgramGoesElsewhere) {
  must_succeed([&] {
    fs::create_directories(here_ / "elsewhere");
    fs::current_path(here_.path());
    shard::job job("results", how());
    auto out = job.create<double>("out.npy", n);
    fs::current_path(here_ / "elsewhere");
    job.map(out, root);
    auto other = job.create<double>("other.npy", n);
    job.map(other, root);
    return fs::exists(place_ / "other.npy") && job.folder() == place_ &&
           fs::is_empty(here_ / "elsewhere");
  });
}

TEST_F(JobRefusals, OfAFolderWithoutANameSaySo) {
  EXPECT_TRUE(mentions(refusal([] { shard::job job(""); }), {"an empty path"}));
}

TEST_F(JobRefusals, OfAFileThatMayNotBeSoLongSaySoAndEndNobody) {
  const std::string said = refusal_of_a_start([&] {
    shard::job job(place_, how());
    auto out = job.create<double>("out.npy", n);
    const rlimit few{1 << 16, RLIM_INFINITY};
    setrlimit(RLIMIT_FSIZE, &few);
    job.map(out, root);
  });
  EXPECT_TRUE(mentions(said, {"1.live", "RLIMIT_FSIZE", "ulimit -f"}));
  EXPECT_TRUE(run());
}

// ---- What it does instead ----

pid_t checkpointer_of_this_process() {
  const std::string all = content_of("/proc/self/task/" + std::to_string(getpid()) + "/children");
  std::istringstream pids(all);
  for (pid_t each = 0; pids >> each;) {
    if (content_of("/proc/" + std::to_string(each) + "/comm") == "shard-checkpt\n") return each;
  }
  return 0;
}

TEST_F(JobRefusals, AreNoneIfTheCheckpointerAloneIsKilled) {
  const fs::path said = here_ / "said";
  must_succeed([&] {
    const int to = open(said.c_str(), O_WRONLY | O_CREAT, 0600);
    dup2(to, STDERR_FILENO);
    pid_t victim = 0;
    shard::options kills{.workers = 2, .grain = 5};
    kills.on_progress = [&](const shard::progress&) {
      if (victim != 0) return;
      victim = checkpointer_of_this_process();
      if (victim != 0) kill(victim, SIGKILL);
      ++seen_[refused];  // nobody, but kernels go on
    };
    shard::job job(place_, {.checkpoint = 1ms});
    auto out = job.create<double>("out.npy", n);
    const auto waits = [](std::size_t i) {
      EXPECT_TRUE(eventually([] { return (*seen)[refused] != 0; }));
      return root(i);
    };
    return job.map(kills, out, waits).complete() && victim != 0;
  });
  EXPECT_THAT(content_of(said), HasSubstr("the process that made checkpoints of map 1 was killed"));
  EXPECT_TRUE(fs::exists(place_ / "out.npy"));
}

TEST_F(JobRefusals, LeaveNoFileThatOnlySeemsLong) {
  for (int time = 0; time < 2; ++time) {
    shard::job job(place_, how());
    shard::collect<std::uint32_t> odd;
    const auto gather = [](std::size_t i, shard::collect<std::uint32_t>::accumulator& to) {
      if (i % 2 != 0) to.push_back(static_cast<std::uint32_t>(i));
    };
    job.for_each(n, shard::reduce(odd), gather);
    EXPECT_EQ(odd.size(), n / 2);
    EXPECT_LE(fs::file_size(place_ / ".shard" / "1.spill.0"), std::size_t{1} << 20);
  }
}

TEST_F(JobRefusals, TellOfWhichStartTheyWere) {
  seen_[fails_at] = 42;
  must_succeed([&] { return !run(); });
  must_succeed([&] {
    shard::job job(place_, how());
    return true;  // it doesn't come to the map
  });
  seen_[fails_at] = -1;
  must_succeed([&] { return run(); });
  EXPECT_THAT(content_of(place_ / "failures.jsonl"), testing::StartsWith("{\"start\":1,"));
}

}  // namespace
