// Processes of a run are killed at random moments: workers, the supervisor, its standby. The
// results are the same bytes as those of a run that nobody disturbs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <future>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "process/leftovers.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using shard_test::bystander;
using shard_test::cast;
using shard_test::eventually;
using shard_test::family;
using shard_test::holds_in_a_child;
using shard_test::relative;
using shard_test::tally;

using Kill = shard_test::leaves_nothing;

// Where the map and its killer meet.
enum : std::size_t { started, killed, busy, group };

constexpr std::size_t indices = 20'000;
constexpr std::size_t grain = 50;

// The bytes that a map gave.
struct results {
  std::vector<double> out;
  std::vector<std::int64_t> bins;
  std::vector<double> weights;
  std::uint64_t sum = 0;
  std::uint64_t exact = 0;
  std::int64_t count = 0;
  bool operator==(const results&) const = default;
};

struct job {
  results bytes;
  shard::report run;
};

// Its last chunks are not done before `kills` have happened, so that all of them hit the run.
job map_until(const tally& at, int kills, shard::options how) {
  how.grain = grain;
  shard::buffer<double> out(indices);
  shard::histogram bins{shard::axis::regular(100, -1.0, 1.0)};
  shard::weighted_histogram weights{shard::axis::regular(100, -1.0, 1.0)};
  shard::ordered_sum<double> total;
  shard::sum<double> exact;
  shard::counter count;
  shard::report run = shard::try_map(
      how, indices, shard::out(out), shard::reduce(bins), shard::reduce(weights),
      shard::reduce(total), shard::reduce(exact), shard::reduce(count),
      [&](shard::range chunk, shard::slice<double> to, auto& bin, auto& weight, auto& sum,
          auto& truly, auto& hits) {
        ++at[started];
        for (const std::size_t i : chunk) {
          const double x = std::sin(static_cast<double>(i) * 0.7);
          to[i] = x * 1e3;
          bin(x);
          weight.add(x, shard::weight(std::ldexp(x, static_cast<int>(i % 200) - 100)));
          sum += x / (1.0 + static_cast<double>(i));
          truly += std::ldexp(x, static_cast<int>(i % 2000) - 1000);
          ++hits;
          // In the middle of the chunk: half of it is written, and counted.
          const bool gate = chunk.first + grain * 4 >= indices && i == chunk.first + grain / 2;
          if (gate && !eventually([&] { return at[killed] >= kills; })) std::abort();
        }
      });
  return {{{out.begin(), out.end()},
           [&] {
             const auto counts = bins.counts();
             return std::vector<std::int64_t>(counts.begin(), counts.end());
           }(),
           [&] {
             const auto sums = weights.sums();
             return std::vector<double>(sums.begin(), sums.end());
           }(),
           std::bit_cast<std::uint64_t>(total.value()),
           std::bit_cast<std::uint64_t>(exact.value()),
           count.value()},
          std::move(run)};
}

results undisturbed() {
  const tally at;
  return map_until(at, 0, {.run_on = shard::executor::serial}).bytes;
}

// Lets the run go on for a random while: until so many more chunks were started, or, where they all
// wait for the killer, for some turns of the scheduler.
void let_it_run(const tally& at, std::mt19937& random) {
  const int enough = at[started] + static_cast<int>(random() % 20);
  for (auto turns = random() % 2000; turns != 0 && at[started] < enough; --turns) sched_yield();
}

bool is_gone(const family& of, pid_t pid) {
  for (const relative& one : of.living()) {
    if (one.pid == pid) return false;
  }
  return true;
}

// Kills `kills` processes, one after the other, which `choose` picks from the run's cast.
template <class Choose>
bool kill_some(const family& of, const tally& at, int kills, unsigned seed, Choose choose) {
  std::mt19937 random(seed);
  for (int k = 0; k < kills; ++k) {
    let_it_run(at, random);
    pid_t victim = 0;
    if (!eventually([&] {
          const cast run(of.living());
          victim = run.supervisor == 0 ? 0 : choose(run, random);
          return victim != 0 && ::kill(victim, SIGKILL) == 0;
        })) {
      return false;
    }
    if (!eventually([&] { return is_gone(of, victim); })) return false;
    ++at[killed];
  }
  return true;
}

pid_t any_worker(const cast& run, std::mt19937& random) {
  return run.workers[random() % run.workers.size()];
}

TEST_F(Kill, OfWorkersAtRandomMomentsChangesNoByte) {
  const int maps = shard_test::sanitized ? 3 : 20;
  constexpr int kills = 10;
  const results expected = undisturbed();
  std::size_t deaths = 0;
  for (int k = 0; k < maps; ++k) {
    const unsigned seed = 7100 + static_cast<unsigned>(k);
    SCOPED_TRACE("seed " + std::to_string(seed));
    const tally at;
    bystander killer([&] { return kill_some(relatives(), at, kills, seed, any_worker); });
    const job what = map_until(at, kills, {.workers = 1 + static_cast<unsigned>(k) % 4});
    EXPECT_TRUE(killer.succeeded());
    EXPECT_TRUE(what.run.complete()) << what.run;
    EXPECT_TRUE(what.bytes == expected);
    EXPECT_EQ(what.run.counts().takeovers, 0u);
    deaths += what.run.counts().deaths;
    for (const shard::failure& one : what.run.failures()) EXPECT_EQ(one.kind, "killed");
  }
  EXPECT_EQ(deaths, static_cast<std::size_t>(maps * kills));
}

TEST_F(Kill, OfTheSupervisorAtRandomMomentsChangesNoByte) {
  const int maps = shard_test::sanitized ? 2 : 10;
  constexpr int kills = 5;
  const results expected = undisturbed();
  for (int k = 0; k < maps; ++k) {
    const unsigned seed = 8200 + static_cast<unsigned>(k);
    SCOPED_TRACE("seed " + std::to_string(seed));
    const tally at;
    bystander killer([&] {
      return kill_some(relatives(), at, kills, seed,
                       [](const cast& run, std::mt19937&) { return run.supervisor; });
    });
    const job what = map_until(at, kills, {.workers = 1 + static_cast<unsigned>(k) % 4});
    EXPECT_TRUE(killer.succeeded());
    EXPECT_TRUE(what.run.complete()) << what.run;
    EXPECT_TRUE(what.bytes == expected);
    EXPECT_EQ(what.run.counts().takeovers, static_cast<std::size_t>(kills));
    EXPECT_EQ(what.run.trouble(), "");
  }
}

TEST_F(Kill, OfTheStandbyIsHarmless) {
  const int kills = shard_test::sanitized ? 3 : 20;
  const results expected = undisturbed();
  const tally at;
  bystander killer([&] {
    return kill_some(relatives(), at, kills, 9300,
                     [](const cast& run, std::mt19937&) { return run.standby; });
  });
  const job what = map_until(at, kills, {.workers = 2});
  EXPECT_TRUE(killer.succeeded());
  EXPECT_TRUE(what.run.complete()) << what.run;
  EXPECT_TRUE(what.bytes == expected);
  EXPECT_EQ(what.run.counts().takeovers, 0u);
  EXPECT_EQ(what.run.counts().deaths, 0u);
}

TEST_F(Kill, OfAnybodyChangesNoByte) {
  const int kills = shard_test::sanitized ? 5 : 40;
  const results expected = undisturbed();
  const tally at;
  bystander killer([&] {
    return kill_some(relatives(), at, kills, 9400, [](const cast& run, std::mt19937& random) {
      switch (random() % 4) {
        case 0: return run.supervisor;
        case 1: return run.standby;
        default: return any_worker(run, random);
      }
    });
  });
  const job what = map_until(at, kills, {.workers = 3});
  EXPECT_TRUE(killer.succeeded());
  EXPECT_TRUE(what.run.complete()) << what.run;
  EXPECT_TRUE(what.bytes == expected);
}

// The C library's own fork(), which a caller with threads gets, calls what it was told to.
std::size_t births_that_are_deaths = 0;
pid_t parent_of_these = 0;
void die_at_birth() {
  if (births_that_are_deaths != 0 && getppid() == parent_of_these) raise(SIGKILL);
}
void count_births() {
  if (births_that_are_deaths != 0 && getpid() == parent_of_these) --births_that_are_deaths;
}

TEST_F(Kill, OfTheSupervisorBeforeItHasAStandbyIsHarmlessTwice) {
  EXPECT_TRUE(holds_in_a_child([&] {
    parent_of_these = getpid();
    pthread_atfork(nullptr, count_births, die_at_birth);
    std::promise<void> end;
    std::thread other([&] { end.get_future().wait(); });
    bool fine = true;
    for (const std::size_t deaths : {0u, 1u, 2u, 3u}) {
      births_that_are_deaths = deaths;
      shard::buffer<int> out(100);
      const shard::report run = shard::try_map({.workers = 2, .grain = 1, .allow_threads = true},
                                               out, [](std::size_t) { return 1; });
      const bool whole = run.complete() && run.failures().empty() && run.counts().takeovers == 0;
      const bool none =
          run.completed().empty() && run.trouble().find("killed") != run.trouble().npos;
      fine = fine && (deaths < 3 ? whole : none) && births_that_are_deaths == 0;
    }
    end.set_value();
    other.join();
    return fine;
  }));
}

// Nobody is left to be judged by the supervisor, each time; but what ran is known. The run ends
// sooner where a standby was not there yet, or had not left the group.
TEST_F(Kill, OfTheWholeGroupByOneIndexEndsTheRunAndNamesIt) {
  shard::buffer<int> out(20);
  const shard::report run = shard::try_map({.workers = 1, .grain = 1}, out, [](std::size_t i) {
    if (i == 13) ::kill(0, SIGTERM);
    return static_cast<int>(i) + 1;
  });
  EXPECT_THAT(run.completed(), testing::ElementsAre(shard::range{0, 13}));
  EXPECT_EQ(out[12], 13);
  EXPECT_THAT(run.trouble(),
              testing::ContainsRegex("more than 100 supervisors died|"
                                     "the supervisor and its standby were both killed|"
                                     "the supervisor was killed each time"));
  EXPECT_THAT(run.trouble(), testing::HasSubstr("running then: indices [13, 14)"));
}

// All is done by then, but for finding the names of functions.
TEST_F(Kill, OfTheSupervisorWhileItNamesStacksCostsNames) {
  bool hit = false;
  for (int run = 0; run < 100 && !hit; ++run) {
    const tally at;
    bystander killer([&] {
      if (!eventually([&] { return at[started] != 0; })) return false;
      // With its caller alone, once it has ended the others.
      std::vector<relative> living;
      if (!eventually([&] { return (living = relatives().living()).size() <= 2; })) return false;
      for (const relative& one : living) {
        if (one.pid != getppid()) return ::kill(one.pid, SIGKILL) == 0;
      }
      return false;
    });
    shard::buffer<int> out(40);
    const shard::report what = shard::try_map(
        {.workers = 2, .grain = 1, .retries = 0, .keep_going = true}, out, [&](std::size_t i) {
          ++at[started];
          if (i % 10 == 3) std::abort();
          return 1;
        });
    killer.succeeded();
    ASSERT_THAT(what.failures(), testing::SizeIs(4));
    ASSERT_EQ(what.completed().size(), 5u);
    ASSERT_EQ(what.trouble(), "");
    for (const shard::failure& one : what.failures()) {
      ASSERT_EQ(one.signal, SIGABRT);
      ASSERT_FALSE(one.stack.empty());
      hit = hit || std::ranges::none_of(one.stack, [](const auto& frame) {
              return frame.find("abort") != std::string::npos;
            });
    }
  }
  EXPECT_TRUE(hit) << "it always ended before";
}

// While the run has children of its kernels, too, which must not outlive the supervisor's death.
TEST_F(Kill, OfTheSupervisorEndsTheChildrenOfKernels) {
  const tally at;
  bystander killer([&] {
    return kill_some(relatives(), at, 2, 9500,
                     [](const cast& run, std::mt19937&) { return run.supervisor; });
  });
  shard::buffer<int> out(8);
  const shard::report run = shard::try_map({.workers = 2, .grain = 1}, out, [&](std::size_t i) {
    if (fork() == 0) {
      for (;;) pause();
    }
    return eventually([&] { return at[killed] >= 2; }) ? static_cast<int>(i) : -1;
  });
  EXPECT_TRUE(killer.succeeded());
  EXPECT_TRUE(run.complete()) << run;
  EXPECT_EQ(out[7], 7);
}

TEST_F(Kill, OfSupervisorAndStandbyEndsTheRunAndKeepsWhatIsDone) {
  for (const bool with_workers : {false, true}) {
    SCOPED_TRACE(with_workers ? "workers too" : "these two");
    const tally at;
    bystander killer([&] {
      if (!eventually([&] { return at[started] >= 100 + 3; })) return false;
      cast run({});
      // Stopped, the supervisor can't replace its standby.
      if (!eventually([&] { return (run = cast(relatives().living())).supervisor != 0; }))
        return false;
      ::kill(run.supervisor, SIGSTOP);
      ::kill(run.standby, SIGKILL);
      if (with_workers) {
        for (const pid_t worker : run.workers) ::kill(worker, SIGKILL);
      }
      return ::kill(run.supervisor, SIGKILL) == 0;
    });
    shard::buffer<int> out(1000);
    shard::counter count;
    try {
      // A slice shows where a chunk ends: each is committed by itself.
      shard::map({.workers = 3, .grain = 1}, out.size(), shard::out(out), shard::reduce(count),
                 [&](std::size_t i, shard::slice<int> to, auto& hits) {
                   ++hits;
                   ++at[started];
                   while (i >= 100) pause();
                   to[i] = static_cast<int>(i) + 1;
                 });
      ADD_FAILURE() << "nothing was thrown";
    } catch (const shard::map_error& e) {
      EXPECT_THAT(e.what(), testing::HasSubstr("supervisor"));
      const shard::report& run = e.result();
      EXPECT_FALSE(run.complete());
      std::int64_t done = 0;
      for (const shard::range part : run.completed()) {
        for (const std::size_t i : part) {
          EXPECT_LT(i, 100u);
          EXPECT_EQ(out[i], static_cast<int>(i) + 1);
          ++done;
        }
      }
      EXPECT_EQ(done, 100);
      EXPECT_EQ(count.value(), done);
    }
    EXPECT_TRUE(killer.succeeded());
  }
}

// A caller that adopts orphans gets what a killed supervisor leaves, and must not keep it.
TEST_F(Kill, OfTheSupervisorLeavesNoZombieWithACallerThatAdoptsOrphans) {
  EXPECT_TRUE(holds_in_a_child([&] {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    const tally at;
    bystander killer([&] {
      return kill_some(relatives(), at, 3, 9600,
                       [](const cast& run, std::mt19937&) { return run.supervisor; });
    });
    const job what = map_until(at, 3, {.workers = 3});
    return killer.succeeded() && what.run.complete() && what.run.counts().takeovers == 3 &&
           waitpid(-1, nullptr, WNOHANG | __WALL) == -1;
  }));
}

TEST_F(Kill, OfSupervisorAndStandbyLeavesNothingOfTheKernels) {
  for (const bool adopts : {false, true}) {
    EXPECT_TRUE(holds_in_a_child([&] {
      prctl(PR_SET_CHILD_SUBREAPER, adopts ? 1 : 0);
      const tally at;
      bystander killer([&] {
        cast run({});
        if (!eventually([&] { return at[started] == 4; })) return false;
        if (!eventually([&] { return (run = cast(relatives().living())).supervisor != 0; }))
          return false;
        ::kill(run.supervisor, SIGSTOP);
        ::kill(run.standby, SIGKILL);
        return ::kill(run.supervisor, SIGKILL) == 0;
      });
      shard::buffer<int> out(2);
      const shard::report run =
          shard::try_map({.workers = 2, .grain = 1}, out, [&](std::size_t) -> int {
            static_cast<void>(fork());
            ++at[started];
            for (;;) pause();
          });
      return killer.succeeded() && !run.complete() && waitpid(-1, nullptr, WNOHANG | __WALL) == -1;
    }));
    EXPECT_TRUE(eventually([&] { return relatives().living().empty(); }));
  }
}

TEST_F(Kill, OfAWorkerBetweenTwoChunksBlamesNone) {
  const tally at;
  shard::buffer<int> out(3);
  // One worker is busy with the last chunk; the other one has nothing to do, and sleeps until the
  // end.
  bystander killer([&] {
    pid_t idle = 0;
    if (!eventually([&] {
          for (const relative& one : relatives().living()) {
            if (one.state == 'S' && at[group] != 0 && one.group == at[group] && !one.leads() &&
                one.pid != at[busy]) {
              idle = one.pid;
            }
          }
          return idle != 0;
        })) {
      return false;
    }
    ::kill(idle, SIGKILL);
    const bool gone = eventually([&] { return is_gone(relatives(), idle); });
    ++at[killed];
    return gone;
  });
  const shard::report run = shard::map({.workers = 2, .grain = 1}, out, [&](std::size_t i) {
    ++at[started];
    // Nobody runs all three alone.
    if (i == 0 && !eventually([&] { return at[started] >= 2; })) return -1;
    if (i == 2) {
      at[busy] = getpid();
      at[group] = getpgrp();
      if (!eventually([&] { return at[killed] == 1; })) return -1;
    }
    return static_cast<int>(i);
  });
  EXPECT_TRUE(killer.succeeded());
  EXPECT_EQ(run.counts().retries, 0u);
  EXPECT_EQ(out[2], 2);
}

}  // namespace
