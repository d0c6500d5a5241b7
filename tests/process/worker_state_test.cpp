// What each worker makes for itself before its first chunk, and has until it leaves.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "process/leftovers.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using shard::executor;
using shard_test::eventually;
using shard_test::mentions;
using shard_test::tally;
using testing::Each;
using testing::IsEmpty;
using testing::SizeIs;

using WorkerState = shard_test::leaves_nothing;

constexpr std::array everywhere{executor::processes, executor::threads, executor::serial};

// Counts how many were made and destroyed, in whatever process.
class counted {
 public:
  explicit counted(const tally& board) : board_(&board), number_(board[0]++) {}
  counted(const counted&) = delete;  // neither copied nor moved
  ~counted() { ++(*board_)[1]; }

  int number() const { return number_; }
  int calls = 0;

 private:
  const tally* board_;
  int number_;
};

TEST_F(WorkerState, IsMadeOncePerWorkerAndDestroyedWhenItLeaves) {
  for (const executor where : everywhere) {
    SCOPED_TRACE(static_cast<int>(where));
    const tally made;
    const tally arrived;
    const unsigned workers = where == executor::serial ? 1 : 3;
    shard::buffer<int> out(60);
    shard::map(
        {.workers = workers, .grain = 1, .run_on = where}, out,
        shard::worker_state([](const tally* of) { return counted(*of); }, &made),
        [&](std::size_t, counted& mine) {
          // Each worker's first chunk waits for the others': all of them enter.
          if (mine.calls++ == 0) {
            ++arrived[0];
            static_cast<void>(eventually([&] { return arrived[0] >= static_cast<int>(workers); }));
          }
          return 10 * mine.number() + 1;
        });
    EXPECT_EQ(made[0], static_cast<int>(workers));
    EXPECT_EQ(made[1], static_cast<int>(workers));
    for (const int one : out) {
      EXPECT_EQ(one % 10, 1);
      EXPECT_LT(one / 10, static_cast<int>(workers));
    }
  }
}

TEST_F(WorkerState, LastsFromChunkToChunk) {
  for (const executor where : everywhere) {
    shard::buffer<int> calls(50);
    shard::map({.workers = 1, .grain = 5, .run_on = where}, calls,
               shard::worker_state([] { return 0; }),
               [](std::size_t, int& seen) { return ++seen; });
    for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ(calls[i], static_cast<int>(i) + 1);
  }
}

TEST_F(WorkerState, HasItsPlaceAmongTheArgumentsOfEveryForm) {
  for (const executor where : everywhere) {
    const shard::options how{.workers = 2, .run_on = where};
    shard::buffer<int> x(std::vector<int>(40, 3));
    shard::buffer<int> y(40);
    shard::counter count;
    const auto seven = [] { return std::make_unique<int>(7); };  // a state that can only be moved
    const auto text = [](const std::string& a, int n) { return a + std::to_string(n); };
    shard::map(how, 40, shard::worker_state(seven), shard::in(x),
               shard::worker_state(text, "no", 5), shard::out(y), shard::reduce(count),
               [](shard::range chunk, std::unique_ptr<int>& number, shard::view<int> from,
                  const std::string& word, shard::slice<int> to, auto& hits) {
                 for (const std::size_t i : chunk) {
                   to[i] = *number * from[i] + static_cast<int>(word.size());
                   ++hits;
                 }
               });
    EXPECT_THAT(std::vector<int>(y.begin(), y.end()), Each(24));
    EXPECT_EQ(count.value(), 40);
    shard::buffer<int, 2> grid(6, 5);
    shard::map(how, grid, shard::worker_state(seven),
               [](std::size_t, std::size_t, auto& number) { return *number; });
    EXPECT_THAT(std::vector<int>(grid.begin(), grid.end()), Each(7));
    shard::map(how, grid, shard::worker_state(seven),
               [](std::size_t, std::span<int> row, const auto& number) {
                 for (int& cell : row) cell = *number + 1;
               });
    EXPECT_THAT(std::vector<int>(grid.begin(), grid.end()), Each(8));
    shard::map(how, shard::tiles{{6, 5}, {4, 4}}, shard::worker_state(seven), shard::out(grid),
               [](shard::tile cells, auto& number, auto to) {
                 for (const std::size_t i : cells.rows) {
                   for (const std::size_t j : cells.cols) to(i, j) = *number + 2;
                 }
               });
    EXPECT_THAT(std::vector<int>(grid.begin(), grid.end()), Each(9));
  }
}

TEST_F(WorkerState, IsMadeOfACopyOfItsArguments) {
  std::string word = "before";
  auto state = shard::worker_state([](const std::string& of) { return of.size(); }, word);
  word = "after that";
  shard::buffer<std::size_t> out(10);
  shard::map({.workers = 1}, out, state, [](std::size_t, std::size_t& size) { return size; });
  EXPECT_THAT(std::vector<std::size_t>(out.begin(), out.end()), Each(6u));
}

TEST_F(WorkerState, IsMadeAnewInAReplacement) {
  const tally made;
  const tally tries;
  shard::buffer<int> out(20);
  const shard::report run = shard::map({.workers = 1, .grain = 1}, out,
                                       shard::worker_state([&] { return counted(made); }),
                                       [&](std::size_t i, counted& mine) {
                                         if (i == 7 && tries[0]++ == 0) raise(SIGKILL);
                                         // One that had been the dead worker's would have seven
                                         // calls more.
                                         return ++mine.calls + 100 * mine.number();
                                       });
  EXPECT_EQ(run.counts().deaths, 1u);
  EXPECT_EQ(made[0], 2);
  EXPECT_EQ(made[1], 1) << "the dead one's is not destroyed, the other's is";
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(out[static_cast<std::size_t>(i)], i < 7 ? i + 1 : 100 + i - 6);
  }
}

TEST_F(WorkerState, MayFailToBeMadeNowAndThen) {
  for (const bool throws : {false, true}) {
    const tally tries;
    shard::buffer<int> out(40);
    const shard::report run = shard::map({.workers = 2, .grain = 1}, out, shard::worker_state([&] {
                                           if (tries[0]++ < 5) {
                                             if (throws) throw std::runtime_error("not yet");
                                             std::abort();
                                           }
                                           return 4;
                                         }),
                                         [](std::size_t, int& four) { return four; });
    EXPECT_THAT(std::vector<int>(out.begin(), out.end()), Each(4));
    EXPECT_THAT(run.failures(), SizeIs(5));
    EXPECT_EQ(run.counts().deaths, 5u);
    EXPECT_EQ(run.counts().retries, 0u) << "no chunk is to blame";
    for (const shard::failure& one : run.failures()) EXPECT_TRUE(one.indices.empty());
  }
}

// In worker processes: the budget of the run ends it.
TEST_F(WorkerState, ThatCanNeverBeMadeEndsTheRunAndIsNamed) {
  struct mishap {
    const char* says;
    void (*happens)();
  };
  for (const mishap& one :
       {mishap{"std::runtime_error: no licence", [] { throw std::runtime_error("no licence"); }},
        mishap{"int", [] { throw 7; }}, mishap{"signal 6 (SIGABRT)", [] { std::abort(); }},
        mishap{"exit(3) was called", [] { std::exit(3); }},
        mishap{"signal 9 (SIGKILL)", [] { raise(SIGKILL); }}}) {
    SCOPED_TRACE(one.says);
    shard::buffer<int> out(40);
    const shard::report run = shard::try_map({.workers = 2, .grain = 1, .keep_going = true}, out,
                                             shard::worker_state([&] {
                                               one.happens();
                                               return 1;
                                             }),
                                             [](std::size_t, int& state) { return state; });
    EXPECT_THAT(run.completed(), IsEmpty());
    EXPECT_TRUE(mentions(run.trouble(), {"more than 100 workers died outside of any chunk",
                                         one.says, "in making its worker_state"}));
    EXPECT_EQ(run.counts().retries, 0u);
    EXPECT_LT(run.counts().deaths, 110u);
    for (const shard::failure& found : run.failures()) EXPECT_TRUE(found.indices.empty());
  }
}

// Not even for what is left of a chunk that was taken apart. What no kernel came to is as it was.
TEST_F(WorkerState, ThatCanNoLongerBeMadeEndsTheRunWhileAChunkIsInQuarantine) {
  constexpr std::size_t indices = 40;
  for (const int deaths_before : {1, 2, 3}) {
    SCOPED_TRACE(deaths_before);
    const tally deaths;
    shard::buffer<int> cells(indices);
    const shard::report run =
        shard::try_map({.workers = 1, .grain = 20, .retries = 0, .keep_going = true}, indices,
                       shard::inout(cells), shard::worker_state([&] {
                         if (deaths[0] >= deaths_before) std::abort();
                         return 1;
                       }),
                       [&](std::size_t i, shard::slice<int> cell, int&) {
                         ++cell[i];
                         if (i % 20 == 9) {
                           ++deaths[0];
                           std::abort();
                         }
                       });
    EXPECT_TRUE(mentions(run.trouble(), {"more than 100 workers died outside of any chunk",
                                         "in making its worker_state"}));
    EXPECT_FALSE(run.complete());
    std::vector<int> right(indices, 0);
    for (const shard::range part : run.completed()) {
      for (const std::size_t i : part) right[i] = 1;
    }
    EXPECT_EQ(std::vector<int>(cells.begin(), cells.end()), right);
    EXPECT_EQ(right[9], 0);
  }
}

TEST_F(WorkerState, IsNotBlamedForADeathAfterItWasMade) {
  shard::buffer<int> out(4);
  const shard::report run = shard::try_map({.workers = 1, .grain = 1, .retries = 0}, out,
                                           shard::worker_state([] { return 1; }),
                                           [](std::size_t, int&) -> int { std::abort(); });
  ASSERT_THAT(run.failures(), SizeIs(1));
  EXPECT_EQ(run.failures()[0].what.find("worker_state"), std::string::npos);
}

TEST_F(WorkerState, WhoseMakingThrowsInThisProcessEndsTheMapWithThat) {
  for (const executor where : {executor::threads, executor::serial}) {
    shard::buffer<int> out(100);
    const tally calls;
    EXPECT_THROW(shard::map({.workers = 3, .grain = 1, .run_on = where}, out,
                            shard::worker_state([]() -> int { throw std::out_of_range("never"); }),
                            [&](std::size_t, int& state) {
                              ++calls[0];
                              return state;
                            }),
                 std::out_of_range);
    EXPECT_EQ(calls[0], 0);
  }
}

TEST_F(WorkerState, StaysAsAKernelThatThrewHasLeftIt) {
  for (const executor where : everywhere) {
    shard::buffer<int> calls(10);
    const shard::report run =
        shard::map({.workers = 1, .grain = 1, .retries_error = 1, .run_on = where}, calls,
                   shard::worker_state([] { return 0; }), [](std::size_t i, int& seen) {
                     if (++seen == 4) throw std::runtime_error("once");
                     EXPECT_GE(seen, static_cast<int>(i));
                     return seen;
                   });
    EXPECT_EQ(run.counts().retries, 1u);
    EXPECT_EQ(calls[9], 11);
  }
}

// Says when it ends.
struct talkative {
  explicit talkative(int where) : descriptor(where) {}
  talkative(const talkative&) = delete;
  ~talkative() { static_cast<void>(write(descriptor, "bye", 3)); }
  int descriptor;
};

TEST_F(WorkerState, IsDestroyedWithinTheMap) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  shard::buffer<int> out(4);
  shard::map({.workers = 2, .grain = 2}, out,
             shard::worker_state([&] { return std::make_unique<talkative>(ends[1]); }),
             [](std::size_t, auto&) { return 1; });
  close(ends[1]);
  char said[64];
  const ssize_t length = read(ends[0], said, sizeof said);
  close(ends[0]);
  EXPECT_GE(length, 3);
  EXPECT_EQ(length % 3, 0);
}

// Its work was done by then.
TEST_F(WorkerState, ThatDiesInItsDestructorChangesNothing) {
  struct brittle {
    pid_t caller;
    explicit brittle(pid_t of) : caller(of) {}
    brittle(const brittle&) = delete;
    ~brittle() {
      if (getpid() != caller) std::abort();
    }
  };
  shard::buffer<int> out(100);
  shard::counter count;
  const shard::report run =
      shard::map({.workers = 3, .grain = 1}, out, shard::reduce(count),
                 shard::worker_state([of = getpid()] { return std::make_unique<brittle>(of); }),
                 [](std::size_t i, auto& hits, auto&) {
                   ++hits;
                   return static_cast<int>(i);
                 });
  EXPECT_EQ(count.value(), 100);
  EXPECT_EQ(out[99], 99);
  EXPECT_EQ(run.counts().deaths, 0u);
  EXPECT_THAT(run.failures(), IsEmpty());
}

}  // namespace
