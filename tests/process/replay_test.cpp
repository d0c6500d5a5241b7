// Maps in a debugger: SHARD_EXECUTOR=serial runs all of them inline, SHARD_REPLAY one of them, and
// of that one nothing but what had failed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "process/leftovers.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using shard::executor;
using shard_test::holds_in_a_child;
using shard_test::mentions;
using shard_test::refusal;
using shard_test::tally;
using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::array everywhere{executor::processes, executor::threads, executor::serial};

// A variable of the environment as it is for one program.
class Debugging : public shard_test::leaves_nothing {
 protected:
  void TearDown() override {
    unsetenv("SHARD_REPLAY");
    unsetenv("SHARD_EXECUTOR");
    leaves_nothing::TearDown();
  }
};

using Replay = Debugging;
using SerialExecutor = Debugging;

// In a child, where maps count from 1: what was mapped before in the test doesn't matter.
template <class Program>
bool holds_in_a_program(const char* replay, Program program) {
  return holds_in_a_child([&] {
    // Numbers go on from what the test itself has mapped.
    shard::counter none;
    const std::size_t before =
        shard::map(0, shard::reduce(none), [](std::size_t, auto&) {}).counts().map;
    const std::string text(replay);
    const std::size_t colon = text.find(':');
    setenv(
        "SHARD_REPLAY",
        (std::to_string(before + std::stoul(text.substr(0, colon))) + text.substr(colon)).c_str(),
        1);
    return program();
  });
}

TEST_F(Replay, RunsNothingButTheIndicesInTheCallingProcess) {
  for (const executor where : everywhere) {
    EXPECT_TRUE(holds_in_a_program("2:613-616", [&] {
      const pid_t caller = getpid();
      const std::thread::id thread = std::this_thread::get_id();
      const shard::options how{.workers = 2, .run_on = where};
      shard::buffer<int> first(1000), out(1000), last(1000);
      shard::map(how, first, [](std::size_t) { return 1; });  // as usual
      std::vector<std::size_t> called;
      shard::sum<std::uint64_t> total;
      shard::ordered_sum<double> ordered(0.5);
      const shard::report run =
          shard::try_map(how, 1000, shard::out(out), shard::reduce(total), shard::reduce(ordered),
                         [&](std::size_t i, auto to, auto& sum, auto& ordered_sum) {
                           if (getpid() != caller || std::this_thread::get_id() != thread)
                             std::abort();
                           called.push_back(i);
                           to[i] = 7;
                           sum += i;
                           ordered_sum += static_cast<double>(i);
                         });
      EXPECT_THAT(called, ElementsAre(613, 614, 615));
      EXPECT_THAT(run.completed(), ElementsAre(shard::range{613, 616}));
      EXPECT_FALSE(run.complete());
      EXPECT_EQ(run.indices(), 1000u);
      EXPECT_TRUE(mentions(run.trouble(), {"SHARD_REPLAY", "[613, 616)", "no others"}));
      EXPECT_EQ(total.value(), 613u + 614u + 615u);
      EXPECT_EQ(ordered.value(), 0.5 + 613 + 614 + 615);
      for (std::size_t i = 0; i < 1000; ++i) EXPECT_EQ(out[i], 613 <= i && i < 616 ? 7 : 0);
      shard::map(how, last, [](std::size_t) { return 1; });  // as usual
      EXPECT_THAT(std::vector<int>(first.begin(), first.end()), Each(1));
      EXPECT_THAT(std::vector<int>(last.begin(), last.end()), Each(1));
      return !testing::Test::HasFailure();
    }));
  }
}

TEST_F(Replay, EndsMapByAMapErrorSinceIndicesAreMissing) {
  EXPECT_TRUE(holds_in_a_program("1:4-5", [] {
    shard::buffer<int> out(10);
    return mentions(refusal([&] { shard::map(out, [](std::size_t) { return 1; }); }),
                    {"found 1 of 10 indices done", "SHARD_REPLAY has run the indices [4, 5)"});
  }));
}

TEST_F(Replay, OfAllIndicesIsAWholeMap) {
  const shard_test::folder folder;
  EXPECT_TRUE(holds_in_a_program("1:0-10", [&] {
    auto out = shard::create<int>(folder / "out.npy", 10);
    return shard::map(out, [](std::size_t) { return 1; }).complete();
  }));
  EXPECT_THAT(folder.names(), ElementsAre("out.npy"));
}

TEST_F(Replay, OfSomeLeavesNoFileThatLooksFinished) {
  const shard_test::folder folder;
  EXPECT_TRUE(holds_in_a_program("1:0-9", [&] {
    auto out = shard::create<int>(folder / "out.npy", 10);
    return !shard::try_map(out, [](std::size_t) { return 1; }).complete();
  }));
  EXPECT_THAT(folder.names(), IsEmpty());
}

// In a debugger without a catch in the way it stops where it is thrown.
TEST_F(Replay, LetsAnExceptionLeaveTheMapAsItIs) {
  EXPECT_TRUE(holds_in_a_program("1:4-5", [] {
    shard::buffer<int> out(10);
    try {
      shard::map({.retries_error = 5}, out,
                 [](std::size_t i) -> int { throw std::out_of_range(std::to_string(i)); });
    } catch (const std::out_of_range& e) {
      return e.what() == std::string("4");
    }
    return false;
  }));
}

TEST_F(Replay, LetsACrashHappenInTheProgram) {
  const tally at;
  EXPECT_FALSE(holds_in_a_program("1:4-5", [&] {
    shard::buffer<int> out(10);
    shard::map(out, [&](std::size_t) -> int {
      at[0] = getpid();
      raise(SIGKILL);
      return 1;
    });
    at[1] = 1;
    return true;
  }));
  EXPECT_NE(at[0], 0);
  EXPECT_EQ(at[1], 0);
}

TEST_F(Replay, CutsTheIndicesAsTheMapCutsItsChunks) {
  EXPECT_TRUE(holds_in_a_program("1:8-23", [] {
    std::vector<shard::range> chunks;
    shard::counter none;
    static_cast<void>(shard::try_map(shard::chunks{{5, 100}, 10}, shard::reduce(none),
                                     [&](shard::range chunk, auto&) { chunks.push_back(chunk); }));
    EXPECT_THAT(chunks, ElementsAre(shard::range{8, 15}, shard::range{15, 23}));
    return !testing::Test::HasFailure();
  }));
}

TEST_F(Replay, RunsATile) {
  EXPECT_TRUE(holds_in_a_program("1:5-6", [] {
    shard::buffer<int, 2> out(7, 5);
    std::vector<shard::tile> tiles;
    static_cast<void>(shard::try_map(shard::tiles{{7, 5}, {3, 2}}, shard::out(out),
                                     [&](shard::tile cells, auto) { tiles.push_back(cells); }));
    EXPECT_THAT(tiles, ElementsAre(shard::tile{{3, 6}, {4, 5}}));
    return !testing::Test::HasFailure();
  }));
}

TEST_F(Replay, HandsEveryArgumentToTheKernel) {
  EXPECT_TRUE(holds_in_a_program("1:2-3", [] {
    shard::buffer<int> x(std::vector<int>{10, 20, 30, 40});
    shard::buffer<int> y(4), hits(1);
    shard::histogram bins{shard::axis::integer(0, 50)};
    static_cast<void>(shard::try_map(
        4, shard::in(x), shard::out(y), shard::shared(hits), shard::reduce(bins), shard::value(5),
        shard::worker_state([] { return 100; }),
        [](std::size_t i, auto from, auto to, auto both, auto& bin, int five, int& hundred) {
          to[i] = from[i] + five + hundred;
          both.fetch_add(0, 1);
          bin(from[i]);
        }));
    return y[2] == 135 && hits[0] == 1 && bins.at(30) == 1 && y[1] == 0 && y[3] == 0;
  }));
}

TEST_F(Replay, OfIndicesThatTheMapDoesNotHaveIsRefused) {
  struct wrong {
    const char* replay;
    const char* found;
  };
  for (const wrong& one : {wrong{"1:9-11", "[9, 11)"}, wrong{"1:3-5", "[3, 5)"},
                           wrong{"1:100-101", "[100, 101)"}, wrong{"1:0-100", "[0, 100)"}}) {
    EXPECT_TRUE(holds_in_a_program(one.replay, [&] {
      const std::vector<shard::range> parts{{0, 4}, {6, 10}};
      shard::counter none;
      return mentions(refusal([&] {
                        shard::map(shard::chunk_list{{0, 10}, parts}, shard::reduce(none),
                                   [](auto&&...) { std::abort(); });
                      }),
                      {"cannot replay map", "found the indices", one.found, "in [0, 10)"});
    }));
  }
  EXPECT_TRUE(holds_in_a_program("1:0-1", [] {
    shard::counter none;
    return mentions(
        refusal([&] { shard::map(0, shard::reduce(none), [](auto&&...) { std::abort(); }); }),
        {"cannot replay map", "found the indices [0, 1)"});
  }));
}

TEST_F(Replay, OfNonsenseIsRefused) {
  for (const char* const text :
       {"613", "2:613", "2:613-", "2:-614", ":613-614", "2:613-613", "2:614-613", "0:613-614",
        "2:613-614 ", " 2:613-614", "2:613-614-615", "2:613..614", "two:613-614", "-2:613-614",
        "2:613-99999999999999999999", "2,613-614", "2:+613-614"}) {
    setenv("SHARD_REPLAY", text, 1);
    shard::counter none;
    EXPECT_TRUE(mentions(
        refusal([&] { shard::map(10, shard::reduce(none), [](auto&&...) { std::abort(); }); }),
        {"cannot use SHARD_REPLAY", text, "MAP:FIRST-LAST"}));
  }
}

// They are a part of a chunk, and which of them comes first is up to the workers.
TEST_F(Replay, CountsNoMapInsideAKernel) {
  for (const executor where : everywhere) {
    std::vector<std::size_t> numbers;
    for (int times = 0; times < 3; ++times) {
      shard::buffer<std::size_t> inner(4);
      numbers.push_back(shard::map({.workers = 2, .grain = 1, .run_on = where}, inner,
                                   [](std::size_t) {
                                     shard::counter count;
                                     return shard::map({.run_on = executor::serial}, 3,
                                                       shard::reduce(count),
                                                       [](std::size_t, auto& hits) { ++hits; })
                                         .counts()
                                         .map;
                                   })
                            .counts()
                            .map);
      EXPECT_THAT(std::vector<std::size_t>(inner.begin(), inner.end()), Each(0u));
    }
    EXPECT_NE(numbers[0], 0u);
    EXPECT_THAT(numbers, ElementsAre(numbers[0], numbers[0] + 1, numbers[0] + 2));
  }
}

// What a report says of its failures leads back to them.
TEST_F(Replay, IsToldByTheReportOfEachFailure) {
  const auto program = [](shard::report* told) {
    const shard::options how{.workers = 2, .grain = 7, .retries = 0, .keep_going = true};
    shard::buffer<int> out(100);
    shard::map(how, out, [](std::size_t) { return 1; });
    shard::report run = shard::try_map(how, out, [](std::size_t i) -> int {
      if (i == 41) throw std::runtime_error("forty-one");
      return 2;
    });
    if (told != nullptr) *told = std::move(run);
  };
  shard::report run;
  program(&run);
  ASSERT_THAT(run.failures(), SizeIs(testing::Ge(1u)));
  const std::string line = run.replay(run.failures()[0]);
  const shard::range indices = run.failures()[0].indices;
  EXPECT_TRUE(indices.contains(41));
  EXPECT_EQ(line, "SHARD_REPLAY=" + std::to_string(run.counts().map) + ":" +
                      std::to_string(indices.first) + "-" + std::to_string(indices.last));
  // The same program, from its first map on.
  const std::string again = "2" + line.substr(line.find(':'));
  EXPECT_TRUE(holds_in_a_program(again.c_str(), [&] {
    try {
      program(nullptr);
    } catch (const std::runtime_error& e) {
      return e.what() == std::string("forty-one");
    }
    return false;
  }));
}

TEST_F(Replay, IsNotToldOfWhatBlamesNoChunk) {
  shard::buffer<int> out(10);
  const shard::report run =
      shard::try_map({.workers = 1}, out, shard::worker_state([]() -> int { std::abort(); }),
                     [](std::size_t, int& state) { return state; });
  ASSERT_FALSE(run.failures().empty());
  EXPECT_EQ(run.replay(run.failures()[0]), "");
}

// ---- SHARD_EXECUTOR=serial ----

bool runs_here(const shard::options& how) {
  const pid_t process = getpid();
  const std::thread::id thread = std::this_thread::get_id();
  shard::buffer<int> out(100);
  int calls = 0;
  shard::map(how, out, [&](std::size_t) {
    ++calls;
    return getpid() == process && std::this_thread::get_id() == thread ? 1 : 0;
  });
  return calls == 100 && testing::Matches(Each(1))(std::vector<int>(out.begin(), out.end()));
}

TEST_F(SerialExecutor, InTheEnvironmentRunsAnyMapInline) {
  setenv("SHARD_EXECUTOR", "serial", 1);
  for (const executor where : everywhere) {
    EXPECT_TRUE(runs_here({.workers = 8, .run_on = where}));
    EXPECT_TRUE(runs_here({.workers = 8, .grain = 1, .run_on = where, .allow_threads = true}));
  }
}

TEST_F(SerialExecutor, InTheEnvironmentRunsMapsInThreadsAndInKernelsInline) {
  setenv("SHARD_EXECUTOR", "serial", 1);
  // In threads of the program, where a fork would be refused.
  std::array<bool, 3> well{};
  std::vector<std::thread> threads;
  for (bool& one : well) threads.emplace_back([&one] { one = runs_here({.workers = 4}); });
  for (std::thread& one : threads) one.join();
  EXPECT_THAT(well, Each(true));
  shard::buffer<int> out(5);
  const pid_t process = getpid();
  shard::map({.workers = 2, .run_on = executor::threads}, out,
             [&](std::size_t) { return getpid() == process && runs_here({.workers = 4}) ? 1 : 0; });
  EXPECT_THAT(std::vector<int>(out.begin(), out.end()), Each(1));
}

}  // namespace
