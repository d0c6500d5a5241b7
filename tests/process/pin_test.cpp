// Where workers run that are pinned. What the system says of a thread is compared with what
// topology::distribute says, whose own tests are in unit/topology_test.cpp.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "os/affinity.hpp"
#include "os/topology.hpp"
#include "process/leftovers.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using shard::executor;
using shard::start_by;
using shard::os::own_processors;
using shard::os::processors;
using shard_test::eventually;
using shard_test::mentions;
using shard_test::refusal;
using shard_test::tally;
using testing::Each;
using testing::IsEmpty;
using testing::UnorderedElementsAreArray;

using text = shard::text<1024>;

text here() { return text(to_string(own_processors().value())); }

processors only_last(const processors& of) {
  processors made;
  for (unsigned k = processors::most; k-- > 0 && made.empty();) {
    if (of.contains(k)) made.insert(k);
  }
  return made;
}

std::vector<std::string> expected(unsigned workers, unsigned threads = 1) {
  std::vector<std::string> all;
  const auto* const machine = shard::os::topology::of_this_machine();
  for (const processors& each : machine->distribute(*own_processors(), workers, threads)) {
    all.push_back(to_string(each));
  }
  return all;
}

std::vector<std::string> strings(const shard::buffer<text>& of) {
  std::vector<std::string> all;
  for (const text& each : of) all.emplace_back(each);
  return all;
}

class Pin : public shard_test::leaves_nothing {
 protected:
  void SetUp() override {
    leaves_nothing::SetUp();
    if (shard::os::topology::of_this_machine() == nullptr || !before_) {
      GTEST_SKIP() << "the system does not tell of its processors";
    }
  }
  void TearDown() override {
    if (before_) {
      EXPECT_EQ(own_processors(), before_) << "the test runs elsewhere now";
      shard::os::keep_to(*before_);
    }
    leaves_nothing::TearDown();
  }

  const processors& before() const { return *before_; }

 private:
  std::optional<processors> before_ = own_processors();
};

// Each worker has one index, and there it waits for all others.
text meet(std::size_t, shard::shared_view<int> arrived, const int& workers) {
  arrived.fetch_add(0, 1);
  if (!eventually([&] { return arrived.load(0) >= workers; })) std::abort();
  return here();
}

template <class Map>
std::vector<std::string> places(unsigned workers, Map map) {
  shard::buffer<text> found(workers);
  shard::buffer<int> arrived(1);
  map(found, shard::shared(arrived), shard::value(static_cast<int>(workers)), meet);
  return strings(found);
}

// In every way in which a map has workers.
void each_way(unsigned workers, const std::function<void(const std::vector<std::string>&)>& check,
              std::optional<bool> pin = true) {
  struct way {
    const char* name;
    executor where;
    start_by start;
  };
  for (const auto& [name, where, start] : {way{"forked", executor::processes, start_by::fork},
                                           way{"spawned", executor::processes, start_by::spawn},
                                           way{"threads", executor::threads, start_by::fork}}) {
    SCOPED_TRACE(std::string(name) + ", " + std::to_string(workers) + " workers");
    const shard::options how{
        .workers = workers, .grain = 1, .run_on = where, .start = start, .pin = pin};
    const auto expect_nothing_missing = [](const shard::report& run) {
      EXPECT_THAT(run.counts().without, IsEmpty());
    };
    check(
        places(workers, [&](auto&&... what) { expect_nothing_missing(shard::map(how, what...)); }));
    shard::pool pool(how);
    for (int round = 0; round < 2; ++round) {
      check(places(workers, [&](auto&&... what) { expect_nothing_missing(pool.map(what...)); }));
    }
    check(places(workers, [&](auto&&... what) {
      pool.queue(what...);
      pool.wait();
    }));
    check(places(workers, [&](auto&&... what) {
      shard::run run = shard::start(how, what...);
      expect_nothing_missing(run.wait());
    }));
  }
}

TEST_F(Pin, KeepsEachWorkerToAPlaceOfItsOwnInEveryWay) {
  const unsigned all = before().size();
  for (const unsigned workers : {1u, 2u, 3u, std::min(all + 1, 70u)}) {
    each_way(workers, [&](const std::vector<std::string>& found) {
      EXPECT_THAT(found, UnorderedElementsAreArray(expected(workers)));
    });
  }
}

// All that a program may say is where it may run itself.
TEST_F(Pin, KeepsToWhatTheCallerMayRunOn) {
  const processors one = only_last(before());
  ASSERT_TRUE(shard::os::keep_to(one));
  for (const unsigned workers : {1u, 2u}) {
    each_way(workers, [&](const std::vector<std::string>& found) {
      EXPECT_THAT(found, Each(to_string(one)));
    });
  }
  ASSERT_TRUE(shard::os::keep_to(before()));
  // It is not asked once and for all.
  each_way(2, [&](const std::vector<std::string>& found) {
    EXPECT_THAT(found, UnorderedElementsAreArray(expected(2)));
  });
}

TEST_F(Pin, GivesAWorkerAsManyCoresAsItHasThreads) {
  for (const unsigned threads : {1u, 2u, 3u}) {
    shard::pool pool({.workers = 2, .threads_per_worker = threads, .grain = 1, .pin = true});
    const auto found = places(2, [&](auto&&... what) { pool.map(what...); });
    EXPECT_THAT(found, UnorderedElementsAreArray(expected(2, threads)));
  }
}

// Threads that a kernel starts, processes that it forks, and maps that it calls: whatever those say
// themselves.
TEST_F(Pin, HoldsForWhatAKernelStarts) {
  shard::buffer<int> same(2);
  const shard::options how{.workers = 2, .threads_per_worker = 2, .grain = 1, .pin = true};
  shard::map(how, same, [](std::size_t) {
    const std::string own(here());
    std::string of_thread;
    std::thread([&] { of_thread = here(); }).join();
    const bool of_child = shard_test::holds_in_a_child([&] { return own == std::string(here()); });
    bool of_maps = true;
    for (const executor where : {executor::processes, executor::threads, executor::serial}) {
      shard::buffer<text> inner(8);
      shard::map({.grain = 1, .run_on = where, .pin = true}, inner,
                 [](std::size_t) { return here(); });
      for (const text& each : inner) of_maps &= std::string(each) == own;
    }
    return of_thread == own && of_child && of_maps ? 1 : 0;
  });
  EXPECT_THAT(std::vector<int>(same.begin(), same.end()), Each(1));
}

// Also those threads of ours that the caller's thread works beside, and that stay for the next map.
TEST_F(Pin, LeavesEverybodyWhereHeWasWhenTheMapIsOver) {
  const auto pinned = [](executor where, unsigned workers, bool fails) {
    shard::buffer<int> out(64);
    const shard::report run = shard::try_map(
        {.workers = workers, .grain = 1, .run_on = where, .pin = true}, out, [=](std::size_t i) {
          if (fails && i == 20) throw std::runtime_error("at 20");
          return 1;
        });
    EXPECT_EQ(run.complete(), !fails);
  };
  for (const executor where : {executor::processes, executor::threads, executor::serial}) {
    for (const unsigned workers : {1u, 3u}) {
      for (const bool fails : {false, true}) {
        pinned(where, workers, fails);
        EXPECT_EQ(own_processors(), before());
      }
    }
  }
  each_way(
      3,
      [&](const std::vector<std::string>& found) {
        EXPECT_THAT(found, Each(to_string(before())));
        pinned(executor::threads, 3, false);
      },
      std::nullopt);
}

TEST_F(Pin, HasNoEffectInline) {
  shard::buffer<text> found(3);
  shard::map({.run_on = executor::serial, .pin = true}, found, [](std::size_t) { return here(); });
  EXPECT_THAT(strings(found), Each(to_string(before())));
}

TEST_F(Pin, IsToldOfEachWorkerOfARunThatGoesOn) {
  for (const bool pin : {true, false}) {
    const tally may_end;
    shard::buffer<int> out(2);
    shard::run run = shard::start({.workers = 2, .grain = 1, .pin = pin}, out, [&](std::size_t) {
      if (!eventually([&] { return may_end[0] != 0; })) std::abort();
      return 1;
    });
    EXPECT_TRUE(eventually([&] { return run.workers().size() == 2; }));
    std::vector<std::string> told;
    for (const shard::worker_status& one : run.workers()) told.push_back(one.processors);
    may_end[0] = 1;
    EXPECT_TRUE(run.wait().complete());
    const std::vector<std::string> nothing(2);
    EXPECT_THAT(told, UnorderedElementsAreArray(pin ? expected(2) : nothing));
  }
}

// The first number and the size of a set of processors, as counters can have them.
int short_form(const processors& these) {
  unsigned first = 0;
  while (!these.contains(first)) ++first;
  return static_cast<int>(first * 10'000 + these.size());
}

// What a slot has begun, its next worker does.
void expect_the_same_place_after(void (*death)()) {
  const tally seen;
  enum { tries, first, second, arrived };
  shard::buffer<int> out(2);
  const shard::report run =
      shard::map({.workers = 2, .grain = 1, .pin = true}, out, [&](std::size_t i) {
        // Both workers have begun, so that neither does the work of the other.
        if (seen[tries] == 0) ++seen[arrived];
        if (!eventually([&] { return seen[arrived] >= 2; })) std::abort();
        if (i != 1) return 1;
        const int now = short_form(own_processors().value());
        seen[seen[tries]++ == 0 ? first : second] = now;
        if (seen[tries] == 1) death();
        return 1;
      });
  EXPECT_EQ(seen[tries], 2);
  EXPECT_NE(seen[first], 0);
  EXPECT_EQ(seen[first], seen[second]);
  EXPECT_THAT(run.counts().without, IsEmpty());
}

TEST_F(Pin, GivesAWorkersPlaceToTheOneThatReplacesIt) {
  expect_the_same_place_after([] { raise(SIGKILL); });
}

TEST_F(Pin, GivesPlacesToTheWorkersOfASupervisorThatHasTakenOver) {
  expect_the_same_place_after([] {
    kill(getppid(), SIGKILL);
    for (;;) pause();
  });
}

TEST_F(Pin, IsSetByTheEnvironmentUnlessTheCodeSaysOtherwise) {
  for (const executor where : {executor::processes, executor::threads}) {
    const auto map = [where](std::optional<bool> pin) {
      return places(2, [&](auto&&... what) {
        shard::map({.workers = 2, .grain = 1, .run_on = where, .pin = pin}, what...);
      });
    };
    setenv("SHARD_PIN", "1", 1);
    EXPECT_THAT(map(std::nullopt), UnorderedElementsAreArray(expected(2)));
    EXPECT_THAT(map(false), Each(to_string(before())));
    setenv("SHARD_PIN", "yes", 1);
    mentions(refusal([&] { map(std::nullopt); }),
             {"cannot use SHARD_PIN: found 'yes', expected 0 or 1"});
    unsetenv("SHARD_PIN");
    EXPECT_THAT(map(true), UnorderedElementsAreArray(expected(2)));
    EXPECT_THAT(map(std::nullopt), Each(to_string(before())));
  }
}

// ---- The memory of what a worker writes first.

constexpr std::size_t page = 4096;
constexpr std::size_t pages_of_a_chunk = 16;
constexpr std::size_t chunks = 64;

// Of the memory at this address, and of the processor that runs this. Negative: it isn't known.
int node_of(const void* at) {
  int node = -1;
  const long failed = syscall(SYS_get_mempolicy, &node, nullptr, 0, at, MPOL_F_NODE | MPOL_F_ADDR);
  return failed == 0 ? node : -1;
}
int node_here() {
  unsigned node = 0;
  return syscall(SYS_getcpu, nullptr, &node, nullptr) == 0 ? static_cast<int>(node) : -1;
}

// Unless somebody has said that it comes from elsewhere.
bool memory_is_local() {
  int policy = -1;
  unsigned long nodes[16]{};
  const unsigned long room = 8 * sizeof nodes;
  if (syscall(SYS_get_mempolicy, &policy, nullptr, 0, nullptr, 0) != 0) return false;
  if (syscall(SYS_get_mempolicy, nullptr, nodes, room, nullptr, MPOL_F_MEMS_ALLOWED) != 0) {
    return false;
  }
  const int here = node_here();
  return policy == MPOL_DEFAULT && here >= 0 && here < 64 && (nodes[0] >> here & 1) != 0;
}

TEST_F(Pin, LeavesMemoryToTheWorkerThatWritesItFirst) {
  constexpr std::size_t bytes = chunks * pages_of_a_chunk * page;
  shard::buffer<unsigned char> out(bytes);
  EXPECT_LT(out.stats().allocated_bytes, bytes / 2) << "shard has touched it before";
  shard::buffer<int> wrong(1);
  shard::map(
      {.workers = 4, .grain = pages_of_a_chunk * page, .pin = true}, bytes, shard::out(out),
      shard::shared(wrong),
      [](shard::range chunk, shard::slice<unsigned char> to, shard::shared_view<int> elsewhere) {
        unsigned char& middle = to[chunk.first + pages_of_a_chunk / 2 * page];
        middle = 1;
        const int node = node_of(&middle);
        if (node >= 0 && node != node_here() && memory_is_local()) elsewhere.fetch_add(0, 1);
      });
  // Of a huge page, another chunk's worker may have written other bytes first.
  if (out.stats().huge_bytes == 0) {
    EXPECT_EQ(wrong[0], 0);
  }
  EXPECT_GE(out.stats().allocated_bytes, chunks * page);
}

}  // namespace
