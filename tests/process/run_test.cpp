// Runs under way: watched, read and stopped while they go on, in processes of their own, in a pool,
// in threads and inline.

#include "shard/run.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "process/family.hpp"
#include "process/leftovers.hpp"
#include "shard/shard.hpp"

namespace {

using namespace std::chrono_literals;
using shard::executor;
using shard::range;
using shard_test::eventually;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::size_t n = 1000;

class Run : public shard_test::leaves_nothing {};

// How a run can be started: start(options, space, arguments…, kernel).
struct alone {
  template <class... Rest>
  shard::run start(const shard::options& how, Rest&&... rest) {
    shard::options all = how;
    all.workers = 2;
    return shard::start(all, std::forward<Rest>(rest)...);
  }
};
struct in_a_pool {
  shard::pool pool{shard::options{.workers = 2}};
  template <class... Rest>
  shard::run start(const shard::options& how, Rest&&... rest) {
    return pool.start(how, std::forward<Rest>(rest)...);
  }
};
struct in_threads {
  template <class... Rest>
  shard::run start(const shard::options& how, Rest&&... rest) {
    shard::options all = how;
    all.run_on = executor::threads;
    return shard::start(all, std::forward<Rest>(rest)...);
  }
};

template <class Check>
void in_every_way(Check check) {
  {
    SCOPED_TRACE("alone");
    check(alone());
  }
  {
    SCOPED_TRACE("in a pool");
    check(in_a_pool());
  }
  {
    SCOPED_TRACE("in threads");
    check(in_threads());
  }
}

// A gate that kernels wait at, in shared memory.
using gate = shard::buffer<std::uint32_t>;
TEST_F(Run, GivesWhatAMapGives) {
  in_every_way([](auto way) {
    shard::buffer<double> y(n);
    shard::sum<std::uint64_t> sum;
    shard::run run = way.start({}, y, shard::reduce(sum), [](std::size_t i, auto& to) {
      to += i;
      return static_cast<double>(i);
    });
    const shard::report told = run.wait();
    EXPECT_TRUE(told.complete());
    EXPECT_EQ(sum.value(), n * (n - 1) / 2);
    for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(y[i], static_cast<double>(i));
    EXPECT_EQ(run.wait().indices(), told.indices()) << "a second time";
    EXPECT_EQ(sum.value(), n * (n - 1) / 2);
    EXPECT_EQ(run.status().done, n);
    EXPECT_THAT(run.completed(), ElementsAre(range{0, n}));
  });
}

TEST_F(Run, GoesOnWithoutTheCallerAndIsWatched) {
  const auto check = [](auto way) {
    gate at(1);
    shard::counter count;
    shard::buffer<int> y(n);
    // Half of the indices wait at the gate.
    shard::run run =
        way.start({.grain = 10u}, n, shard::out(y), shard::shared(at), shard::reduce(count),
                  [](std::size_t i, shard::slice<int> to, shard::shared_view<std::uint32_t> wait,
                     shard::counter::accumulator& c) {
                    if (i >= n / 2) {
                      while (wait.load(0) == 0) ::usleep(100);
                    }
                    to[i] = static_cast<int>(i);
                    ++c;
                  });
    EXPECT_TRUE(eventually([&] { return run.ready({0, n / 2}); }));
    EXPECT_FALSE(run.ready({0, n}));
    EXPECT_FALSE(run.wait_for(shard::seconds(0)));
    EXPECT_FALSE(run.wait_for(10ms));
    for (std::size_t i = 0; i < n / 2; ++i) ASSERT_EQ(y[i], static_cast<int>(i));
    EXPECT_EQ(run.status().done, n / 2);
    EXPECT_EQ(run.snapshot(count).value(), static_cast<std::int64_t>(n / 2));
    EXPECT_EQ(count.value(), 0) << "until wait()";
    EXPECT_TRUE(eventually([&] { return run.workers().size() == 2; }));
    for (const shard::worker_status& one : run.workers()) {
      EXPECT_GE(one.indices.first, n / 2);
      EXPECT_EQ(one.indices.size(), 10u);
    }
    at[0] = 1;
    EXPECT_TRUE(run.wait_for(60s));
    EXPECT_TRUE(run.wait().complete());
    EXPECT_EQ(count.value(), static_cast<std::int64_t>(n));
    EXPECT_THAT(run.workers(), IsEmpty());
  };
  check(alone());
  check(in_a_pool());
}

TEST_F(Run, TellsOfEachChunkOnce) {
  in_every_way([](auto way) {
    for (const auto order : {shard::chunk_order::as_they_come, shard::chunk_order::ascending}) {
      shard::buffer<int> y(n);
      shard::run run = way.start({.grain = 7u}, y, [](std::size_t i) {
        if (i % 100 == 0) ::usleep(500);
        return static_cast<int>(i);
      });
      std::vector<range> told;
      for (const range chunk : run.chunks(order)) {
        for (const std::size_t i : chunk) EXPECT_EQ(y[i], static_cast<int>(i));
        told.push_back(chunk);
      }
      if (order == shard::chunk_order::ascending) {
        EXPECT_TRUE(std::ranges::is_sorted(told, {}, &range::first));
      }
      std::ranges::sort(told, {}, &range::first);
      std::size_t next = 0;
      for (const range chunk : told) {
        EXPECT_EQ(chunk.first, next);
        next = chunk.last;
      }
      EXPECT_EQ(next, n);
      EXPECT_TRUE(run.wait().complete());
    }
  });
}

TEST_F(Run, TellsOfTheCompletedPartsOfChunksThatFail) {
  in_every_way([](auto way) {
    shard::buffer<int> y(n);
    shard::run run = way.start({.grain = 50u, .keep_going = true}, y, [](std::size_t i) {
      if (i == 120) throw std::runtime_error("no");
      return static_cast<int>(i);
    });
    std::vector<range> told;
    for (const range part : run.chunks(shard::chunk_order::ascending)) told.push_back(part);
    std::vector<std::size_t> indices;
    for (const range part : told) {
      for (const std::size_t i : part) indices.push_back(i);
    }
    EXPECT_EQ(indices.size(), n - 1);
    EXPECT_TRUE(std::ranges::is_sorted(indices));
    EXPECT_EQ(std::ranges::count(indices, std::size_t{120}), 0);
    EXPECT_THAT(run.wait().failed(), ElementsAre(range{120, 121}));
  });
}

TEST_F(Run, ThatIsCancelledEndsAtOnceAndKeepsWhatIsDone) {
  const auto check = [](auto way) {
    for (int k = 0; k < 2; ++k) {
      shard::buffer<int> y(n);
      shard::run run =
          way.start({.grain = 10u}, n, shard::out(y), [](std::size_t i, shard::slice<int> to) {
            while (i >= n / 2) ::usleep(1000);
            to[i] = 1;
          });
      EXPECT_TRUE(eventually([&] { return run.ready({0, n / 2}); }));
      run.cancel();
      const shard::report told = run.wait();
      EXPECT_FALSE(told.complete());
      EXPECT_THAT(told.completed(), ElementsAre(range{0, n / 2}));
      EXPECT_TRUE(told.failures().empty());
    }
  };
  check(alone());
  check(in_a_pool());
}

TEST_F(Run, ThatIsDroppedIsCancelled) {
  const auto check = [](auto way) {
    shard::buffer<int> y(n);
    {
      const shard::run run = way.start({}, y, [](std::size_t i) {
        while (i >= n / 2) ::usleep(1000);
        return 1;
      });
    }
    y[0] = 7;  // nobody writes there any more
    EXPECT_EQ(y[0], 7);
  };
  check(alone());
  in_a_pool pool;
  for (int k = 0; k < 3; ++k) {
    shard::buffer<int> y(n);
    {
      const shard::run run = pool.start({}, y, [](std::size_t i) {
        while (i >= n / 2) ::usleep(1000);
        return 1;
      });
    }
    EXPECT_TRUE(pool.pool.map(y, [](std::size_t) { return 2; }).complete());
  }
}

TEST_F(Run, OfAPoolComesBehindWhatWasHandedOverBefore) {
  shard::pool pool({.workers = 2});
  shard::buffer<int> y(n);
  for (int k = 0; k < 10; ++k) {
    pool.queue(n, shard::inout(y), [](std::size_t i, shard::slice<int> own) { own[i] += 1; });
  }
  shard::run first =
      pool.start(n, shard::inout(y), [](std::size_t i, shard::slice<int> own) { own[i] *= 10; });
  shard::run second =
      pool.start(n, shard::inout(y), [](std::size_t i, shard::slice<int> own) { own[i] += 5; });
  for (int k = 0; k < 10; ++k) {
    pool.queue(n, shard::inout(y), [](std::size_t i, shard::slice<int> own) { own[i] += 1; });
  }
  pool.wait();
  EXPECT_TRUE(second.wait().complete());
  EXPECT_TRUE(first.wait().complete());
  for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(y[i], 115);
}

TEST_F(Run, OutlivesThePoolThatItsProgramHasStopped) {
  std::optional<shard::pool> pool(std::in_place, shard::options{.workers = 2});
  shard::buffer<int> y(n);
  shard::run done = pool->start(y, [](std::size_t) { return 1; });
  EXPECT_TRUE(done.wait_for(60s));
  shard::run hangs = pool->start(n, shard::out(y), [](std::size_t i, shard::slice<int>) {
    while (i == 500) ::usleep(1000);
  });
  pool->stop();
  EXPECT_TRUE(done.wait().complete());
  EXPECT_FALSE(hangs.wait().complete());
  shard::run again = pool->start(y, [](std::size_t) { return 2; });
  pool.reset();
  EXPECT_TRUE(again.wait().complete());
  EXPECT_EQ(y[n - 1], 2);
}

TEST_F(Run, ThrowsFromWaitWhatItsListenersThrow) {
  const auto check = [](auto way) {
    shard::buffer<int> y(n);
    shard::run run = way.start(
        {.on_progress = [](const shard::progress&) { throw std::runtime_error("enough"); }}, y,
        [](std::size_t) {
          ::usleep(1000);
          return 1;
        });
    EXPECT_THROW(run.wait(), std::runtime_error);
  };
  check(alone());
  check(in_a_pool());
}

TEST_F(Run, IsNotEndedByAForkedChild) {
  const auto check = [](auto way) {
    gate at(1);
    shard::buffer<int> y(n);
    std::optional<shard::run> run(
        way.start({}, n, shard::out(y), shard::shared(at),
                  [](std::size_t i, shard::slice<int> to, shard::shared_view<std::uint32_t> wait) {
                    while (wait.load(0) == 0) ::usleep(100);
                    to[i] = 3;
                  }));
    const pid_t child = ::fork();
    if (child == 0) {
      run.reset();
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    at[0] = 1;
    EXPECT_TRUE(run->wait().complete());
    EXPECT_EQ(y[n - 1], 3);
  };
  check(alone());
  check(in_a_pool());
}

TEST_F(Run, OwnsNothingOfItsKernelButMayCaptureAnything) {
  shard::buffer<std::uint64_t> y(n);
  std::optional<shard::run> run;
  {
    const std::vector<std::uint64_t> table{3, 1, 4, 1, 5};
    run = shard::start({.workers = 2}, y, [table](std::size_t i) { return table[i % 5]; });
  }
  EXPECT_TRUE(run->wait().complete());
  EXPECT_EQ(y[4], 5u);
  EXPECT_EQ(y[n - 1], 5u);
}

}  // namespace
