// What fails in a chunk is found to the index, and nothing else is lost: kernels that throw, crash
// and hang, in every place.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <set>
#include <stdexcept>
#include <vector>

#include "process/leftovers.hpp"
#include "shard/shard.hpp"

namespace {

using namespace std::chrono_literals;
using shard_test::tally;
using testing::ElementsAre;
using testing::ElementsAreArray;

using Isolation = shard_test::leaves_nothing;

constexpr std::size_t indices = 4000;
constexpr std::size_t grain = 500;

double value(std::size_t i) { return std::sin(static_cast<double>(i)) * 1e3; }

struct results {
  shard::report run;
  std::vector<double> out;
  std::vector<std::int64_t> cells;  // each one more than it was
  std::uint64_t ordered_bits = 0;
  std::int64_t counted = 0;
};

results run(shard::options how, const std::set<std::size_t>& poison,
            const std::function<void()>& fail) {
  how.grain = grain;
  shard::buffer<double> out(indices);
  shard::buffer<std::int64_t> cells(indices);
  for (std::size_t i = 0; i < indices; ++i) cells[i] = static_cast<std::int64_t>(i);
  shard::ordered_sum<double> sum;
  shard::counter count;
  shard::report report = shard::try_map(
      how, indices, shard::out(out), shard::inout(cells), shard::reduce(sum), shard::reduce(count),
      [&](std::size_t i, shard::slice<double> to, shard::slice<std::int64_t> cell, auto& total,
          auto& hits) {
        ++hits;
        ++cell[i];
        total += value(i);
        if (poison.contains(i)) fail();
        to[i] = value(i);
      });
  return {std::move(report),
          {out.begin(), out.end()},
          {cells.begin(), cells.end()},
          std::bit_cast<std::uint64_t>(sum.value()),
          count.value()};
}

// Sums of what is not poison: from left to right in each chunk, and then those.
std::uint64_t expected_bits(const std::set<std::size_t>& poison) {
  double total = 0;
  for (std::size_t first = 0; first < indices; first += grain) {
    double sum = 0;
    for (std::size_t i = first; i < first + grain; ++i) {
      if (!poison.contains(i)) sum += value(i);
    }
    total += sum;
  }
  return std::bit_cast<std::uint64_t>(total);
}

void all_but(const std::set<std::size_t>& poison, const results& what) {
  std::vector<shard::range> expected;
  std::size_t at = 0;
  for (const std::size_t i : poison) {
    if (at < i) expected.push_back({at, i});
    at = i + 1;
  }
  if (at < indices) expected.push_back({at, indices});
  EXPECT_THAT(what.run.completed(), testing::ElementsAreArray(expected));
  EXPECT_EQ(what.counted, static_cast<std::int64_t>(indices - poison.size()));
  EXPECT_EQ(what.ordered_bits, expected_bits(poison));
  for (std::size_t i = 0; i < indices; ++i) {
    const bool lost = poison.contains(i);
    EXPECT_EQ(what.cells[i], static_cast<std::int64_t>(i) + (lost ? 0 : 1)) << i;
    if (!lost) {
      EXPECT_EQ(what.out[i], value(i)) << i;
    }
  }
}

const std::set<std::size_t> poison{0, 17, 18, 499, 2222, 3999};

TEST_F(Isolation, FindsTheIndicesThatThrowInEveryExecutor) {
  for (const shard::executor where :
       {shard::executor::processes, shard::executor::threads, shard::executor::serial}) {
    for (const unsigned workers : {1u, 3u}) {
      all_but(poison, run({.workers = workers, .keep_going = true, .run_on = where}, poison,
                          [] { throw std::runtime_error("bad luck"); }));
    }
  }
}

TEST_F(Isolation, FindsTheIndicesThatCrash) {
  for (const unsigned workers : {1u, 2u, 8u}) {
    all_but(poison, run({.workers = workers, .keep_going = true}, poison, [] { std::abort(); }));
  }
}

TEST_F(Isolation, FindsTheIndicesThatExit) {
  all_but(poison, run({.workers = 2, .keep_going = true}, poison, [] { std::exit(7); }));
}

TEST_F(Isolation, FindsTheIndicesThatHang) {
  const std::set<std::size_t> one{1234};
  const results what =
      run({.workers = 2, .timeout = 100ms, .retries = 0, .keep_going = true}, one, [] {
        for (;;) pause();
      });
  all_but(one, what);
  ASSERT_FALSE(what.run.failures().empty());
  for (const shard::failure& failure : what.run.failures()) {
    EXPECT_EQ(failure.kind, "timeout");
    EXPECT_TRUE(failure.indices.contains(1234));
  }
  EXPECT_EQ(what.run.failures().back().indices, (shard::range{1234, 1235}));
}

// Half of a run's workers are killed all the time meanwhile.
TEST_F(Isolation, IsNotMisledByKillsFromOutside) {
  const tally tries;
  const results what = run({.workers = 3, .keep_going = true}, poison, [&] {
    if (++tries[0] % 3 != 0) raise(SIGKILL);
    std::abort();
  });
  all_but(poison, what);
  EXPECT_GE(what.run.counts().deaths, 2 * poison.size());
}

// Where the run stops, the quarantine that has begun is finished all the same.
TEST_F(Isolation, TakesAKillBeyondItsBudgetForACrash) {
  for (const bool keep_going : {false, true}) {
    const tally tries;
    const results what =
        run({.workers = 1, .retries = 0, .retries_kill = 0, .keep_going = keep_going}, {1800}, [&] {
          if (tries[0]++ == 0) std::abort();
          raise(SIGKILL);
        });
    const std::size_t end = keep_going ? indices : 2000;
    EXPECT_THAT(what.run.completed(), ElementsAre(shard::range{0, 1800}, shard::range{1801, end}));
    EXPECT_THAT(what.run.failed(), ElementsAre(shard::range{1800, 1801}));
    std::vector<std::int64_t> cells(indices);
    for (std::size_t i = 0; i < indices; ++i) {
      cells[i] = static_cast<std::int64_t>(i) + (i < end && i != 1800 ? 1 : 0);
    }
    EXPECT_EQ(what.counted, static_cast<std::int64_t>(end - 1));
    EXPECT_EQ(what.cells, cells);
    EXPECT_EQ(what.run.counts().retries, 1u);
  }
}

TEST_F(Isolation, TellsTheIndexBeforeTheRunStops) {
  const std::set<std::size_t> one{1234};
  const results what = run({.workers = 2, .retries = 1}, one, [] { std::abort(); });
  EXPECT_FALSE(what.run.complete());
  EXPECT_EQ(what.run.failures().back().indices, (shard::range{1234, 1235}));
  bool neighbours = false;
  for (const shard::range part : what.run.completed()) {
    EXPECT_FALSE(part.contains(1234));
    neighbours = neighbours || part.first == 1235;
  }
  EXPECT_TRUE(neighbours) << "the rest of its chunk is there";
}

// An index that hangs costs two timeouts: in its chunk, and alone.
TEST_F(Isolation, ByTimeoutsKeepsTheRestOfTheChunkAlsoWhereTheRunStops) {
  const std::set<std::size_t> one{1234};
  const results what = run({.workers = 1, .timeout = 100ms, .retries = 0}, one, [] {
    for (;;) pause();
  });
  EXPECT_THAT(what.run.completed(), ElementsAre(shard::range{0, 1234}, shard::range{1235, 1500}));
  EXPECT_EQ(what.run.failures().size(), 2u);
}

// Of a kernel by range, each step of the search would cost a timeout.
TEST_F(Isolation, OfARangeIsNotSearchedByTimeoutsWhereTheRunStops) {
  shard::buffer<int> out(100);
  const shard::report report =
      shard::try_map({.workers = 1, .grain = 10, .timeout = 100ms, .retries = 0}, 100,
                     shard::out(out), [](shard::range chunk, shard::slice<int> to) {
                       for (const std::size_t i : chunk) to[i] = 1;
                       while (chunk.contains(55)) pause();
                     });
  EXPECT_THAT(report.completed(), ElementsAre(shard::range{0, 50}));
  EXPECT_EQ(report.failures().size(), 1u);
}

TEST_F(Isolation, EndsWhereEverythingFails) {
  std::set<std::size_t> all;
  for (std::size_t i = 0; i < indices; ++i) all.insert(i);
  const results what = run({.workers = 2, .keep_going = true}, all,
                           [] { throw std::runtime_error("nothing works"); });
  all_but(all, what);
}

TEST_F(Isolation, OfATileIsTheTile) {
  shard::buffer<int, 2> out(8, 8);
  const shard::report report = shard::try_map({.workers = 2, .retries = 0, .keep_going = true},
                                              shard::tiles{.shape = {8, 8}, .step = {4, 4}},
                                              shard::inout(out), [](shard::tile cells, auto to) {
                                                for (const std::size_t i : cells.rows) {
                                                  for (const std::size_t j : cells.cols) ++to(i, j);
                                                }
                                                if (cells.rows.first == 4 && cells.cols.first == 0)
                                                  std::abort();
                                              });
  EXPECT_THAT(report.completed(), ElementsAre(shard::range{0, 2}, shard::range{3, 4}));
  for (std::size_t i = 0; i < 8; ++i) {
    for (std::size_t j = 0; j < 8; ++j) EXPECT_EQ(out(i, j), i >= 4 && j < 4 ? 0 : 1);
  }
}

// How often a kernel is called where twenty of 2000 chunks crash.
template <class Reducer>
std::int64_t calls_with(Reducer& sum) {
  constexpr std::size_t n = 2000;
  shard::buffer<std::int64_t> calls(1);
  const shard::report run = shard::try_map(
      {.workers = 1, .grain = 1, .keep_going = true}, n, shard::shared(calls), shard::reduce(sum),
      [](shard::range chunk, shard::shared_view<std::int64_t> count, auto& to) {
        count.fetch_add(0, 1);
        to += 1;
        if (chunk.first % 100 == 50) std::abort();
      });
  EXPECT_EQ(run.missing().size(), 20U);
  return calls[0];
}

// A state that has more room than it needs is published as often as a short one.
TEST_F(Isolation, RunsNoMoreAgainForExactSums) {
  shard::sum<double> exact;
  shard::sum<std::int64_t> whole;
  EXPECT_EQ(calls_with(exact), calls_with(whole));
  EXPECT_EQ(exact.value(), 1980);
  EXPECT_EQ(whole.value(), 1980);
}

}  // namespace
