// inout(): what a kernel changes in place is changed exactly once, or not at all, whatever dies.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <stdexcept>
#include <vector>

#include "process/leftovers.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using shard_test::bystander;
using shard_test::cast;
using shard_test::eventually;
using shard_test::folder;
using shard_test::mentions;
using shard_test::refusal;
using shard_test::tally;

using InPlace = shard_test::leaves_nothing;

shard::buffer<std::int64_t> ramp(std::size_t size) {
  shard::buffer<std::int64_t> made(size);
  for (std::size_t i = 0; i < size; ++i) made[i] = static_cast<std::int64_t>(i);
  return made;
}

void expect_ramp(const shard::buffer<std::int64_t>& found, std::int64_t more) {
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(found[i], static_cast<std::int64_t>(i) + more) << i;
  }
}

TEST_F(InPlace, ReadsOldValuesAndWritesNewOnesInEveryExecutor) {
  for (const shard::executor where :
       {shard::executor::processes, shard::executor::threads, shard::executor::serial}) {
    auto cells = ramp(1000);
    shard::map({.workers = 3, .grain = 7, .run_on = where}, 1000, shard::inout(cells),
               [](std::size_t i, shard::slice<std::int64_t> cell) { cell[i] += 10; });
    expect_ramp(cells, 10);
  }
}

TEST_F(InPlace, IsDoneOnceWhereAWorkerIsKilledAfterTheChange) {
  for (const int signal : {SIGKILL, SIGSEGV}) {
    auto cells = ramp(100);
    const tally tries;
    const shard::report run = shard::map({.workers = 2, .grain = 10}, 100, shard::inout(cells),
                                         [&](std::size_t i, shard::slice<std::int64_t> cell) {
                                           ++cell[i];
                                           if (i % 25 == 13 && tries[i]++ == 0) raise(signal);
                                         });
    EXPECT_EQ(run.counts().deaths, 4u);
    expect_ramp(cells, 1);
  }
}

// With the second index that is lost the run ends, when half of the chunk is committed.
TEST_F(InPlace, OfAQuarantineInWhichTheRunEndsIsWhatTheReportSays) {
  for (const int signal : {SIGSEGV, SIGKILL}) {
    auto cells = ramp(8);
    shard::counter count;
    const shard::report run = shard::try_map(
        {.workers = 1, .grain = 8, .retries = 0, .retries_kill = 0, .max_failures = 1}, 8,
        shard::inout(cells), shard::reduce(count),
        [&](std::size_t i, shard::slice<std::int64_t> cell, auto& hits) {
          ++cell[i];
          ++hits;
          if (i == 1 || i == 4) raise(signal);
        });
    EXPECT_THAT(run.completed(), testing::ElementsAre(shard::range{0, 1}, shard::range{2, 4}));
    EXPECT_EQ(count.value(), 3);
    for (std::size_t i = 0; i < 8; ++i) {
      const bool is_done = i < 4 && i != 1;
      EXPECT_EQ(cells[i], static_cast<std::int64_t>(i) + (is_done ? 1 : 0)) << i;
    }
  }
}

TEST_F(InPlace, IsDoneOnceWhereAKernelThrowsAfterTheChange) {
  for (const shard::executor where :
       {shard::executor::processes, shard::executor::threads, shard::executor::serial}) {
    auto cells = ramp(100);
    const tally tries;
    shard::map({.workers = 2, .grain = 10, .retries_error = 1, .run_on = where}, 100,
               shard::inout(cells), [&](std::size_t i, shard::slice<std::int64_t> cell) {
                 ++cell[i];
                 if (i % 25 == 13 && tries[i]++ == 0) throw std::runtime_error("again");
               });
    expect_ramp(cells, 1);
  }
}

// Chunks are so small that many lie between two publications.
TEST_F(InPlace, IsDoneOnceWhoeverIsKilledAtAnyMoment) {
  constexpr std::size_t size = 300'000;
  constexpr std::size_t killed = 0;
  constexpr int kills = 40;
  for (const bool large : {false, true}) {
    const tally at;
    bystander killer([&] {
      std::mt19937 random(large ? 1 : 2);
      for (; at[killed] < kills; ++at[killed]) {
        for (auto turns = random() % 300; turns != 0; --turns) sched_yield();
        const bool supervisor = random() % 8 == 0;
        if (!eventually([&] {
              const cast run(relatives().living());
              if (run.supervisor == 0) return false;
              const pid_t victim =
                  supervisor ? run.supervisor : run.workers[random() % run.workers.size()];
              return ::kill(victim, SIGKILL) == 0;
            })) {
          return false;
        }
      }
      return true;
    });
    auto cells = ramp(size);
    shard::histogram bins{shard::axis::regular(large ? 100'000 : 10, 0.0, 1.0 * size)};
    const shard::report run =
        shard::map({.workers = 3, .grain = 100}, size, shard::inout(cells), shard::reduce(bins),
                   [&](shard::range chunk, shard::slice<std::int64_t> cell, auto& bin) {
                     for (const std::size_t i : chunk) {
                       ++cell[i];
                       bin(static_cast<double>(i));
                     }
                     // The last chunks are not done before all kills have hit the run.
                     const bool gate = chunk.last + 400 > size;
                     if (gate && !eventually([&] { return at[killed] >= kills; })) std::abort();
                   });
    EXPECT_TRUE(killer.succeeded());
    expect_ramp(cells, 1);
    std::int64_t counted = 0;
    for (const std::int64_t n : bins.counts()) counted += n;
    EXPECT_EQ(counted, static_cast<std::int64_t>(size)) << run;
  }
}

TEST_F(InPlace, LeavesTheOldValuesOfWhatIsNotCompleted) {
  auto cells = ramp(1000);
  const shard::report run = shard::try_map({.workers = 3, .grain = 10}, 1000, shard::inout(cells),
                                           [](std::size_t i, shard::slice<std::int64_t> cell) {
                                             ++cell[i];
                                             if (i == 500) throw std::runtime_error("stop");
                                           });
  EXPECT_FALSE(run.complete());
  std::vector<bool> done(1000);
  for (const shard::range part : run.completed()) {
    for (const std::size_t i : part) done[i] = true;
  }
  for (std::size_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(cells[i], static_cast<std::int64_t>(i) + (done[i] ? 1 : 0)) << i;
  }
}

TEST_F(InPlace, ChangesRowsAndTiles) {
  shard::buffer<int, 2> image(50, 30);
  const tally tries;
  const auto once = [&](std::size_t i) {
    if (i % 7 == 3 && tries[i]++ == 0) raise(SIGKILL);
  };
  shard::map({.workers = 2, .grain = 3}, 50, shard::inout(image),
             [&](std::size_t i, shard::slice<int, 2> rows) {
               for (int& cell : rows.row(i)) ++cell;
               once(i);
             });
  shard::map({.workers = 2}, shard::tiles{.shape = {50, 30}, .step = {7, 8}}, shard::inout(image),
             [&](shard::tile cells, auto to) {
               for (const std::size_t i : cells.rows) {
                 for (const std::size_t j : cells.cols) to(i, j) += 10;
               }
               once(100 + cells.rows.first + cells.cols.first);
             });
  for (const int cell : image) EXPECT_EQ(cell, 11);
}

TEST_F(InPlace, ChangesAFile) {
  const folder in;
  {
    auto made = shard::create<double>(in / "x.npy", 1000);
    made.finish();
  }
  auto file = shard::open_writable<double>(in / "x.npy");
  shard::map({.workers = 2}, 1000, shard::inout(file),
             [](std::size_t i, shard::slice<double> cell) { cell[i] += static_cast<double>(i); });
  const auto found = shard::open<double>(in / "x.npy");
  for (std::size_t i = 0; i < 1000; ++i) EXPECT_EQ(found[i], static_cast<double>(i));
}

TEST_F(InPlace, IsRefusedForABufferThatIsAnotherArgument) {
  auto cells = ramp(10);
  EXPECT_TRUE(mentions(refusal([&] {
                         shard::map(10, shard::inout(cells), shard::in(cells),
                                    [](std::size_t, auto, auto) {});
                       }),
                       {"an output and another argument"}));
}

}  // namespace
