// What maps collect, against a loop that collects it: whatever the grain, the workers, the
// executor, and whoever dies.

#include "shard/collect.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "process/leftovers.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

namespace fs = std::filesystem;

using shard_test::folder;
using shard_test::tally;

using Collect = shard_test::leaves_nothing;

struct item {
  std::uint64_t index;
  std::uint32_t number;
  bool operator==(const item&) const = default;
};

// Most indices have none, or one; some have hundreds, and one of them very many.
std::size_t count_of(std::size_t i) {
  const std::uint64_t bits = i * 0x9e37'79b9'7f4a'7c15u >> 32;
  if (i == 777) return 100'000;
  if (bits % 16 == 0) return bits / 16 % 500;
  return bits % 4 == 0 ? 1 : 0;
}
item item_of(std::size_t i, std::size_t k) { return {i, static_cast<std::uint32_t>(k)}; }

// One by one, and the others at once.
const auto collect_of = [](std::size_t i, auto& to) {
  const std::size_t count = count_of(i);
  for (std::size_t k = 0; k < count / 2; ++k) to.push_back(item_of(i, k));
  std::vector<item> rest;
  for (std::size_t k = count / 2; k < count; ++k) rest.push_back(item_of(i, k));
  to.append(rest);
};

using lost = std::vector<bool>;

struct collected {
  std::vector<item> items;
  std::vector<std::uint64_t> offsets{0};
  bool operator==(const collected&) const = default;
};
collected expected(std::size_t n, const lost& without = {}) {
  collected all;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t count = without.empty() || !without[i] ? count_of(i) : 0;
    for (std::size_t k = 0; k < count; ++k) all.items.push_back(item_of(i, k));
    all.offsets.push_back(all.items.size());
  }
  return all;
}
collected found_in(const shard::collect<item>& from) {
  return {{from.items().begin(), from.items().end()},
          {from.offsets().begin(), from.offsets().end()}};
}

constexpr std::size_t n = 2000;

TEST_F(Collect, GivesTheSameForAnyGrainWorkersAndExecutor) {
  const collected right = expected(n);
  for (const auto where :
       {shard::executor::processes, shard::executor::threads, shard::executor::serial}) {
    for (const unsigned workers : {1u, 2u, 3u, 8u}) {
      if (where == shard::executor::serial && workers != 1) continue;
      if (shard_test::sanitized && workers == 2) continue;  // or it takes a minute
      for (const std::size_t grain : {std::size_t{1}, std::size_t{7}, std::size_t{0}, n}) {
        const shard::options how{.workers = workers, .grain = grain, .run_on = where};
        shard::collect<item> items(shard::with_offsets);
        shard::map(how, n, shard::reduce(items), collect_of);
        EXPECT_TRUE(found_in(items) == right) << workers << " workers, grain " << grain;
        shard::collect<item> by_range(shard::with_offsets);
        shard::map(how, shard::range{0, n}, shard::reduce(by_range),
                   [](shard::range chunk, auto& found) {
                     for (const std::size_t i : chunk) {
                       found.begin_index(i);
                       collect_of(i, found);
                     }
                   });
        EXPECT_TRUE(by_range == items) << workers << " workers, grain " << grain;
      }
    }
  }
}

// The first worker that comes to one of these indices dies, in the middle of its items.
TEST_F(Collect, LosesAndDoublesNothingWhereWorkersDie) {
  const collected right = expected(n);
  for (const unsigned workers : {1u, 2u, 8u}) {
    for (const std::size_t grain : {std::size_t{1}, std::size_t{7}, std::size_t{0}, n}) {
      const tally tries;
      shard::collect<item> items(shard::with_offsets);
      const shard::report told = shard::map({.workers = workers, .grain = grain}, n,
                                            shard::reduce(items), [&](std::size_t i, auto& to) {
                                              const bool dies = i % 250 == 27 && tries[i]++ == 0;
                                              if (dies) to.push_back({i, 12345});
                                              if (dies) raise(i % 500 == 27 ? SIGKILL : SIGSEGV);
                                              collect_of(i, to);
                                            });
      EXPECT_NE(told.counts().deaths, 0u);
      EXPECT_TRUE(found_in(items) == right) << workers << " workers, grain " << grain;
    }
  }
}

// Random indices always fail: with exceptions, and with deaths.
TEST_F(Collect, LeavesOutExactlyTheIndicesThatFail) {
  std::mt19937 random(5);
  for (const bool by_range : {false, true}) {
    for (const std::size_t grain : {std::size_t{7}, std::size_t{0}, n}) {
      lost fails(n);
      for (int k = 0; k < 12; ++k) fails[random() % n] = true;
      const auto meet = [&](std::size_t i, auto& to) {
        to.begin_index(i);
        collect_of(i, to);
        if (!fails[i]) return;
        to.push_back({i, 54321});
        if (i % 2 == 0) throw std::runtime_error("no data");
        std::abort();
      };
      shard::collect<item> items(shard::with_offsets);
      const shard::options how{.workers = 2, .grain = grain, .keep_going = true};
      const shard::report told = by_range
                                     ? shard::try_map(how, shard::range{0, n}, shard::reduce(items),
                                                      [&](shard::range chunk, auto& to) {
                                                        for (const std::size_t i : chunk)
                                                          meet(i, to);
                                                      })
                                     : shard::try_map(how, n, shard::reduce(items), meet);
      EXPECT_FALSE(told.complete());
      EXPECT_TRUE(found_in(items) == expected(n, fails)) << by_range << " grain " << grain;
    }
  }
}

// Items are those of the completed indices.
TEST_F(Collect, HasTheItemsOfWhatIsCompletedWhenARunIsStopped) {
  std::stop_source stop;
  const tally done;
  shard::collect<item> items(shard::with_offsets);
  const shard::report told = shard::try_map({.workers = 2,
                                             .grain = 5,

                                             .on_progress =
                                                 [&](const shard::progress& now) {
                                                   if (now.done > n / 4) stop.request_stop();
                                                 },
                                             .stop = stop.get_token()},
                                            n, shard::reduce(items), [&](std::size_t i, auto& to) {
                                              collect_of(i, to);
                                              if (done[0]++ > static_cast<int>(n / 3))
                                                usleep(20'000);
                                            });
  EXPECT_FALSE(told.complete());
  lost missing(n, true);
  for (const shard::range part : told.completed()) {
    for (const std::size_t i : part) missing[i] = false;
  }
  EXPECT_TRUE(found_in(items) == expected(n, missing));
}

TEST_F(Collect, HasTheItemsOfWhatIsCompletedWhenARunIsCancelled) {
  const tally begun;
  shard::collect<item> items(shard::with_offsets);
  shard::run run = shard::start({.workers = 2, .grain = 5}, n, shard::reduce(items),
                                [&](std::size_t i, auto& to) {
                                  collect_of(i, to);
                                  if (begun[0]++ > static_cast<int>(n / 3)) pause();
                                });
  while (begun[0] <= static_cast<int>(n / 3) + 1) usleep(1000);
  run.cancel();
  const shard::report told = run.wait();
  EXPECT_FALSE(told.complete());
  EXPECT_FALSE(told.completed().empty());
  lost missing(n, true);
  for (const shard::range part : told.completed()) {
    for (const std::size_t i : part) missing[i] = false;
  }
  EXPECT_TRUE(found_in(items) == expected(n, missing));
}

TEST_F(Collect, LosesAndDoublesNothingWhereASupervisorDies) {
  const tally tries;
  shard::collect<item> items(shard::with_offsets);
  const shard::report told =
      shard::map({.workers = 3, .grain = 7}, n, shard::reduce(items), [&](std::size_t i, auto& to) {
        collect_of(i, to);
        if (i == 1000 && tries[0]++ == 0) {
          usleep(20'000);  // so that there is a standby, mostly
          ::kill(getppid(), SIGKILL);
          pause();
        }
      });
  EXPECT_TRUE(told.complete());
  EXPECT_TRUE(found_in(items) == expected(n));
}

TEST_F(Collect, WorksInAPoolWhoseWorkersDie) {
  shard::pool pool({.workers = 2});
  shard::buffer<std::uint32_t> tries(n);
  for (int round = 0; round < 3; ++round) {
    shard::collect<item> items(shard::with_offsets);
    const shard::report told = pool.map(n, shard::shared(tries), shard::reduce(items),
                                        [](std::size_t i, auto begun, auto& to) {
                                          collect_of(i, to);
                                          if (i % 500 == 27 && begun.fetch_add(i, 1u) == 0)
                                            raise(SIGKILL);
                                        });
    EXPECT_TRUE(told.complete());
    EXPECT_TRUE(found_in(items) == expected(n));
  }
}

// Runs that wait in a queue, all with one reducer, add their items in the order of the queue.
TEST_F(Collect, KeepsTheOrderOfAQueue) {
  shard::pool pool({.workers = 2});
  shard::collect<item> items;
  for (int round = 0; round < 10; ++round) pool.queue(n, shard::reduce(items), collect_of);
  pool.wait();
  const collected once = expected(n);
  ASSERT_EQ(items.size(), 10 * once.items.size());
  for (std::size_t k = 0; k < items.size(); ++k) {
    ASSERT_EQ(items.items()[k], once.items[k % once.items.size()]);
  }
}

TEST_F(Collect, IsCheckedWithAPool) {
  static int factor;
  factor = 1;
  setenv("SHARD_CHECK_POOL", "1", 1);
  {
    shard::pool pool({.workers = 2});
    shard::collect<item> items(shard::with_offsets);
    const shard::buffer<int> x(n);
    pool.map(n, shard::reduce(items), shard::in(x),
             [](std::size_t i, auto& to, auto) { collect_of(i, to); });
    EXPECT_TRUE(found_in(items) == expected(n));

    factor = 2;  // which the pool's workers don't see
    shard::collect<int> wrong;
    EXPECT_TRUE(shard_test::mentions(shard_test::refusal([&] {
                                       pool.map(n, shard::reduce(wrong),
                                                [](std::size_t i, auto& to) {
                                                  to.push_back(i < 700 ? 0 : factor);
                                                });
                                     }),
                                     {"cannot vouch for map", "the result of reducer 1"}));
  }
  unsetenv("SHARD_CHECK_POOL");
}

TEST_F(Collect, ShowsWhatARunHasCollectedSoFar) {
  const tally go_on;
  shard::collect<item> items(shard::with_offsets);
  shard::run run = shard::start({.workers = 1, .grain = 10}, n, shard::reduce(items),
                                [&](std::size_t i, auto& to) {
                                  while (i == 100 && go_on[0] == 0) usleep(1000);
                                  collect_of(i, to);
                                });
  while (!run.ready({0, 100})) usleep(1000);
  const shard::collect<item> now = run.snapshot(items);
  lost missing(n);
  for (std::size_t i = 100; i < n; ++i) missing[i] = true;
  EXPECT_TRUE(found_in(now) == expected(n, missing));
  EXPECT_TRUE(items.items().empty());
  go_on[0] = 1;
  EXPECT_TRUE(run.wait().complete());
  EXPECT_TRUE(found_in(items) == expected(n));
}

TEST_F(Collect, WorksInsideAKernel) {
  shard::buffer<std::uint64_t> sizes(4);
  shard::map({.workers = 2}, sizes, [](std::size_t) {
    shard::collect<item> items;
    shard::map(n, shard::reduce(items), collect_of);
    return static_cast<std::uint64_t>(items.size());
  });
  for (const std::uint64_t size : sizes) EXPECT_EQ(size, expected(n).items.size());
}

TEST_F(Collect, GivesAReplayItsItems) {
  shard::buffer<int> one(1);
  const std::size_t before = shard::map(one, [](std::size_t) { return 1; }).counts().map;
  setenv("SHARD_REPLAY", (std::to_string(before + 1) + ":100-200").c_str(), 1);
  shard::collect<item> items(shard::with_offsets);
  static_cast<void>(shard::try_map({.workers = 2}, n, shard::reduce(items), collect_of));
  unsetenv("SHARD_REPLAY");
  lost missing(n, true);
  for (std::size_t i = 100; i < 200; ++i) missing[i] = false;
  EXPECT_TRUE(found_in(items) == expected(n, missing));
}

// The file of a map in which workers died; and that of one that is not complete is not there.
TEST_F(Collect, NamesItsFileWhenAllIsThere) {
  const folder here;
  const fs::path file = here.path() / "items.npy";
  {
    shard::collect<item> items(file);
    const shard::report told = shard::try_map({.workers = 2, .keep_going = true}, n,
                                              shard::reduce(items), [](std::size_t i, auto& to) {
                                                collect_of(i, to);
                                                if (i == 10) std::abort();
                                              });
    EXPECT_FALSE(told.complete());
    EXPECT_FALSE(fs::exists(file));
  }
  const tally tries;
  shard::collect<item> items(file);
  shard::map({.workers = 2}, n, shard::reduce(items), [&](std::size_t i, auto& to) {
    EXPECT_FALSE(fs::exists(file));
    collect_of(i, to);
    if (i == 10 && tries[0]++ == 0) std::abort();
  });
  const auto stored = shard::open<item>(file);
  EXPECT_TRUE(std::vector<item>(stored.begin(), stored.end()) == expected(n).items);
}

}  // namespace
