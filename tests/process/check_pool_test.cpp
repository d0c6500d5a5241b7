// SHARD_CHECK_POOL=1: runs in a pool are done a second time, by workers that are started for each,
// and whoever gives another result there is told of.

#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "process/leftovers.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using shard_test::folder;
using shard_test::mentions;
using shard_test::refusal;

constexpr std::size_t n = 1000;
constexpr unsigned two = 2;

// What the program changes.
double factor = 1;
// What is left in a worker: how many indices it has done.
std::size_t done_before = 0;

double times_factor(std::size_t i) { return factor * static_cast<double>(i + 1); }

class CheckPool : public shard_test::leaves_nothing {
 protected:
  void SetUp() override {
    leaves_nothing::SetUp();
    setenv("SHARD_CHECK_POOL", "1", 1);
    factor = 1;
  }
  void TearDown() override {
    unsetenv("SHARD_CHECK_POOL");
    leaves_nothing::TearDown();
  }
};

TEST_F(CheckPool, FindsAKernelThatReadsWhatTheProgramHasChanged) {
  shard::pool pool({.workers = two});
  shard::buffer<double> x(n);
  pool.map(x, times_factor);
  factor = 3;
  EXPECT_TRUE(mentions(refusal([&] { pool.map(x, times_factor); }),
                       {"cannot vouch for map", "found that row 0 of buffer 1 (memory) is another",
                        "pool::refresh", "expected the same"}));
  EXPECT_EQ(x[1], 2) << "the results are the pool's";
  pool.refresh();
  pool.map(x, times_factor);
  EXPECT_EQ(x[1], 6);
}

TEST_F(CheckPool, NamesTheRowAndTheBuffer) {
  shard::pool pool({.workers = two});
  const shard::buffer<double> x(n);
  shard::buffer<double> y(n);
  shard::buffer<double> z(n);
  factor = 2;
  const std::string found = refusal([&] {
    pool.map(shard::range{0, n}, shard::in(x), shard::out(y), shard::out(z),
             [](std::size_t i, shard::view<double>, shard::slice<double> same,
                shard::slice<double> other) {
               same[i] = static_cast<double>(i);
               other[i] = i < 700 ? 0 : factor;
             });
  });
  EXPECT_TRUE(mentions(found, {"row 700 of buffer 3"}));
}

TEST_F(CheckPool, FindsWhatEarlierMapsHaveLeftInAWorker) {
  shard::pool pool({.workers = 1});
  shard::buffer<std::size_t> x(n);
  const auto count = [](std::size_t) { return done_before++; };
  pool.map(x, count);
  EXPECT_TRUE(mentions(refusal([&] { pool.map(x, count); }), {"row 0 of buffer 1"}));
  done_before = 0;
}

TEST_F(CheckPool, FindsAnotherResultOfAReducer) {
  shard::pool pool({.workers = two});
  factor = 2;
  shard::counter all;
  shard::ordered_sum<double> sum(10.0);
  const std::string found = refusal([&] {
    pool.map(shard::range{0, n}, shard::reduce(all), shard::reduce(sum),
             [](std::size_t i, shard::counter::accumulator& one,
                shard::ordered_sum<double>::accumulator& to) {
               ++one;
               to += times_factor(i);
             });
  });
  EXPECT_TRUE(mentions(found, {"reducer 2"}));
  EXPECT_EQ(all.value(), n) << "the second run's don't count";
  EXPECT_EQ(sum.value(), 10 + n * (n + 1) / 2);
}

TEST_F(CheckPool, FindsAKernelThatFailsInNewWorkersOnly) {
  shard::pool pool({.workers = two});
  factor = 2;
  shard::buffer<double> x(n);
  const std::string found = refusal([&] {
    pool.map(x, [](std::size_t i) {
      if (i == 123 && factor != 1) throw std::runtime_error("too much");
      return 0.0;
    });
  });
  EXPECT_TRUE(mentions(found, {"all of it done", "too much"}));
}

TEST_F(CheckPool, GivesNoNameToAFileThatItDoesNotVouchFor) {
  const folder in;
  shard::pool pool({.workers = two});
  factor = 2;
  auto file = shard::create<double>(in.path() / "x.npy", n);
  EXPECT_TRUE(mentions(refusal([&] { pool.map(file, times_factor); }), {"cannot vouch for map"}));
  EXPECT_FALSE(std::filesystem::exists(in.path() / "x.npy"));
}

TEST_F(CheckPool, LeavesToTheReportWhatFailsInThePool) {
  shard::pool pool({.workers = two});
  shard::buffer<double> x(n);
  const shard::report run = pool.try_map(x, [](std::size_t i) {
    if (i == 5) throw std::runtime_error("always");
    return 0.0;
  });
  EXPECT_FALSE(run.complete());
}

TEST_F(CheckPool, FindsItInQueuedRunsAndInThoseThatWereStarted) {
  shard::pool pool({.workers = two});
  shard::buffer<double> x(n);
  pool.queue(x, times_factor);
  pool.wait();
  factor = 3;
  pool.queue(x, times_factor);
  EXPECT_TRUE(mentions(refusal([&] { pool.wait(); }), {"cannot vouch for map"}));
  shard::run run = pool.start(x, times_factor);
  EXPECT_TRUE(mentions(refusal([&] { run.wait(); }), {"cannot vouch for map"}));
}

// Everything that a run changes is changed once, and what it reads is what was there.
TEST_F(CheckPool, ChangesNothingElse) {
  const folder in;
  for (const shard::start_by start : {shard::start_by::fork, shard::start_by::spawn}) {
    shard::pool pool({.workers = two, .start = start});
    shard::buffer<double> x(n);
    std::iota(x.begin(), x.end(), 0.0);
    shard::buffer<double> partly(n);
    for (double& each : partly) each = -1;
    shard::buffer<std::int64_t> counts(4);
    const auto path = in.path() / (start == shard::start_by::fork ? "forked.npy" : "spawned.npy");
    auto file = shard::create<double>(path, n);
    shard::ordered_sum<double> sum;
    shard::minimum<double> least;
    shard::histogram bins(shard::axis::regular(10, 0.0, 1000.0));
    for (int k = 1; k <= 3; ++k) {
      pool.map(
          shard::range{0, n}, shard::inout(x), shard::out(partly), shard::shared(counts),
          shard::reduce(sum), shard::reduce(least), shard::reduce(bins),
          [](std::size_t i, shard::slice<double> mine, shard::slice<double> sometimes,
             shard::shared_view<std::int64_t> all, shard::ordered_sum<double>::accumulator& total,
             shard::minimum<double>::accumulator& smallest, auto& bin) {
            bin(mine[i]);
            mine[i] += 1;
            if (i % 2 == 0) sometimes[i] = mine[i];
            all.fetch_add(i % 4, 1, std::memory_order_relaxed);
            total += mine[i];
            smallest(mine[i]);
          });
      for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(x[i], static_cast<double>(i) + k);
      EXPECT_EQ(partly[1], -1);
      EXPECT_EQ(partly[2], 2.0 + k);
      EXPECT_EQ(counts[3], k * static_cast<std::int64_t>(n) / 4);
      EXPECT_EQ(bins.at(5), 100 * k);
    }
    EXPECT_EQ(least.value(), 1);
    EXPECT_EQ(sum.value(), 3 * (n * (n - 1) / 2.0) + 6.0 * n);
    pool.map(file, [](std::size_t i) { return static_cast<double>(i); });
    EXPECT_TRUE(std::filesystem::exists(path));
  }
}

// Counts, as a user might write it.
class tally {
 public:
  class accumulator {
   public:
    accumulator(const tally&, std::byte* state) noexcept { std::memcpy(&count_, state, 8); }
    accumulator(const accumulator&) = delete;
    accumulator& operator=(const accumulator&) = delete;
    void operator()() noexcept { ++count_; }
    void store(std::byte* state) const noexcept { std::memcpy(state, &count_, 8); }
    std::int64_t count() const noexcept { return count_; }

   private:
    std::int64_t count_ = 0;
  };
  static constexpr bool ordered = false;
  std::size_t state_bytes() const noexcept { return 8; }
  void start(std::byte*) const noexcept {}
  void merge(const accumulator& part) noexcept { count += part.count(); }

  std::int64_t count = 0;
};

TEST_F(CheckPool, LeavesAloneReducersThatCannotBeCompared) {
  shard::pool pool({.workers = two});
  factor = 2;
  tally all;
  pool.map(shard::range{0, n}, shard::reduce(all), [](std::size_t i, tally::accumulator& one) {
    if (times_factor(i) > 100) one();
  });
  EXPECT_EQ(all.count, 900);
}

TEST_F(CheckPool, GivesAMapOneNumber) {
  shard::pool pool({.workers = two});
  shard::buffer<double> x(n);
  const std::size_t first = pool.map(x, times_factor).counts().map;
  EXPECT_EQ(pool.map(x, times_factor).counts().map, first + 1);
}

TEST_F(CheckPool, SaysWhyItCannotBeDone) {
  shard::pool pool({.workers = two});
  std::atomic<bool> over = false;
  std::thread other([&] {
    while (!over) std::this_thread::yield();
  });
  shard::buffer<double> x(n);
  EXPECT_TRUE(mentions(refusal([&] { pool.map(x, times_factor); }),
                       {"cannot check map", "SHARD_CHECK_POOL", "other thread"}));
  over = true;
  other.join();
  pool.map(x, times_factor);
}

TEST_F(CheckPool, LooksAtNothingWithoutAPool) {
  shard::buffer<std::int64_t> all(1);
  shard::map({.workers = two, .start = shard::start_by::spawn}, n, shard::shared(all),
             [](std::size_t, shard::shared_view<std::int64_t> to) { to.fetch_add(0, 1); });
  EXPECT_EQ(all[0], static_cast<std::int64_t>(n));
}

TEST_F(CheckPool, LooksAtNothingInThreads) {
  shard::pool pool({.workers = two, .run_on = shard::executor::threads});
  shard::buffer<double> x(n);
  pool.map(x, times_factor);
  factor = 3;
  pool.map(x, times_factor);
  EXPECT_EQ(x[1], 6);
}

}  // namespace
