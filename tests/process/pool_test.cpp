// Pools: the same results as without one, run after run, whatever dies between or within.

#include "shard/pool.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "process/family.hpp"
#include "process/leftovers.hpp"
#include "process/printed.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using namespace std::chrono_literals;
using shard::executor;
using shard_test::eventually;
using shard_test::mentions;
using shard_test::refusal;
using shard_test::relative;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr std::size_t n = 10'000;

shard::buffer<double> numbers(std::size_t count = n) {
  shard::buffer<double> made(count);
  std::iota(made.begin(), made.end(), 1.0);
  return made;
}

double twice(std::size_t i, shard::view<double> x) { return 2 * x[i]; }

// In some of these tests workers are spawned, see tests/CMakeLists.txt.
class Pool : public shard_test::leaves_nothing {
 protected:
  // The workers of all pools of this test.
  std::vector<relative> workers() const {
    std::vector<relative> found;
    for (const relative& one : relatives().living()) {
      if (one.name.starts_with("shard wk")) found.push_back(one);
    }
    return found;
  }
  std::optional<relative> supervisor() const { return named("shard sup"); }
  std::optional<relative> standby() const { return named("shard standby"); }

 private:
  std::optional<relative> named(const std::string& name) const {
    for (const relative& one : relatives().living()) {
      if (one.name == name) return one;
    }
    return std::nullopt;
  }
};

// Those that look into what only forked workers have: the caller's variables as it had set them.
class PoolOfForks : public Pool {};

template <class Check>
void in_every_way(Check check) {
  for (const executor where : {executor::processes, executor::threads, executor::serial}) {
    for (const unsigned workers : {1u, 2u, 8u}) {
      if (where == executor::serial && workers != 1) continue;
      SCOPED_TRACE("executor " + std::to_string(static_cast<int>(where)) + ", workers " +
                   std::to_string(workers));
      check(shard::options{.workers = workers, .run_on = where});
    }
  }
}

// ---- Results ----

TEST_F(Pool, GivesWhatAMapGivesInEveryForm) {
  in_every_way([](const shard::options& how) {
    shard::pool pool(how);
    const auto x = numbers();
    shard::buffer<double> y(n), z(n);
    shard::buffer<float, 2> grid(100, 50);
    for (int round = 0; round < 3; ++round) {
      // Elements, by a lambda and by a function.
      pool.map(y, shard::in(x), [](std::size_t i, shard::view<double> from) { return -from[i]; });
      pool.map(z, shard::in(x), twice);
      for (std::size_t i = 0; i < n; ++i) {
        ASSERT_EQ(y[i], -x[i]);
        ASSERT_EQ(z[i], 2 * x[i]);
      }
      // Two outputs at once.
      pool.map(std::tie(y, z), shard::value(round), [](std::size_t i, int k) {
        return std::tuple(static_cast<double>(i) + k, static_cast<double>(i) - k);
      });
      ASSERT_EQ(y[7], 7 + round);
      ASSERT_EQ(z[7], 7 - round);
      // A grid, by element and by row.
      pool.map(grid, [](std::size_t i, std::size_t j) { return static_cast<float>(100 * i + j); });
      ASSERT_EQ(grid(99, 49), 9949.0F);
      pool.map(grid, [](std::size_t i, std::span<float> row) {
        std::fill(row.begin(), row.end(), static_cast<float>(i));
      });
      ASSERT_EQ(grid(99, 49), 99.0F);
      // Tiles.
      pool.map(shard::tiles{.shape = grid.shape(), .step = {7, 9}}, shard::inout(grid),
               [](shard::tile cells, shard::slice<float, 2> to) {
                 for (const std::size_t i : cells.rows) {
                   for (const std::size_t j : cells.cols) to(i, j) += 1;
                 }
               });
      ASSERT_EQ(grid(99, 49), 100.0F);
      ASSERT_EQ(grid(0, 0), 1.0F);
      // Chunks that are listed, and reductions of each kind.
      const std::vector<shard::range> parts{{0, 10}, {20, 25}, {90, 100}};
      shard::ordered_sum<double> sum;
      shard::counter count;
      shard::maximum<std::uint64_t> most;
      shard::histogram bins(shard::axis::regular(10, 0.0, 100.0));
      pool.map(shard::chunk_list{{0, 100}, parts}, shard::reduce(sum), shard::reduce(count),
               shard::reduce(most), shard::reduce(bins),
               [](std::size_t i, auto& s, shard::counter::accumulator& c,
                  shard::maximum<std::uint64_t>::accumulator& m, auto& b) {
                 s += static_cast<double>(i);
                 ++c;
                 m(i);
                 b(static_cast<double>(i));
               });
      EXPECT_EQ(sum.value(), 45 + 110 + 945);
      EXPECT_EQ(count.value(), 25);
      EXPECT_EQ(most.value(), 99u);
      EXPECT_EQ(bins.at(0), 10);
      EXPECT_EQ(bins.at(2), 5);
      EXPECT_EQ(bins.at(9), 10);
      // Weights, and parameters that are no plain bytes.
      std::vector<double> cost(100, 1.0);
      cost[3] = 50;
      shard::buffer<double> w(100);
      pool.map(shard::weighted{{0, 100}, cost}, shard::out(w),
               shard::value(std::vector<double>{1, 2, 3}), shard::value(std::string("four")),
               [](std::size_t i, shard::slice<double> to, const std::vector<double>& all,
                  const std::string& text) { to[i] = all[2] + static_cast<double>(text.size()); });
      EXPECT_EQ(w[0], 7);
      EXPECT_EQ(w[99], 7);
    }
  });
}

TEST_F(Pool, GivesTheSameBitsAtAnyNumberOfWorkersAsAMapWithoutOne) {
  const auto x = numbers();
  const auto sum_of = [&](auto&& map) {
    shard::ordered_sum<double> sum;
    map(x, sum);
    return sum.value();
  };
  const auto kernel = [](std::size_t i, shard::view<double> from, auto& sum) {
    sum += 1 / (from[i] * from[i]);
  };
  const double expected = sum_of(
      [&](auto& from, auto& to) { shard::map(n, shard::in(from), shard::reduce(to), kernel); });
  for (const unsigned workers : {1u, 2u, 3u, 8u}) {
    shard::pool pool({.workers = workers});
    for (int k = 0; k < 3; ++k) {
      EXPECT_EQ(expected, sum_of([&](auto& from, auto& to) {
                  pool.map(n, shard::in(from), shard::reduce(to), kernel);
                }));
    }
  }
}

TEST_F(Pool, WritesPaddingAsZerosAndBringsOldValuesBack) {
  struct record {
    std::int64_t a;
    std::int32_t b;
  };
  shard::pool pool({.workers = 2});
  shard::buffer<record> to(n);
  for (int k = 0; k < 3; ++k) {
    pool.map(to, [](std::size_t i) {
      record made;
      std::memset(static_cast<void*>(&made), 0xff, sizeof made);
      made.a = static_cast<std::int64_t>(i);
      made.b = 7;
      return made;
    });
    for (std::size_t i = 0; i < n; ++i) {
      std::array<std::byte, sizeof(record)> bytes;
      std::memcpy(bytes.data(), &to[i], sizeof(record));
      ASSERT_EQ(bytes[12], std::byte{0});
      ASSERT_EQ(bytes[15], std::byte{0});
    }
  }
  shard::buffer<int> counts(100);
  const shard::report run = pool.try_map({.keep_going = true}, 100, shard::inout(counts),
                                         [](std::size_t i, shard::slice<int> own) {
                                           own[i] += 1;
                                           if (i == 13) throw std::runtime_error("no");
                                         });
  EXPECT_THAT(run.failed(), ElementsAre(shard::range{13, 14}));
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(counts[i], i == 13 ? 0 : 1);
}

TEST_F(Pool, ServesManyShapesInTurn) {
  shard::pool pool({.workers = 2});
  for (std::size_t k = 1; k <= 200; ++k) {
    shard::buffer<std::uint64_t> y(k * 37 % 5000 + 1);
    shard::histogram bins(shard::axis::integer(0, static_cast<int>(k)));
    pool.map(y, shard::value(k), [](std::size_t i, std::size_t by) { return i * by; });
    pool.map({.grain = k % 7 + 1}, y.size(), shard::in(y), shard::reduce(bins), shard::value(k),
             [](std::size_t i, shard::view<std::uint64_t> from, auto& to, std::size_t by) {
               to(static_cast<int>(from[i] % by));
             });
    for (std::size_t i = 0; i < y.size(); ++i) ASSERT_EQ(y[i], i * k);
    ASSERT_EQ(bins.at(0), static_cast<double>(y.size())) << k;
  }
}

// ---- Queues ----

TEST_F(Pool, FindsInNoRunsMemoryWhatWasSentToAnother) {
  shard::pool pool({.workers = 2});
  const std::vector<std::uint64_t> sent(100'000, ~std::uint64_t{0});
  const auto map_with = [&](std::size_t rows) {
    shard::buffer<int> y(rows);
    pool.map({.grain = 1u}, y, shard::value(sent),
             [](std::size_t, const std::vector<std::uint64_t>& all) { return all[0] != 0; });
  };
  for (std::size_t rows = 1; rows <= 70; ++rows) map_with(rows);
  for (std::size_t rows = 3000; rows < 3070; ++rows) {
    shard::buffer<int> y(rows);
    const shard::report run = pool.try_map({.grain = 1u, .keep_going = true}, y, [](std::size_t i) {
      if (i == 7) throw std::runtime_error("seven");
      return 1;
    });
    ASSERT_THAT(run.failed(), ElementsAre(shard::range{7, 8})) << rows;
    ASSERT_THAT(run.not_tried(), IsEmpty()) << rows;
  }
}

TEST_F(Pool, CarriesQueuedRunsOutInTheirOrder) {
  in_every_way([](const shard::options& how) {
    shard::pool pool(how);
    auto a = numbers(1000);
    shard::buffer<double> b(1000);
    for (int step = 0; step < 300; ++step) {
      pool.queue(b, shard::in(a), [](std::size_t i, shard::view<double> x) {
        return i == 0 ? x[i] + 1 : x[i - 1] + 1;
      });
      std::swap(a, b);
    }
    pool.wait();
    // What was at 0 has moved on by one place a step, while one was added.
    for (std::size_t i = 300; i < 1000; ++i)
      ASSERT_EQ(a[i], static_cast<double>(i - 300 + 1) + 300);
    ASSERT_EQ(a[0], 301);
  });
}

TEST_F(Pool, KeepsTheBuffersOfQueuedRuns) {
  shard::pool pool({.workers = 2});
  shard::buffer<int> total(100);
  for (int k = 0; k < 200; ++k) {
    shard::buffer<int> own(100);
    pool.queue(own, shard::value(k), [](std::size_t, int x) { return x; });
    pool.queue(
        100, shard::in(own), shard::inout(total),
        [](std::size_t i, shard::view<int> from, shard::slice<int> to) { to[i] += from[i]; });
  }
  pool.wait();
  for (std::size_t i = 0; i < 100; ++i) ASSERT_EQ(total[i], 199 * 200 / 2);
}

TEST_F(Pool, MergesReducersOfQueuedRunsByTheWait) {
  shard::pool pool({.workers = 3});
  std::vector<shard::counter> counts(150);
  for (auto& each : counts) {
    pool.queue(100, shard::reduce(each), [](std::size_t, shard::counter::accumulator& c) { ++c; });
  }
  pool.wait();
  for (const auto& each : counts) EXPECT_EQ(each.value(), 100);
}

TEST_F(Pool, DoesNotBeginWhatIsQueuedBehindAFailure) {
  in_every_way([](const shard::options& how) {
    shard::pool pool(how);
    shard::buffer<int> marks(100);
    for (int k = 0; k < 100; ++k) {
      pool.queue(100, shard::inout(marks), shard::value(k),
                 [](std::size_t i, shard::slice<int> mark, int number) {
                   if (number == 20 && i == 50) throw std::runtime_error("twenty");
                   mark[i] += 1;
                 });
    }
    try {
      pool.wait();
      ADD_FAILURE() << "wait() has thrown nothing";
    } catch (const shard::map_error& failed) {
      EXPECT_THAT(failed.what(), HasSubstr("twenty"));
    }
    EXPECT_EQ(marks[50], 20);
    for (std::size_t i = 0; i < 100; ++i) EXPECT_LE(marks[i], 21);
    // The pool goes on.
    pool.map(marks, [](std::size_t) { return 5; });
    EXPECT_EQ(marks[99], 5);
    pool.wait();
  });
}

TEST_F(Pool, QueuesBehindARunThatHasNothingToDo) {
  in_every_way([](const shard::options& how) {
    shard::pool pool(how);
    shard::buffer<int> none(0), y(100);
    const auto mark = [](std::size_t, int number) { return number; };
    for (int k = 1; k <= 3; ++k) {
      EXPECT_FALSE(
          pool.try_map(y, [](std::size_t) -> int { throw std::runtime_error("no"); }).complete());
      pool.queue(none, shard::value(k), mark);
      pool.queue(y, shard::value(k), mark);
      pool.wait();
      for (const int each : y) EXPECT_EQ(each, k);
    }
  });
}

TEST_F(Pool, DoesNotBeginWhatIsQueuedBehindARunThatWasStoppedBefore) {
  in_every_way([](const shard::options& how) {
    shard::pool pool(how);
    shard::buffer<int> y(100), z(100);
    std::stop_source source;
    source.request_stop();
    pool.queue({.stop = source.get_token()}, y, [](std::size_t) { return 1; });
    pool.queue(z, [](std::size_t) { return 1; });
    EXPECT_THROW(pool.wait(), shard::map_error);
    for (const int each : y) EXPECT_EQ(each, 0);
    for (const int each : z) EXPECT_EQ(each, 0);
  });
}

TEST_F(Pool, BeginsWhatIsQueuedBehindARunThatWasStoppedTooLate) {
  shard::pool pool({.workers = 2});
  shard::buffer<int> y(100), z(100);
  std::stop_source source;
  pool.queue({.grain = y.size(), .stop = source.get_token()}, y, [](std::size_t) { return 1; });
  ASSERT_TRUE(eventually([&] { return std::atomic_ref(y[99]).load() == 1; }));  // its only chunk
  source.request_stop();
  pool.queue(z, [](std::size_t) { return 2; });
  pool.wait();
  for (const int each : z) EXPECT_EQ(each, 2);
}

TEST_F(Pool, OfWhichAQueueIsDroppedEndsIt) {
  auto a = numbers();
  shard::buffer<double> b(n);
  {
    shard::pool pool({.workers = 2});
    for (int k = 0; k < 50; ++k) {
      pool.queue(b, shard::in(a), [](std::size_t i, shard::view<double> x) {
        ::usleep(1);
        return x[i];
      });
      std::swap(a, b);
    }
  }
  EXPECT_THAT(workers(), IsEmpty());
}

// ---- Failures ----

TEST_F(Pool, TellsOfAThrowAsAMapDoes) {
  shard::pool pool({.workers = 2});
  shard::buffer<double> y(n);
  for (int k = 0; k < 3; ++k) {
    const shard::report run =
        pool.try_map({.keep_going = true}, y, shard::value(k), [](std::size_t i, int round) {
          if (i % 1000 == 999) {
            throw std::out_of_range("no " + std::to_string(i) + " in round " +
                                    std::to_string(round));
          }
          return 1.0;
        });
    EXPECT_EQ(run.failed().size(), 10u);
    ASSERT_FALSE(run.failures().empty());
    EXPECT_EQ(run.failures()[0].exception, "std::out_of_range");
    EXPECT_THAT(run.failures()[0].what, HasSubstr("in round " + std::to_string(k)));
    EXPECT_EQ(run.counts().deaths, 0u);
  }
}

TEST_F(Pool, TellsOfACrashWithItsStack) {
  shard::pool pool({.workers = 2});
  const auto x = numbers();
  shard::buffer<double> y(n);
  for (int k = 0; k < 2; ++k) {
    const shard::report run = pool.try_map({.keep_going = true}, y, shard::in(x),
                                           [](std::size_t i, shard::view<double> from) {
                                             if (i == 4321) ::raise(SIGABRT);
                                             return from[i];
                                           });
    EXPECT_THAT(run.failed(), ElementsAre(shard::range{4321, 4322}));
    ASSERT_FALSE(run.failures().empty());
    EXPECT_EQ(run.failures()[0].signal, SIGABRT);
    EXPECT_TRUE(run.failures()[0].indices.contains(4321)) << "another chunk of its row is blamed";
    EXPECT_FALSE(run.failures()[0].stack.empty());
    EXPECT_GE(run.counts().deaths, 2u);
    for (std::size_t i = 0; i < n; ++i) {
      ASSERT_EQ(y[i], i == 4321 ? y[i] : x[i]);
    }
    // The next run has nothing of that.
    const shard::report next = pool.map(y, shard::in(x), twice);
    EXPECT_TRUE(next.failures().empty());
    EXPECT_EQ(next.counts().deaths, 0u);
  }
}

TEST_F(Pool, NamesTheBufferOfAWildStore) {
  shard::pool pool({.workers = 1});
  auto x = numbers();
  shard::buffer<double> y(n);
  // Granted for writing once: that right must not linger.
  pool.map(x, [](std::size_t) { return 1.0; });
  const shard::report run =
      pool.try_map({.retries = 0u}, y, shard::in(x), [](std::size_t i, shard::view<double> from) {
        if (i == 17) const_cast<double&>(from[i]) = 5;
        return from[i];
      });
  ASSERT_FALSE(run.failures().empty());
  EXPECT_TRUE(
      mentions(run.failures()[0].what, {"SIGSEGV", "buffer", "element 17", "granted for reading"}))
      << run.failures()[0].what;
  EXPECT_EQ(x[17], 1.0);
}

shard::buffer<double>* global = nullptr;

TEST_F(PoolOfForks, HasOnlyTheBuffersThatItGrants) {
  auto held = numbers();
  global = &held;
  shard::pool pool({.workers = 1});
  shard::buffer<double> y(n);
  const shard::report run =
      pool.try_map({.retries = 0u}, y, [](std::size_t i) { return std::as_const(*global)[i]; });
  ASSERT_FALSE(run.failures().empty());
  EXPECT_THAT(run.failures()[0].what, HasSubstr("only what they are granted"));
  global = nullptr;
}

TEST_F(Pool, TellsOfWhatWasPrintedInTheRunThatFailed) {
  shard::pool pool({.workers = 1});
  pool.for_each(10, [](std::size_t) { std::fputs("before\n", stderr); });
  shard::buffer<int> y(10);
  const shard::report run = pool.try_map({.retries = 0u, .keep_going = true}, y, [](std::size_t i) {
    if (i == 3) {
      std::fputs("here\n", stderr);
      ::abort();
    }
    return 1;
  });
  EXPECT_FALSE(run.failures().empty());
  for (const shard::failure& one : run.failures()) EXPECT_EQ(one.stderr_tail, "here\n");
}

TEST_F(Pool, EndsWhatTakesTooLong) {
  shard::pool pool({.workers = 2});
  shard::buffer<int> y(64);
  for (int k = 0; k < 2; ++k) {
    const shard::report run =
        pool.try_map({.timeout = 100ms, .retries = 0u, .keep_going = true}, y, [](std::size_t i) {
          while (i == 40) ::usleep(1000);
          return 1;
        });
    EXPECT_THAT(run.failed(), ElementsAre(shard::range{40, 41}));
    ASSERT_FALSE(run.failures().empty());
    EXPECT_EQ(run.failures()[0].kind, "timeout");
    EXPECT_TRUE(pool.map(y, [](std::size_t) { return 2; }).complete());
  }
}

TEST_F(Pool, ReplacesWorkersAboveTheMemoryLimit) {
  shard::pool pool({.workers = 2});
  shard::counter count;
  const shard::report run =
      pool.map({.grain = 1u, .memory_limit_bytes = std::size_t{64} << 20}, 60, shard::reduce(count),
               [](std::size_t, shard::counter::accumulator& c) {
                 constexpr std::size_t leak = std::size_t{8} << 20;
                 static void* volatile kept = nullptr;
                 kept = std::malloc(leak);
                 std::memset(kept, 1, leak);
                 ::usleep(3000);
                 ++c;
               });
  EXPECT_EQ(count.value(), 60);
  EXPECT_GT(run.counts().replacements, 0u);
  EXPECT_EQ(run.counts().deaths, 0u);
}

TEST_F(Pool, IsUsableAfterWhatOnProgressThrows) {
  shard::pool pool({.workers = 2});
  shard::buffer<int> y(1000);
  for (int k = 0; k < 2; ++k) {
    EXPECT_THROW(
        pool.map(
            {.on_progress = [](const shard::progress&) { throw std::runtime_error("enough"); }}, y,
            [](std::size_t) {
              ::usleep(10'000);
              return 1;
            }),
        std::runtime_error);
    pool.map(y, [](std::size_t i) { return static_cast<int>(i); });
    EXPECT_EQ(y[999], 999);
  }
}

TEST_F(Pool, StopsOnRequest) {
  shard::pool pool({.workers = 2});
  shard::buffer<int> y(1000);
  std::stop_source source;
  std::size_t calls = 0;
  const shard::report run = pool.try_map({.on_progress =
                                              [&](const shard::progress&) {
                                                if (++calls == 1) source.request_stop();
                                              },
                                          .stop = source.get_token()},
                                         y, [](std::size_t) {
                                           ::usleep(1000);
                                           return 1;
                                         });
  EXPECT_FALSE(run.complete());
  EXPECT_THAT(run.trouble(), HasSubstr("stopped on request"));
  EXPECT_TRUE(pool.map(y, [](std::size_t) { return 2; }).complete());
}

TEST_F(Pool, EndsAQueueAtASecondSignal) {
  const shard::stop_on_signals guard;
  shard::pool pool({.workers = 2});
  shard::buffer<int> y(100);
  pool.queue(y, [](std::size_t) {
    for (;;) ::pause();
    return 1;
  });
  for (int k = 0; k < 5; ++k) pool.queue(y, [](std::size_t) { return 2; });
  ::raise(SIGINT);
  ::raise(SIGINT);
  try {
    pool.wait();
    ADD_FAILURE() << "wait() has thrown nothing";
  } catch (const shard::map_error& stopped) {
    EXPECT_THAT(stopped.what(), HasSubstr("stopped by signal"));
  }
  for (const int each : y) EXPECT_EQ(each, 0);
}

TEST_F(Pool, ForgetsItsQueueWhenItIsStopped) {
  shard::pool pool({.workers = 2});
  shard::buffer<int> y(100);
  for (int k = 0; k < 5; ++k) {
    pool.queue(y, [](std::size_t) {
      for (;;) ::pause();
      return 1;
    });
  }
  pool.stop();
  EXPECT_THAT(workers(), IsEmpty());
  pool.wait();
  pool.map(y, [](std::size_t) { return 2; });
  for (const int each : y) EXPECT_EQ(each, 2);
}

// ---- Deaths ----

TEST_F(Pool, ReplacesAWorkerThatDiesBetweenTwoRuns) {
  shard::pool pool({.workers = 2});
  shard::buffer<double> y(n);
  const auto x = numbers();
  for (int k = 0; k < 20; ++k) {
    ASSERT_TRUE(eventually([&] { return workers().size() == 2; }));
    for (const relative& one : workers()) ::kill(one.pid, SIGKILL);
    const shard::report run = pool.map(y, shard::in(x), twice);
    EXPECT_TRUE(run.complete());
    for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(y[i], 2 * x[i]);
  }
}

TEST_F(Pool, OutlivesItsSupervisorAndItsStandby) {
  shard::pool pool({.workers = 2});
  shard::buffer<double> y(n);
  const auto x = numbers();
  for (int k = 0; k < 5; ++k) {
    ASSERT_TRUE(eventually([&] { return supervisor() && standby(); }));
    const pid_t victim = k % 2 == 0 ? supervisor()->pid : standby()->pid;
    ::kill(victim, SIGKILL);
    // Else the next one to be killed may be its heir.
    ASSERT_TRUE(eventually(
        [&] { return std::ranges::count(relatives().living(), victim, &relative::pid) == 0; }));
    for (int m = 0; m < 5; ++m) {
      EXPECT_TRUE(pool.map(y, shard::in(x), twice).complete());
      for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(y[i], 2 * x[i]);
    }
  }
}

TEST_F(Pool, OutlivesMoreSupervisorsThanOneFamilyBears) {
  shard::pool pool({.workers = 1});
  shard::buffer<double> y(100);
  for (int k = 0; k < 110; ++k) {
    ASSERT_TRUE(eventually([&] { return supervisor() && standby(); }));
    const pid_t victim = supervisor()->pid;
    ::kill(victim, SIGKILL);
    ASSERT_TRUE(eventually(
        [&] { return std::ranges::count(relatives().living(), victim, &relative::pid) == 0; }));
    ASSERT_TRUE(pool.map(y, [](std::size_t) { return 1.0; }).complete()) << k;
  }
}

// The second one has no standby yet, or one that takes its place.
TEST_F(Pool, OutlivesASupervisorAndAtOnceItsSuccessor) {
  for (int round = 0; round < 5; ++round) {
    shard::pool pool({.workers = 2});
    ASSERT_TRUE(eventually([&] { return supervisor() && standby(); }));
    const pid_t first = supervisor()->pid;
    const pid_t second = standby()->pid;
    shard_test::bystander killer([&] {
      ::kill(first, SIGKILL);
      const bool well = eventually([&] {
        const auto found = shard_test::process_of(std::to_string(second));
        return found && found->name == "shard sup";
      });
      ::kill(second, SIGKILL);
      return well;
    });
    shard::buffer<double> y(n);
    const auto x = numbers();
    for (int m = 0; m < 50; ++m) EXPECT_TRUE(pool.map(y, shard::in(x), twice).complete());
    EXPECT_TRUE(killer.succeeded());
  }
}

TEST_F(Pool, NamesStacksThoughItsSupervisorDiesInThat) {
  for (int k = 0; k < 5; ++k) {
    shard::pool pool({.workers = 1});
    ASSERT_TRUE(eventually([&] { return supervisor() && standby() && workers().size() == 1; }));
    const pid_t leader = supervisor()->pid;
    shard_test::bystander killer([&] {
      // Who names stacks has the supervisor's name, and no other child has it for long.
      int seen = 0;
      return eventually([&] {
        for (const relative& one : relatives().living()) {
          if (one.parent == leader && one.name == "shard sup" && ++seen == 2 + k) {
            return ::kill(leader, SIGKILL) == 0;
          }
        }
        return false;
      });
    });
    shard::buffer<int> y(10);
    const shard::report run = pool.try_map({.retries = 0u}, y, [](std::size_t i) {
      if (i == 5) ::raise(SIGABRT);
      return 1;
    });
    EXPECT_THAT(run.failed(), ElementsAre(shard::range{5, 6}));
    ASSERT_FALSE(run.failures().empty());
    EXPECT_THAT(run.failures()[0].stack, Not(IsEmpty()));
    EXPECT_TRUE(pool.map(y, [](std::size_t) { return 2; }).complete());
    ::kill(killer.pid(), SIGKILL);  // if it saw nobody
  }
}

TEST_F(Pool, StartsAnewWhenNobodyIsLeft) {
  shard::pool pool({.workers = 2});
  shard::buffer<double> y(n);
  const auto x = numbers();
  pool.map(y, shard::in(x), twice);
  ASSERT_TRUE(eventually([&] { return supervisor() && standby(); }));
  const pid_t first = supervisor()->pid;
  const pid_t second = standby()->pid;
  ::kill(second, SIGSTOP);
  ::kill(first, SIGKILL);
  ::kill(second, SIGKILL);
  ASSERT_TRUE(eventually([&] { return workers().empty(); }));
  const shard::report lost = pool.try_map(y, shard::in(x), twice);
  EXPECT_FALSE(lost.complete());
  EXPECT_THAT(lost.trouble(), HasSubstr("killed"));
  EXPECT_TRUE(pool.map(y, shard::in(x), twice).complete());
  for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(y[i], 2 * x[i]);
}

TEST_F(Pool, TellsOfTheRestOfAQueueWhoseFamilyWasKilled) {
  shard::pool pool({.workers = 2});
  shard::buffer<int> marks(100);
  shard::buffer<std::int64_t> flags(2);  // a crash has been; a run waits for its end
  const auto queue = [&](int number) {
    pool.queue(
        marks.size(), shard::inout(marks), shard::value(number), shard::shared(flags),
        [](std::size_t i, shard::slice<int> mark, int run, shard::shared_view<std::int64_t> all) {
          if (run == 0 && i == 50 && all.fetch_add(0, 1) == 0) ::raise(SIGSEGV);
          if (run == 40) all.store(1, 1);
          while (run == 40) ::pause();
          mark[i] += 1;
        });
  };
  for (int k = 0; k < 62; ++k) queue(k);
  ASSERT_TRUE(eventually([&] { return std::atomic_ref(flags[1]).load() == 1; }));
  ASSERT_TRUE(eventually([&] { return supervisor() && standby(); }));
  const pid_t first = supervisor()->pid;
  const pid_t second = standby()->pid;
  ::kill(second, SIGSTOP);
  ::kill(first, SIGKILL);
  ::kill(second, SIGKILL);
  ASSERT_TRUE(eventually([&] { return workers().empty(); }));
  queue(62);  // to name the stack of the crash, it looks for the family
  EXPECT_THROW(pool.wait(), shard::map_error);
  pool.map(marks, [](std::size_t) { return 1; });
}

const shard_test::tally* of_a_queue = nullptr;

// The end of a run and that of the family come at the same time: the caller, which waits for the
// first half of a full queue, is stopped meanwhile.
TEST_F(PoolOfForks, MergesWhatWasCompleteInAQueueBeforeNobodyWasLeft) {
  enum : std::size_t { call, may_go_on, begun };
  constexpr std::size_t all = 100;
  constexpr int fit = 62;
  constexpr int indices = 10;
  const shard_test::tally seen;
  of_a_queue = &seen;
  shard::pool pool({.workers = 2});
  ASSERT_TRUE(eventually([&] { return supervisor() && standby(); }));
  const pid_t caller = ::getpid();
  const pid_t first = supervisor()->pid;
  const pid_t second = standby()->pid;
  shard_test::bystander killer([&] {
    const auto is = [&](char state) {
      const auto found = shard_test::process_of(std::to_string(caller));
      return found && found->state == state;
    };
    const bool waits = eventually([&] { return seen[call] == fit + 1 && is('S'); });
    ::kill(caller, SIGSTOP);
    const bool fine = waits && eventually([&] { return is('T'); });
    seen[may_go_on] = 1;
    const bool done = eventually([&] { return seen[begun] == fit * indices; });
    ::kill(second, SIGSTOP);
    ::kill(first, SIGKILL);
    ::kill(second, SIGKILL);
    const bool dead = eventually([&] {
      return std::ranges::none_of(
          relatives().living(), [](const relative& one) { return one.name.starts_with("shard "); });
    });
    ::kill(caller, SIGCONT);
    return fine && done && dead;
  });
  shard::buffer<int> marks(indices);
  std::vector<shard::counter> counts(all);
  for (shard::counter& each : counts) {
    ++seen[call];
    pool.queue(indices, shard::inout(marks), shard::reduce(each),
               [](std::size_t i, shard::slice<int> own, shard::counter::accumulator& count) {
                 while ((*of_a_queue)[may_go_on] == 0) ::usleep(100);
                 ++own[i];
                 ++count;
                 ++(*of_a_queue)[begun];
               });
  }
  try {
    pool.wait();
    EXPECT_EQ(counts.back().value(), indices);
  } catch (const shard::map_error& failed) {
    EXPECT_THAT(failed.what(), HasSubstr("killed"));
  }
  EXPECT_TRUE(killer.succeeded());
  // The last one may have lost its end.
  for (std::size_t k = 0; k + 1 < fit; ++k) EXPECT_EQ(counts[k].value(), indices) << k;
  std::int64_t sum = 0;
  for (const shard::counter& each : counts) sum += each.value();
  EXPECT_EQ(sum, std::accumulate(marks.begin(), marks.end(), std::int64_t{0}));
  of_a_queue = nullptr;
}

TEST_F(Pool, LosesAndDoublesNothingWhoeverIsKilledInAQueue) {
  for (unsigned round = 0; round < 6; ++round) {
    shard::pool pool({.workers = 3});
    shard::buffer<std::uint32_t> counts(5000);
    shard::counter sum;
    std::size_t runs = 0;
    for (int k = 0; k < 40; ++k) {
      for (int m = 0; m < 5; ++m, ++runs) {
        pool.queue(
            counts.size(), shard::inout(counts), shard::reduce(sum),
            [](std::size_t i, shard::slice<std::uint32_t> own, shard::counter::accumulator& c) {
              own[i] += 1;
              ++c;
            });
      }
      const auto victims = round % 3 == 2 ? std::vector<relative>{} : workers();
      if (!victims.empty())
        ::kill(victims[static_cast<std::size_t>(k) % victims.size()].pid, SIGKILL);
      if (round % 3 == 2 && k % 8 == 0 && standby()) {
        if (const auto lead = supervisor()) ::kill(lead->pid, SIGKILL);
      }
    }
    pool.wait();
    for (std::size_t i = 0; i < counts.size(); ++i) ASSERT_EQ(counts[i], runs) << i;
    EXPECT_EQ(sum.value(), static_cast<std::int64_t>(runs * counts.size()));
  }
}

// It says that it sleeps, and can't be woken. Of a short run one worker is woken.
TEST_F(Pool, WakesAnotherWhereTheWorkerThatItHasWokenIsStopped) {
  shard::pool pool({.workers = 2});
  shard::buffer<int> y(1);
  const auto map = [&] { return pool.map(y, [](std::size_t) { return 1; }).complete(); };
  for (int round = 0; round < 50; ++round) EXPECT_TRUE(map());  // it is known to be short
  ASSERT_TRUE(eventually([&] { return workers().size() == 2; }));
  for (int round = 0; round < 10; ++round) {
    for (const relative& one : workers()) {
      const auto is = [&](const char* states) {
        const auto found = shard_test::process_of(std::to_string(one.pid));
        return found && std::string(states).find(found->state) != std::string::npos;
      };
      ASSERT_TRUE(eventually([&] { return is("S"); }));
      ::kill(one.pid, SIGSTOP);
      ASSERT_TRUE(eventually([&] { return is("T"); }));
      EXPECT_TRUE(map());
      ::kill(one.pid, SIGCONT);
    }
  }
}

// A fork that has no copy of them.
TEST_F(Pool, StartsAnewBesideThreadsThatAMapHasKept) {
  for (int round = 0; round < 5; ++round) {
    shard::pool pool({.workers = 2});
    ASSERT_TRUE(eventually([&] { return supervisor().has_value(); }));
    ::kill(supervisor()->pid, SIGKILL);
    shard::buffer<double> y(n);
    shard::map({.workers = 2, .run_on = executor::threads}, y,
               [](std::size_t i) { return static_cast<double>(i); });
    EXPECT_TRUE(pool.map(y, [](std::size_t) { return 1.0; }).complete());
  }
}

TEST_F(Pool, WaitsForAWorkerThatIsStopped) {
  shard::pool pool({.workers = 2});
  shard::buffer<double> y(n);
  const auto x = numbers();
  pool.map(y, shard::in(x), twice);
  ASSERT_TRUE(eventually([&] { return workers().size() == 2; }));
  const pid_t stopped = workers()[0].pid;
  ::kill(stopped, SIGSTOP);
  for (int k = 0; k < 5; ++k) EXPECT_TRUE(pool.map(y, shard::in(x), twice).complete());
  ::kill(stopped, SIGCONT);
  EXPECT_TRUE(pool.map(y, shard::in(x), twice).complete());
}

// What the last run of the same bytes took says for how many workers the next one is.
class PoolOfTwo : public Pool {
 protected:
  void SetUp() override {
    Pool::SetUp();
    pool_.emplace(shard::options{.workers = 2});
    words_.emplace(3);
  }
  void TearDown() override {
    pool_.reset();
    words_.reset();
    Pool::TearDown();
  }
  // Short runs, until it is known that they are.
  void learn() {
    (*words_)[2] = 0;
    for (int k = 0; k < 20; ++k) map();
  }
  void map() { pool_->map(indices_, shard::value(indices_), shard::shared(*words_), kernel); }
  void queue() { pool_->queue(indices_, shard::value(indices_), shard::shared(*words_), kernel); }
  void wait() { pool_->wait(); }
  // In the next runs, the last two indices wait for each other, and all others take their time.
  void slow_down() {
    ASSERT_TRUE(eventually([&] {
      return std::ranges::all_of(workers(), [](const relative& one) { return one.state == 'S'; });
    }));
    (*words_)[0] = 0;
    (*words_)[1] = 0;
    (*words_)[2] = 1;
  }
  bool have_met() {
    return std::atomic_ref((*words_)[0]) != 0 && std::atomic_ref((*words_)[1]) != 0;
  }

  std::size_t indices_ = 2;

 private:
  static void kernel(std::size_t i, std::size_t count, shard::shared_view<std::int64_t> words) {
    if (words.load(2) == 0) return;
    const std::size_t left = count - 1 - i;
    if (left > 1) return std::this_thread::sleep_for(1ms);
    words.store(left, 1);
    while (words.load(1 - left) == 0) std::this_thread::yield();
  }

  std::optional<shard::pool> pool_;
  std::optional<shard::buffer<std::int64_t>> words_;
};

// Each several times: if the system was busy while a pool learned, both are called from the
// beginning.

TEST_F(PoolOfTwo, CallsBothForARunThatTakesLongerThanTheLastOne) {
  for (int k = 0; k < 5; ++k) {
    learn();
    slow_down();
    map();
    EXPECT_TRUE(have_met());
  }
}

TEST_F(PoolOfTwo, CallsBothForQueuedRunsThatTakeLongerThanTheLastOnes) {
  for (int k = 0; k < 5; ++k) {
    learn();
    slow_down();
    for (int run = 0; run < 3; ++run) queue();
    wait();
    EXPECT_TRUE(have_met());
  }
}

TEST_F(PoolOfTwo, CallsBothWithoutTheCallerBetweenTwoChunks) {
  indices_ = 50;
  for (int k = 0; k < 5; ++k) {
    learn();
    slow_down();
    queue();
    EXPECT_TRUE(eventually([&] { return have_met(); }));
    wait();
  }
}

TEST_F(Pool, EndsInTimeWhoeverIsStopped) {
  for (const bool leader : {false, true}) {
    std::optional<shard::pool> pool(std::in_place, shard::options{.workers = 2});
    ASSERT_TRUE(eventually([&] { return workers().size() == 2 && standby(); }));
    ::kill(leader ? supervisor()->pid : workers()[1].pid, SIGSTOP);
    pool.reset();
    EXPECT_TRUE(eventually([&] { return relatives().living().empty(); }));
  }
}

TEST_F(Pool, EndsWithItsCaller) {
  const pid_t child = ::fork();
  if (child == 0) {
    shard::pool pool({.workers = 2});
    shard::buffer<double> y(n);
    pool.map(y, [](std::size_t) { return 1.0; });
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(eventually([&] { return relatives().living().empty(); }));
}

// ---- Memory ----

// How often a process holds buffers: by a mapping, or by a descriptor. What nobody holds the system
// gives back.
std::size_t holds_of(pid_t pid) {
  const auto is_a_buffer = [](const std::string& name) {  // and not what a pool shares
    return name.find("memfd:") != std::string::npos &&
           name.find("memfd:pool-of-shard") == std::string::npos;
  };
  std::size_t found = 0;
  const std::string folder = "/proc/" + std::to_string(pid);
  std::error_code gone;
  for (const auto& each : std::filesystem::directory_iterator(folder + "/fd", gone)) {
    found += is_a_buffer(std::filesystem::read_symlink(each, gone).string());
  }
  std::ifstream maps(folder + "/maps");
  for (std::string line; std::getline(maps, line);) {
    found += is_a_buffer(line);
  }
  return found;
}

TEST_F(Pool, KeepsNothingOfABufferThatIsClosed) {
  constexpr std::size_t bytes = std::size_t{1} << 20;
  std::optional<shard::buffer<double>> before(bytes / 8);  // that it inherits
  for (double& each : *before) each = 1;
  shard::pool pool({.workers = 2});
  std::optional<shard::buffer<double>> granted(bytes / 8);
  pool.map(*granted, [](std::size_t) { return 1.0; });
  shard::counter count;
  pool.map(granted->size(), shard::in(*granted), shard::reduce(count),
           [](std::size_t i, shard::view<double> x, shard::counter::accumulator& c) {
             if (x[i] == 1.0) ++c;
           });
  EXPECT_EQ(count.value(), static_cast<std::int64_t>(bytes / 8));
  const auto holds = [&] {
    std::size_t all = holds_of(::getpid());
    for (const relative& one : relatives().living()) all += holds_of(one.pid);
    return all;
  };
  EXPECT_GT(holds(), 0u);
  before.reset();
  granted.reset();
  EXPECT_TRUE(eventually([&] { return holds() == 0; })) << holds();
}

TEST_F(Pool, LetsGoOfABufferThatIsFrozen) {
  shard::pool pool({.workers = 2});
  for (int k = 0; k < 3; ++k) {
    shard::buffer<double> y(n);
    pool.map(y, [](std::size_t i) { return static_cast<double>(i); });
    const shard::buffer<const double> frozen = std::move(y).freeze();
    shard::buffer<double> z(n);
    pool.map(z, shard::in(frozen), [](std::size_t i, auto x) { return 2 * x[i]; });
    EXPECT_EQ(z[n - 1], 2.0 * (n - 1));
  }
}

TEST_F(Pool, KeepsNothingOfWhatIsClosedWhileAQueueNeverEnds) {
  shard::pool pool({.workers = 1});  // which goes from one run to the next, and never waits
  ASSERT_TRUE(eventually([&] { return workers().size() == 1; }));
  const pid_t worker = workers()[0].pid;
  std::size_t most = 0;
  for (int k = 0; k < 300; ++k) {
    shard::buffer<double> made(1000);
    pool.queue(made, [](std::size_t i) { return static_cast<double>(i); });
    most = std::max(most, holds_of(worker));
  }
  EXPECT_GT(most, 0u);
  EXPECT_LT(most, 100u);  // as many as can be queued, and some
}

struct taken {
  std::size_t descriptors = 0;
  std::size_t mappings = 0;
  bool operator==(const taken&) const = default;
};
taken taken_by(pid_t pid) {
  taken found;
  const std::string folder = "/proc/" + std::to_string(pid);
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator(folder + "/fd")) {
    ++found.descriptors;
  }
  std::ifstream maps(folder + "/maps");
  // Of buffers: the heap's own may change, and a sanitizer's do.
  for (std::string line; std::getline(maps, line);)
    found.mappings += line.find("memfd") != line.npos;
  return found;
}

TEST_F(Pool, DoesNotGrowWithItsMaps) {
  shard::pool pool({.workers = 2});
  const auto rounds = [&](int count) {
    for (int k = 0; k < count; ++k) {
      shard::buffer<double> x(100);
      shard::buffer<double> y(100);
      pool.map(x, [](std::size_t i) { return static_cast<double>(i); });
      pool.map(y, shard::in(x), twice);
      EXPECT_EQ(y[99], 198);
    }
  };
  rounds(100);
  std::vector<std::pair<pid_t, taken>> before{{::getpid(), taken_by(::getpid())}};
  const auto settle = [&] {
    // Of the last buffers workers hear when they look.
    return eventually([&] {
      for (const auto& [pid, then] : before) {
        if (taken_by(pid).mappings > then.mappings + 4) return false;
      }
      return true;
    });
  };
  for (const relative& one : relatives().living()) before.emplace_back(one.pid, taken_by(one.pid));
  rounds(1000);
  EXPECT_TRUE(settle());
  for (const auto& [pid, then] : before) {
    EXPECT_LE(taken_by(pid).descriptors, then.descriptors);
    EXPECT_LE(taken_by(pid).mappings, then.mappings + 4);
  }
}

// ---- Replays ----

TEST_F(Pool, ReplaysAQueuedRunInThisProcess) {
  shard::buffer<int> y(100);
  const auto count = [&] {
    return shard::map({.run_on = executor::serial}, y, [](std::size_t) { return 0; }).counts().map;
  };
  const std::size_t before = count();
  ::setenv("SHARD_REPLAY", (std::to_string(before + 2) + ":4-5").c_str(), 1);
  static pid_t found = 0;
  {
    shard::pool pool({.workers = 2});
    ::unsetenv("SHARD_REPLAY");
    for (int k = 1; k <= 3; ++k) {
      pool.queue(y, shard::value(k), [](std::size_t, int number) {
        if (number != 1) found = ::getpid();
        return number;
      });
    }
    try {
      pool.wait();
      ADD_FAILURE() << "wait() has thrown nothing";
    } catch (const shard::map_error& replayed) {
      EXPECT_THAT(replayed.what(), HasSubstr("SHARD_REPLAY has run the indices [4, 5)"));
    }
  }
  EXPECT_EQ(found, ::getpid());
  EXPECT_EQ(y[4], 2);
  EXPECT_EQ(y[5], 1);
  EXPECT_EQ(count(), before + 4);  // what was not begun has a number, too
}

// ---- What it can't do ----

TEST_F(Pool, RefusesOptionsThatAreThePools) {
  shard::pool pool({.workers = 2});
  const auto refused = [&](const shard::options& how, const char* name) {
    EXPECT_TRUE(mentions(refusal([&] { pool.for_each(how, 10, [](std::size_t) {}); }),
                         {"in a pool", name}));
  };
  refused({.workers = 3}, "workers");
  refused({.threads_per_worker = 3}, "threads_per_worker");
  refused({.run_on = executor::threads}, "run_on");
  refused({.pin = true}, "the option pin ");
  refused({.allow_threads = true}, "allow_threads");
  refused({.prefix_output = true}, "prefix_output");
}

TEST_F(Pool, RefusesItsOwnListenersAndForkedChildren) {
  shard::pool pool({.workers = 2});
  std::string from_inside;
  shard::buffer<int> y(10);
  pool.map({.on_progress =
                [&](const shard::progress&) {
                  from_inside = refusal([&] { pool.for_each(1, [](std::size_t) {}); });
                }},
           y, [](std::size_t) { return 1; });
  EXPECT_THAT(from_inside, HasSubstr("on_progress"));
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string what = refusal([&] { pool.for_each(1, [](std::size_t) {}); });
    ::_exit(what.find("expected a pool of this process") != std::string::npos ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(pool.map(y, [](std::size_t) { return 2; }).complete());
}

TEST_F(Pool, GoesOnAfterAForkedChildHasDestroyedItsCopy) {
  std::optional<shard::pool> pool(std::in_place, shard::options{.workers = 2});
  shard::buffer<int> y(100);
  for (int k = 0; k < 20; ++k) {
    pool->queue(y, shard::value(k), [](std::size_t, int round) {
      ::usleep(100);
      return round;
    });
    const pid_t child = ::fork();
    if (child == 0) {
      pool.reset();
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  pool->wait();
  for (const int each : y) EXPECT_EQ(each, 19);
}

TEST_F(Pool, LeavesAForkedChildItsOwnPools) {
  const shard::pool of_the_parent({.workers = 2}), another({.workers = 2});
  const pid_t child = ::fork();
  if (child == 0) {
    int found = 0;
    {
      shard::pool own({.workers = 1});
      shard::buffer<int> y(10);
      own.map(y, [](std::size_t i) { return static_cast<int>(i); });
      found = y[9];
    }
    ::_exit(found == 9 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(Pool, RefusesAProgramThatIsNotDumpable) {
  const pid_t child = ::fork();
  if (child == 0) {
    constexpr uid_t nobody = 65'534;
    // As root, who may look into any program, it becomes another user's.
    if (::geteuid() == 0 && ::setresuid(nobody, nobody, nobody) != 0) ::_exit(2);
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    const std::string what = refusal([] { const shard::pool pool({.workers = 1}); });
    ::_exit(what.find("dumpable") != std::string::npos ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(Pool, IsSharedByThreads) {
  shard::pool pool({.workers = 2, .allow_threads = true});
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int k = 0; k < 4; ++k) {
    threads.emplace_back([&pool, &wrong, k] {
      shard::buffer<int> y(500);
      for (int m = 0; m < 50; ++m) {
        pool.map(y, shard::value(k * 1000 + m), [](std::size_t, int x) { return x; });
        for (const int each : y) wrong += each != k * 1000 + m;
      }
    });
  }
  for (auto& each : threads) each.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(Pool, OfOthersWorksBesideThemAndBesideMapsWithoutOne) {
  shard::pool one({.workers = 2});
  shard::pool other({.workers = 1});
  const auto x = numbers();
  shard::buffer<double> y(n), z(n);
  for (int k = 0; k < 10; ++k) {
    one.queue(y, shard::in(x), twice);
    other.queue(z, shard::in(x), twice);
    one.wait();
    other.wait();
    shard::map({.workers = 2, .start = shard::start_by::fork}, z,
               [&](std::size_t i) { return y[i] + k; });
    EXPECT_EQ(z[n - 1], y[n - 1] + k);
  }
}

TEST_F(PoolOfForks, CanBeResizedRefreshedAndStopped) {
  shard::pool pool({.workers = 2});
  shard::buffer<int> y(100);
  static int seen = 1;
  seen = 2;
  pool.map(y, [](std::size_t) { return seen; });
  EXPECT_EQ(y[0], 1) << "workers see the program as it was";
  pool.refresh();
  pool.map(y, [](std::size_t) { return seen; });
  EXPECT_EQ(y[0], 2);
  seen = 1;
  pool.resize(3);
  EXPECT_EQ(pool.workers(), 3u);
  pool.map(y, [](std::size_t) { return 3; });
  ASSERT_TRUE(eventually([&] { return workers().size() == 3; }));
  pool.stop();
  EXPECT_THAT(workers(), IsEmpty());
  pool.map(y, [](std::size_t) { return 4; });
  EXPECT_EQ(y[0], 4);
}

// ---- What it costs others ----

TEST_F(Pool, LooksForRunsOnlyWhereThereAreProcessorsForThat) {
  const unsigned processors = shard::default_workers();
  shard::pool pool({.workers = processors + 1});
  shard::buffer<int> y(100);
  for (int k = 0; k < 100; ++k) {
    EXPECT_EQ(pool.map(y, [](std::size_t) { return 1; }).counts().looking.count(), 0);
  }
}

TEST_F(Pool, TellsHowLongItHasLooked) {
  if (shard::default_workers() < 2) GTEST_SKIP() << "no processor is to spare";
  shard::pool pool({.workers = 1});
  shard::buffer<int> y(100);
  EXPECT_TRUE(
      eventually([&] { return pool.map(y, [](std::size_t) { return 1; }).counts().looking > 0s; }));
}

// ---- States ----

TEST_F(Pool, MakesAWorkerStateOnceForTheSameMap) {
  shard::pool pool({.workers = 1});
  shard::buffer<int> y(10);
  for (int k = 0; k < 5; ++k) {
    pool.map(y, shard::worker_state([] { return 0; }),
             [](std::size_t, int& used) { return ++used; });
    EXPECT_EQ(y[9], 10 * (k + 1));
  }
}

TEST_F(Pool, PassesOnWhatKernelsPrintBeforeTheMapReturns) {
  shard_test::printed output;
  {
    shard::pool pool({.workers = 2});
    for (int k = 0; k < 20; ++k) {
      pool.for_each({.grain = 1u}, 4, shard::value(k),
                    [](std::size_t i, int round) { std::printf("%d %zu\n", round, i); });
      std::printf("after %d\n", k);
      std::fflush(stdout);
    }
  }
  const std::string text = output.text();
  std::istringstream lines(text);
  int round = 0;
  int of_round = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line == "after " + std::to_string(round)) {
      EXPECT_EQ(of_round, 4) << text;
      ++round;
      of_round = 0;
    } else {
      EXPECT_TRUE(line.starts_with(std::to_string(round) + " ")) << line;
      ++of_round;
    }
  }
  EXPECT_EQ(round, 20);
}

}  // namespace
