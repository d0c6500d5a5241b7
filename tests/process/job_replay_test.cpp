// SHARD_REPLAY in a job: the map that is replayed is the last one of its start, and nothing of the
// replay counts for the next start.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "process/starts.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using shard_test::content_of;
using shard_test::mentions;
using shard_test::refusal;
using shard_test::tally;
using testing::ElementsAre;

namespace fs = std::filesystem;

constexpr std::size_t n = 100;
constexpr std::size_t grain = 5;
constexpr std::size_t chunks = n / grain;

// How often the second map has run each index, and behind those what kernels are told.
tally* seen = nullptr;
enum : std::size_t { caller = n, dies_at, spoils_at, ran_in };

class JobReplay : public shard_test::starts {
 protected:
  void SetUp() override {
    starts::SetUp();
    seen = &seen_;
    seen_[dies_at] = seen_[spoils_at] = -1;
  }

  // The second map of this program, with what it gives.
  struct given {
    shard::report second;
    std::vector<double> b;
    double total = 0;
    std::vector<std::uint32_t> found;
  };
  given run(double checkpoint = 0) const {
    seen_[caller] = getpid();
    shard::job job(
        place_, {.checkpoint = shard::seconds{checkpoint}, .maps = {.workers = 1, .grain = grain}});
    auto a = job.create<double>("a.npy", n);
    auto b = job.create<double>("b.npy", n);
    job.map(a, [](std::size_t i) { return std::sqrt(static_cast<double>(i)); });
    shard::sum<double> total;
    shard::collect<std::uint32_t> found;
    given all{job.try_map(n, shard::in(a), shard::out(b), shard::reduce(total),
                          shard::reduce(found), second),
              {},
              0,
              {}};
    all.b.assign(b.begin(), b.end());
    all.total = total.value();
    all.found.assign(found.items().begin(), found.items().end());
    return all;
  }
  static void second(std::size_t i, shard::view<double> a, shard::slice<double> b,
                     shard::sum<double>::accumulator& total,
                     shard::collect<std::uint32_t>::accumulator& found) {
    ++(*seen)[i];
    (*seen)[ran_in] = getpid();
    if ((*seen)[dies_at] == static_cast<int>(i)) {
      kill((*seen)[caller], SIGKILL);
      pause();
    }
    if ((*seen)[spoils_at] == static_cast<int>(i)) {
      b[i] = -1;
      raise(SIGKILL);
    }
    b[i] = a[i] + 1;
    total += b[i];
    found.push_back(static_cast<std::uint32_t>(i));
  }
  static bool is_right(const given& all) {
    if (!all.second.complete() || all.found.size() != n) return false;
    for (std::size_t i = 0; i < n; ++i) {
      if (all.b[i] != std::sqrt(static_cast<double>(i)) + 1) return false;
    }
    return true;
  }

  // A start that is killed in the second map, when some chunks are committed.
  void leave_under_way() {
    seen_[dies_at] = 57;
    EXPECT_NE(status_of(start([&] { return run(), true; })), 0);
    seen_[dies_at] = -1;
    forget_runs();
  }
  // Of the map with that number in its start: "2:40-45", say.
  template <class Steps>
  static pid_t start_replaying(const std::string& what, Steps steps) {
    return start([&] {
      shard::counter none;  // this process goes on counting where the test is
      const std::size_t before =
          shard::map(0, shard::reduce(none), [](std::size_t, auto&) {}).counts().map;
      const std::size_t colon = what.find(':');
      const std::size_t map = before + std::stoul(what.substr(0, colon));
      setenv("SHARD_REPLAY", (std::to_string(map) + what.substr(colon)).c_str(), 1);
      return steps();
    });
  }
  template <class Steps>
  static void must_replay(const std::string& what, Steps steps) {
    EXPECT_EQ(status_of(start_replaying(what, steps)), 0);
  }
  void forget_runs() {
    for (std::size_t i = 0; i < n; ++i) seen_[i] = 0;
  }
  int runs() const {
    int all = 0;
    for (std::size_t i = 0; i < n; ++i) all += seen_[i];
    return all;
  }

  // All notes and reports, and which outputs have their final names. Not: who has the job, and how
  // often it was started. A spill reserves more addresses than can be read.
  std::map<std::string, std::string> notes() const {
    std::map<std::string, std::string> all;
    for (const auto& each : fs::recursive_directory_iterator(place_)) {
      const std::string name = fs::relative(each.path(), place_);
      if (!each.is_regular_file() || name == ".shard/lock" || name == ".shard/job.json") continue;
      const bool is_large =
          name.find(".npy") != std::string::npos || name.find(".spill.") != std::string::npos;
      if (is_large) {
        all[name] = "";
        continue;
      }
      const std::string content = content_of(each.path());
      all[name] = std::to_string(content.size()) + " bytes, hash " +
                  std::to_string(std::hash<std::string>{}(content));
    }
    return all;
  }
  void expect_that_the_next_start_carries(std::size_t carried) {
    forget_runs();
    must_succeed([&] {
      const given all = run();
      return is_right(all) && all.second.counts().carried_over == carried;
    });
    EXPECT_EQ(runs(), static_cast<int>(n - carried * grain));
  }
};

TEST_F(JobReplay, OfAMapUnderWayRunsItsIndicesHereAndNotesNothing) {
  leave_under_way();
  const auto before = notes();
  ASSERT_TRUE(before.contains(".shard/2.live"));
  must_replay("2:40-45", [&] {
    const given all = run();
    EXPECT_THAT(all.second.completed(), ElementsAre(shard::range{40, 45}));
    EXPECT_TRUE(mentions(all.second.trouble(), {"SHARD_REPLAY", "[40, 45)", "no others"}));
    EXPECT_THAT(all.found, ElementsAre(40, 41, 42, 43, 44));
    EXPECT_GT(all.total, 0);
    EXPECT_EQ(all.b[42], std::sqrt(42.0) + 1);
    return !HasFailure() && seen_[ran_in] == getpid();
  });
  EXPECT_EQ(runs(), 5);
  EXPECT_EQ(notes(), before);
  expect_that_the_next_start_carries(11);
}

TEST_F(JobReplay, OfACompleteMapRunsItsIndicesAgainAndLeavesItComplete) {
  must_succeed([&] { return is_right(run()); });
  forget_runs();
  const auto before = notes();
  ASSERT_TRUE(before.contains("b.npy"));
  must_replay("2:40-45", [&] {
    return run().second.completed().front() == shard::range{40, 45} && seen_[ran_in] == getpid();
  });
  EXPECT_EQ(runs(), 5);
  EXPECT_EQ(notes(), before);
  expect_that_the_next_start_carries(chunks);
}

// What runs in a debugger ends in the middle of a row, or writes something else.
TEST_F(JobReplay, OfACompleteMapSpoilsNoRowWhereverItEnds) {
  must_succeed([&] { return is_right(run()); });
  seen_[spoils_at] = 42;
  EXPECT_NE(status_of(start_replaying("2:40-45", [&] { return run(), true; })), 0);
  EXPECT_EQ(shard::open<double>(place_ / "b.npy")[42], std::sqrt(42.0) + 1);
  seen_[spoils_at] = -1;
  expect_that_the_next_start_carries(chunks);
}

TEST_F(JobReplay, OfACommittedChunkSpoilsNoRowWhereverItEnds) {
  leave_under_way();
  seen_[spoils_at] = 42;
  EXPECT_NE(status_of(start_replaying("2:40-45", [&] { return run(), true; })), 0);
  seen_[spoils_at] = -1;
  expect_that_the_next_start_carries(11);
}

TEST_F(JobReplay, OfAllIndicesIsNoCompleteMapForTheNextStart) {
  must_replay("2:0-100", [&] { return is_right(run()); });
  EXPECT_EQ(runs(), static_cast<int>(n));
  EXPECT_TRUE(fs::exists(place_ / "b.npy.part"));
  EXPECT_FALSE(fs::exists(place_ / "b.npy"));
  expect_that_the_next_start_carries(0);
}

TEST_F(JobReplay, RunsTheMapsBeforeItAsUsual) {
  must_replay("2:40-45", [&] { return !run().second.complete(); });
  EXPECT_TRUE(fs::exists(place_ / "a.npy"));
  EXPECT_TRUE(fs::exists(place_ / ".shard/1.done"));
  EXPECT_FALSE(fs::exists(place_ / ".shard/2.map.json"));
}

TEST_F(JobReplay, WithCheckpointsNotesNothingEither) {
  must_replay("2:40-45", [&] { return !run(1e-3).second.complete(); });
  for (const char* const kind : {"map.json", "live", "log", "done"}) {
    EXPECT_FALSE(fs::exists(place_ / ".shard" / (std::string("2.") + kind))) << kind;
  }
  must_succeed([&] { return is_right(run(1e-3)); });
}

TEST_F(JobReplay, IsTheLastMapOfItsStart) {
  must_replay("2:0-10", [&] {
    shard::job job(place_, {.checkpoint = shard::seconds{}, .maps = {.workers = 1}});
    auto a = job.create<double>("a.npy", 10);
    auto b = job.create<double>("b.npy", 10);
    const auto kernel = [](std::size_t i) { return static_cast<double>(i); };
    job.map(a, kernel);
    // Even a whole one.
    return job.map(b, kernel).complete() &&
           mentions(refusal([&] { job.map(a, kernel); }),
                    {"begin map 3", "map 2 was replayed", "start the program again"});
  });
  must_replay("1:4-5", [&] {
    shard::job job(here_ / "another", {.checkpoint = shard::seconds{}, .maps = {.workers = 1}});
    auto a = job.create<double>("a.npy", 10);
    const auto kernel = [](std::size_t i) { return static_cast<double>(i); };
    return mentions(refusal([&] { job.map(a, kernel); }),
                    {"found 1 of 10 indices done", "SHARD_REPLAY has run the indices [4, 5)"});
  });
}

TEST_F(JobReplay, OfAMapThatChangesInPlaceIsRefused) {
  const auto steps = [&] {
    shard::job job(place_, {.checkpoint = shard::seconds{}, .maps = {.workers = 1}});
    auto x = job.create<double>("x.npy", 10);
    job.map(x, [](std::size_t i) { return static_cast<double>(i); });
    job.map(10, shard::inout(x), [](std::size_t i, shard::slice<double> row) { row[i] += 1; });
    return x[7] == 8;
  };
  const auto refused = [&] {
    return mentions(refusal(steps), {"replay a map of a job", "changes a buffer in place",
                                     "expected a map from in() to out()"});
  };
  must_replay("2:0-10", refused);
  must_succeed(steps);
  must_replay("2:0-10", refused);
  must_succeed(steps);
}

}  // namespace
