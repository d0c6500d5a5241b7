// Kernels that fail in every way a process can, and kernels that misbehave without failing: what
// the report says, what is kept, and that nothing is left.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <ostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "process/leftovers.hpp"
#include "process/printed.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using shard_test::mentions;
using shard_test::printed;
using shard_test::tally;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

using Failures = shard_test::leaves_nothing;

// What a kernel does at index 13 of 40, which is chunk 2 of 8.
using deed = std::function<void()>;
constexpr std::size_t indices = 40;
constexpr std::size_t victim = 13;

struct outcome {
  shard::report run;
  std::vector<int> out;
  std::int64_t counted = 0;
};

outcome suffer(shard::options how, const deed& fail) {
  how.grain = 5;
  shard::buffer<int> out(indices);
  shard::counter count;
  shard::report run = shard::try_map(how, indices, shard::out(out), shard::reduce(count),
                                     [&](std::size_t i, shard::slice<int> to, auto& hits) {
                                       ++hits;
                                       if (i == victim) fail();
                                       to[i] = static_cast<int>(i) + 1;
                                     });
  return {std::move(run), {out.begin(), out.end()}, count.value()};
}

// Counts that must agree in every report that lost no failure.
void agree(const shard::report& run) {
  std::size_t deaths = 0;
  std::size_t blamed = 0;
  std::map<std::size_t, unsigned> attempts;
  for (const shard::failure& one : run.failures()) {
    if (one.kind != "exception") ++deaths;
    if (one.indices.empty()) continue;
    ++blamed;
    EXPECT_EQ(one.attempt, ++attempts[one.chunk]) << "attempts count from 1, without gaps";
  }
  // A failure is not followed by another attempt where nothing of its indices is there in the end.
  std::size_t given_up = 0;
  for (std::size_t k = 0; k < run.failures().size(); ++k) {
    const shard::failure& one = run.failures()[k];
    const bool last = k + 1 == run.failures().size() || run.failures()[k + 1].chunk != one.chunk;
    if (one.indices.empty() || (one.indices.size() > 1 && !last)) continue;
    bool kept = false;
    for (const shard::range part : run.completed()) {
      kept = kept || part.contains(one.indices.first);
    }
    if (!kept && (last || one.indices != run.failures()[k + 1].indices)) ++given_up;
  }
  EXPECT_EQ(run.counts().failures_lost, 0u);
  EXPECT_EQ(run.counts().deaths, deaths);
  EXPECT_EQ(run.counts().retries, blamed - given_up);
}

// With keep_going, all but `lost` is there, and nothing of that is counted.
void all_but(shard::range lost, const outcome& what) {
  EXPECT_FALSE(what.run.complete());
  EXPECT_THAT(what.run.completed(),
              testing::ElementsAre(shard::range{0, lost.first}, shard::range{lost.last, indices}));
  for (std::size_t i = 0; i < indices; ++i) {
    if (lost.contains(i)) continue;
    EXPECT_EQ(what.out[i], static_cast<int>(i) + 1);
  }
  EXPECT_EQ(what.out[victim], 0);
  EXPECT_EQ(what.counted, static_cast<std::int64_t>(indices - lost.size()));
  agree(what.run);
}

// A kernel by index that throws once more than its budget is walked: it throws once more, and that
// index is given up.
constexpr std::size_t walks = 1;
void all_but_the_victim(const outcome& what) { all_but({victim, victim + 1}, what); }

void everything(const outcome& what) {
  EXPECT_TRUE(what.run.complete()) << what.run;
  for (std::size_t i = 0; i < indices; ++i) EXPECT_EQ(what.out[i], static_cast<int>(i) + 1);
  EXPECT_EQ(what.counted, static_cast<std::int64_t>(indices));
  agree(what.run);
}

// ---- Exceptions ----

// The default: not a whole attempt more, but the indices are tried one part after the other.
TEST_F(Failures, ThatDoNotComeAgainLoseNothing) {
  for (const auto where :
       {shard::executor::processes, shard::executor::threads, shard::executor::serial}) {
    const tally throws;
    const outcome what = suffer({.workers = 2, .run_on = where}, [&] {
      if (throws[0]++ == 0) throw std::runtime_error("a bad moment");
    });
    everything(what);
    EXPECT_THAT(what.run.failures(), SizeIs(1));
  }
}

struct odd_mood {};

TEST_F(Failures, ReportAnExceptionWithItsTypeMessageChunkAndIndices) {
  const outcome what = suffer({.workers = 2, .keep_going = true},
                              [] { throw std::out_of_range("no such\nweather"); });
  ASSERT_THAT(what.run.failures(), SizeIs(1 + walks));
  unsigned attempt = 0;
  for (const shard::failure& one : what.run.failures()) {
    EXPECT_EQ(one.kind, "exception");
    EXPECT_EQ(one.what, "std::out_of_range: no such weather");
    EXPECT_EQ(one.chunk, 2u);
    EXPECT_EQ(one.attempt, ++attempt);
    EXPECT_EQ(one.signal, 0);
  }
  EXPECT_EQ(what.run.failures()[0].indices, (shard::range{10, 15}));
  EXPECT_EQ(what.run.failures()[1].indices, (shard::range{13, 14}));
  all_but_the_victim(what);
}

TEST_F(Failures, TellAChainOfExceptions) {
  const outcome what = suffer({.workers = 1, .keep_going = true}, [] {
    try {
      try {
        throw 7;
      } catch (...) {
        std::throw_with_nested(std::logic_error("inner"));
      }
    } catch (...) {
      std::throw_with_nested(std::runtime_error("outer"));
    }
  });
  ASSERT_THAT(what.run.failures(), SizeIs(1 + walks));
  EXPECT_TRUE(mentions(what.run.failures()[0].what, {"std::runtime_error", ": outer, because ",
                                                     "std::logic_error", ": inner, because int"}));
}

TEST_F(Failures, ReportExceptionsThatAreNoStdException) {
  EXPECT_EQ(suffer({.keep_going = true}, [] { throw 7; }).run.failures()[0].what, "int");
  EXPECT_THAT(suffer({.keep_going = true}, [] { throw odd_mood(); }).run.failures()[0].what,
              HasSubstr("odd_mood"));
}

TEST_F(Failures, CutAVeryLongMessage) {
  const outcome what =
      suffer({.keep_going = true}, [] { throw std::runtime_error(std::string(100'000, 'x')); });
  ASSERT_THAT(what.run.failures(), SizeIs(1 + walks));
  EXPECT_THAT(what.run.failures()[0].what, HasSubstr("std::runtime_error: xxxxxxxx"));
  all_but_the_victim(what);
}

// What a program may throw and still be wrong about.
struct says_nothing : std::exception {
  const char* what() const noexcept override { return nullptr; }
};
struct says_too_much : std::exception {
  const char* what() const noexcept override {
    static const std::string text(std::size_t{32} << 20, 'x');
    return text.c_str();
  }
};

// What a kernel throws, and parts of what the report then says of it.
struct oddity {
  const char* name;
  deed how;
  const char* exception;
  std::vector<const char*> what;
};

void throw_around(const deed& inner) {
  try {
    inner();
  } catch (...) {
    std::throw_with_nested(std::runtime_error("outer"));
  }
}

const std::vector<oddity>& oddities() {
  static const std::vector<oddity> all{
      {"null", [] { throw says_nothing(); }, "says_nothing", {"says_nothing: (what() is null)"}},
      {"null, nested",
       [] { throw_around([] { throw says_nothing(); }); },
       "runtime_error",
       {": outer, because ", "says_nothing: (what() is null)"}},
      {"null, around another",
       [] {
         try {
           throw 7;
         } catch (...) {
           std::throw_with_nested(says_nothing());
         }
       },
       "says_nothing",
       {": (what() is null), because int"}},
      {"nests nothing",
       [] { std::throw_with_nested(std::runtime_error("alone")); },
       "runtime_error",
       {"runtime_error", ": alone"}},
      {"nests, but is no std::exception",
       [] {
         try {
           throw 7;
         } catch (...) {
           std::throw_with_nested(odd_mood());
         }
       },
       "odd_mood",
       {"odd_mood", ", because int"}},
      {"too much", [] { throw says_too_much(); }, "says_too_much", {"says_too_much: xxxxxxxx"}},
      {"too much, nested",
       [] { throw_around([] { throw says_too_much(); }); },
       "runtime_error",
       {": outer, because ", "says_too_much: xxxxxxxx"}},
      {"nothing at all", [] { throw std::runtime_error(""); }, "std::runtime_error", {": "}},
      {"no text",
       [] { throw std::runtime_error("\xff\xfe \xc3( \xed\xa0\x80 \xf4\x90\x80\x80 \xe2\x82"); },
       "std::runtime_error",
       {": \xff\xfe \xc3("}},
      // Cut in the middle of a character, whatever is before it.
      {"cut",
       [] {
         throw std::runtime_error([] {
           std::string text = "x";
           while (text.size() < 5000) text += "€";
           return text;
         }());
       },
       "std::runtime_error",
       {": x€€"}},
      {"commands and lines",
       [] { throw std::runtime_error("a\rb\nc\x1b[2J\x01\x7f\"\\"); },
       "std::runtime_error",
       {"a\rb c\x1b[2J"}},
  };
  return all;
}

TEST_F(Failures, TellWhateverIsThrown) {
  for (const shard::executor where :
       {shard::executor::processes, shard::executor::threads, shard::executor::serial}) {
    for (const oddity& one : oddities()) {
      SCOPED_TRACE(one.name);
      const outcome what = suffer({.workers = 2, .keep_going = true, .run_on = where}, one.how);
      all_but_the_victim(what);
      ASSERT_FALSE(what.run.failures().empty());
      const shard::failure& first = what.run.failures()[0];
      EXPECT_EQ(first.kind, "exception");
      EXPECT_THAT(first.exception, HasSubstr(one.exception));
      for (const char* part : one.what) EXPECT_THAT(first.what, HasSubstr(part));
      const std::string json = what.run.json();
      EXPECT_TRUE(nlohmann::json::accept(json)) << json;
      std::ostringstream text;
      text << what.run << shard::map_error(what.run).what();
      EXPECT_THAT(text.str(), testing::Not(HasSubstr("\x1b")));
    }
  }
}

// Not only in kernels.
TEST_F(Failures, ToMakeAStateTellWhatSaysNothing) {
  shard::buffer<int> out(1);
  const shard::report run = shard::try_map(
      {.workers = 1}, out, shard::worker_state([]() -> int { throw says_nothing(); }),
      [](std::size_t, int&) { return 1; });
  EXPECT_FALSE(run.complete());
  EXPECT_THAT(run.trouble(), HasSubstr("says_nothing: (what() is null)"));
}

// Leaves no memory to say what was thrown.
struct greedy : std::exception {
  ~greedy() override {
    const rlimit all{RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_AS, &all);
    while (taken_ != nullptr) std::free(std::exchange(taken_, *static_cast<void**>(taken_)));
  }
  const char* what() const noexcept override {
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlimit no_more{pages * 4096, RLIM_INFINITY};
    setrlimit(RLIMIT_AS, &no_more);
    for (std::size_t bytes = std::size_t{1} << 20; bytes > 1024; bytes /= 2) take_all(bytes);
    for (std::size_t bytes = 1024; bytes >= 16; bytes -= 16) take_all(bytes);
    return "a text that is too long to need no memory";
  }

 private:
  void take_all(std::size_t bytes) const noexcept {
    while (void* const part = std::malloc(bytes)) {
      *static_cast<void**>(part) = taken_;
      taken_ = part;
    }
  }

  mutable void* taken_ = nullptr;
};

TEST_F(Failures, OfExceptionsThatCannotBeDescribedAreExceptions) {
  if (shard_test::sanitized) GTEST_SKIP() << "sanitizers end the process when memory is short";
  using enum shard::executor;
  for (const shard::executor where : {processes, threads, serial}) {
    SCOPED_TRACE(static_cast<int>(where));
    EXPECT_TRUE(shard_test::holds_in_a_child([&] {
      shard::buffer<int> out(1);
      const shard::report run = shard::try_map({.workers = 1, .retries_error = 0, .run_on = where},
                                               out, [](std::size_t) -> int { throw greedy(); });
      return run.failures().size() == 1 && run.failures()[0].kind == "exception" &&
             run.failures()[0].what == "(out of memory)";
    }));
  }
}

TEST_F(Failures, RetryExceptionsAsOftenAsTold) {
  for (const unsigned retries : {0u, 1u, 4u}) {
    const outcome what = suffer({.workers = 2, .retries_error = retries, .keep_going = true},
                                [] { throw std::runtime_error("again"); });
    EXPECT_THAT(what.run.failures(), SizeIs(retries + 1 + walks));
    EXPECT_EQ(what.run.counts().retries, retries + walks);
    EXPECT_EQ(what.run.counts().deaths, 0u);
    all_but_the_victim(what);
  }
}

TEST_F(Failures, AreTheSameDataInEveryExecutor) {
  for (const shard::executor where :
       {shard::executor::processes, shard::executor::threads, shard::executor::serial}) {
    const outcome what =
        suffer({.workers = 3, .retries_error = 2, .keep_going = true, .run_on = where},
               [] { throw std::domain_error("everywhere"); });
    ASSERT_THAT(what.run.failures(), SizeIs(3 + walks));
    EXPECT_EQ(what.run.failures()[2].attempt, 3u);
    EXPECT_EQ(what.run.failures()[2].what, "std::domain_error: everywhere");
    all_but_the_victim(what);
  }
}

TEST_F(Failures, OfTheFirstAttemptAreForgiven) {
  const tally tries;
  const outcome what = suffer({.workers = 2, .retries_error = 1}, [&] {
    if (tries[0]++ == 0) throw std::runtime_error("not yet");
  });
  everything(what);
  EXPECT_EQ(what.run.counts().retries, 1u);
  EXPECT_THAT(what.run.failures(), SizeIs(1));
}

TEST_F(Failures, BecomeAMapErrorThatKeepsTheReport) {
  shard::buffer<int> out(100);
  try {
    shard::map({.workers = 1, .grain = 10}, out, [](std::size_t i) {
      if (i == 55) throw std::runtime_error("half way");
      return 1;
    });
    FAIL() << "nothing was thrown";
  } catch (const shard::map_error& e) {
    EXPECT_TRUE(mentions(e.what(), {"cannot complete the map: found 59 of 100 indices done",
                                    "index 55 (chunk 5)", "std::runtime_error: half way"}));
    EXPECT_THAT(e.result().completed(),
                testing::ElementsAre(shard::range{0, 55}, shard::range{56, 60}));
  }
  EXPECT_EQ(std::accumulate(out.begin(), out.begin() + 50, 0), 50);
}

TEST_F(Failures, EndTheRunUnlessToldToKeepGoing) {
  for (const shard::executor where :
       {shard::executor::processes, shard::executor::threads, shard::executor::serial}) {
    shard::buffer<int> out(1000);
    const auto fail_early = [](std::size_t i) {
      if (i == 5) throw std::runtime_error("early");
      return 1;
    };
    const shard::report ended =
        shard::try_map({.workers = 1, .grain = 1, .run_on = where}, out, fail_early);
    ASSERT_THAT(ended.completed(), SizeIs(1));
    EXPECT_EQ(ended.completed()[0], (shard::range{0, 5}));
    const shard::report went_on = shard::try_map(
        {.workers = 1, .grain = 1, .keep_going = true, .run_on = where}, out, fail_early);
    EXPECT_THAT(went_on.completed(),
                testing::ElementsAre(shard::range{0, 5}, shard::range{6, 1000}));
  }
}

// ---- Deaths ----

struct death {
  const char* name;
  deed how;
  const char* kind;
  const char* what;
  int signal;
  int exit_status;
};

void kill_with(int signal) { raise(signal); }

int overflow_the_stack(int depth) {
  volatile char frame[1024];
  frame[0] = static_cast<char>(depth);
  return depth > 0 ? overflow_the_stack(depth + 1) + frame[0] : 0;
}

// Not through a null pointer, which UndefinedBehaviorSanitizer has an opinion of its own about.
void write_to_nothing() {
  auto* const page = static_cast<volatile char*>(
      mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  page[0] = 1;
}

[[noreturn]] void throw_too_far() { throw std::runtime_error("too far"); }
void throw_out_of_noexcept() noexcept { throw_too_far(); }

const std::vector<death>& deaths() {
  static const std::vector<death> all{
      {"exit 0", [] { std::exit(0); }, "exit", "exit(0) was called", 0, 0},
      {"exit 3", [] { std::exit(3); }, "exit", "exit(3) was called", 0, 3},
      {"_exit 4", [] { _exit(4); }, "exit", "_exit(4) was called", 0, 4},
      {"quick_exit 5", [] { std::quick_exit(5); }, "exit", "exit(5) was called", 0, 5},
      {"abort", [] { std::abort(); }, "signal", "signal 6 (SIGABRT)", SIGABRT, 0},
      {"segmentation fault", write_to_nothing, "signal", "signal 11 (SIGSEGV) at address 0x",
       SIGSEGV, 0},
      {"stack overflow", [] { overflow_the_stack(1); }, "signal", "signal 11 (SIGSEGV)", SIGSEGV,
       0},
      {"division by zero", [] { kill_with(SIGFPE); }, "signal", "signal 8 (SIGFPE)", SIGFPE, 0},
      {"illegal instruction", [] { __builtin_trap(); }, "signal", "signal 4 (SIGILL)", SIGILL, 0},
      {"termination", [] { kill_with(SIGTERM); }, "signal", "signal 15 (SIGTERM)", SIGTERM, 0},
      {"user signal", [] { kill_with(SIGUSR1); }, "signal", "signal 10 (SIGUSR1)", SIGUSR1, 0},
      {"terminate", throw_out_of_noexcept, "signal", "signal 6 (SIGABRT)", SIGABRT, 0},
      {"kill", [] { kill_with(SIGKILL); }, "killed", "signal 9 (SIGKILL)", SIGKILL, 0},
  };
  return all;
}

TEST_F(Failures, ReportEveryWayToDieAndKeepTheRest) {
  for (const death& one : deaths()) {
    SCOPED_TRACE(one.name);
    const outcome what =
        suffer({.workers = 2, .retries = 1, .retries_kill = 0, .keep_going = true}, one.how);
    // In its chunk, and twice alone.
    ASSERT_THAT(what.run.failures(), SizeIs(3)) << what.run;
    for (const shard::failure& found : what.run.failures()) {
      EXPECT_EQ(found.kind, one.kind);
      EXPECT_THAT(found.what, HasSubstr(one.what));
      EXPECT_EQ(found.signal, one.signal);
      EXPECT_EQ(found.exit_status, one.exit_status);
      EXPECT_EQ(found.chunk, 2u);
      EXPECT_TRUE(found.indices.contains(victim));
    }
    EXPECT_EQ(what.run.counts().deaths, what.run.failures().size());
    all_but_the_victim(what);
  }
}

TEST_F(Failures, OfOneDeathCostOneRetry) {
  for (const death& one : deaths()) {
    SCOPED_TRACE(one.name);
    const tally tries;
    const outcome what = suffer({.workers = 2}, [&] {
      if (tries[0]++ == 0) one.how();
    });
    everything(what);
    EXPECT_EQ(what.run.counts().retries, 1u);
    EXPECT_EQ(what.run.counts().deaths, 1u);
    EXPECT_EQ(tries[0], 2);
  }
}

// With nobody else there to go on meanwhile.
TEST_F(Failures, OfTheOnlyWorkerCostOneRetryOfItsChunk) {
  for (const death& one : deaths()) {
    SCOPED_TRACE(one.name);
    const tally calls;
    const outcome what = suffer({.workers = 1}, [&] {
      if (calls[0]++ == 0) one.how();
    });
    everything(what);
    EXPECT_THAT(what.run.failures(), SizeIs(1));
    EXPECT_EQ(what.run.counts().retries, 1u);
    EXPECT_EQ(what.run.counts().deaths, 1u);
    EXPECT_EQ(calls[0], 2);
  }
}

TEST_F(Failures, UseTheirBudgetsExactly) {
  for (const unsigned retries : {0u, 2u, 5u}) {
    const tally tries;
    const outcome crashed = suffer({.workers = 2, .retries = retries, .keep_going = true}, [&] {
      ++tries[0];
      std::abort();
    });
    // It takes one more to find out which of five indices it was.
    EXPECT_EQ(tries[0], static_cast<int>(retries) + 2);
    all_but_the_victim(crashed);
    const outcome killed =
        suffer({.workers = 2, .retries = 2, .retries_kill = retries, .keep_going = true}, [&] {
          ++tries[1];
          raise(SIGKILL);
        });
    // From then on each is a crash.
    EXPECT_EQ(tries[1], static_cast<int>(retries) + 2 + 2);
    all_but_the_victim(killed);
  }
}

TEST_F(Failures, HaveADefaultBudgetOfOneRetryForACrash) {
  const outcome what = suffer({.keep_going = true}, [] { std::abort(); });
  EXPECT_THAT(what.run.failures(), SizeIs(3)) << "in its chunk, and twice alone";
  EXPECT_EQ(what.run.counts().retries, 2u);
}

TEST_F(Failures, KeepSeparateBudgetsForThrowingAndDying) {
  const tally tries;
  const outcome what =
      suffer({.workers = 1, .retries = 2, .retries_error = 2, .retries_kill = 1}, [&] {
        switch (tries[0]++) {
          case 0: throw std::runtime_error("first");
          case 1: std::abort();
          case 2: raise(SIGKILL); break;
          case 3: throw std::runtime_error("fourth");
          case 4: std::exit(0);
          default: break;
        }
      });
  everything(what);
  EXPECT_EQ(what.run.counts().retries, 5u);
  EXPECT_EQ(what.run.counts().deaths, 3u);
}

TEST_F(Failures, OfThreeChunksOutOfAHundredAreRetriedOnceEach) {
  const tally tries;
  shard::buffer<int> out(100);
  const shard::report run = shard::map({.workers = 2, .grain = 1}, out, [&](std::size_t i) {
    if ((i == 7 || i == 40 || i == 93) && tries[i]++ == 0) raise(SIGKILL);
    return static_cast<int>(i);
  });
  EXPECT_EQ(run.counts().retries, 3u);
  EXPECT_EQ(run.counts().deaths, 3u);
  EXPECT_THAT(run.failures(), SizeIs(3));
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(out[i], static_cast<int>(i));
  agree(run);
}

TEST_F(Failures, KeepTheirPlace) {
  shard::buffer<int> out(100);
  const shard::report run =
      shard::try_map({.workers = 2, .grain = 1, .retries = 1, .keep_going = true}, 100,
                     shard::out(out), [](std::size_t i, shard::slice<int> to) {
                       if (i == 13) std::abort();
                       to[i] = static_cast<int>(i) + 1;
                     });
  EXPECT_THAT(run.completed(), testing::ElementsAre(shard::range{0, 13}, shard::range{14, 100}));
  ASSERT_THAT(run.failures(), SizeIs(2));
  EXPECT_EQ(run.failures()[1].indices, (shard::range{13, 14}));
  EXPECT_EQ(run.failures()[1].attempt, 2u);
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(out[i], i == 13 ? 0 : static_cast<int>(i) + 1);
  agree(run);
}

// Chunks that are claimed in batches, and many that fail.
TEST_F(Failures, OfManyChunksAreNamedOneByOne) {
  constexpr std::size_t chunks = 2000;
  shard::buffer<int> out(chunks);
  shard::counter count;
  const shard::report run = shard::try_map(
      {.workers = 3, .grain = 1, .retries = 0, .keep_going = true}, chunks, shard::out(out),
      shard::reduce(count), [](std::size_t i, shard::slice<int> to, auto& hits) {
        ++hits;
        if (i % 100 == 99) std::abort();
        if (i % 100 == 49) throw std::runtime_error("odd");
        to[i] = 1;
      });
  ASSERT_THAT(run.failures(), SizeIs(40));
  for (std::size_t k = 0; k < 40; ++k) EXPECT_EQ(run.failures()[k].chunk, 49 + 50 * k);
  EXPECT_EQ(count.value(), static_cast<std::int64_t>(chunks - 40));
  EXPECT_EQ(std::accumulate(out.begin(), out.end(), 0), static_cast<int>(chunks - 40));
  EXPECT_EQ(run.counts().deaths, 20u);
  agree(run);
}

TEST_F(Failures, OfEveryChunkLeaveNothingDone) {
  shard::ordered_sum<double> total;
  const shard::report run = shard::try_map({.workers = 2, .grain = 1, .keep_going = true}, 50,
                                           shard::reduce(total), [](std::size_t, auto& sum) {
                                             sum += 1.0;
                                             throw std::runtime_error("never");
                                           });
  EXPECT_THAT(run.completed(), IsEmpty());
  EXPECT_THAT(run.failures(), SizeIs(50));
  EXPECT_EQ(total.value(), 0.0);
  agree(run);
}

// ---- Misbehaviour that is no failure ----

TEST_F(Failures, NeitherLoseNorDoubleWhatIsPrinted) {
  printed output;
  printf("before\n");
  shard::for_each({.workers = 3, .grain = 1}, 50, [](std::size_t i) { printf("kernel %zu\n", i); });
  printf("after\n");
  std::multiset<std::string> expected{"before", "after"};
  for (int i = 0; i < 50; ++i) expected.insert("kernel " + std::to_string(i));
  EXPECT_EQ(output.lines(), expected);
}

TEST_F(Failures, ByExitDoNotLoseWhatWasPrinted) {
  printed output;
  const tally tries;
  shard::for_each({.workers = 1, .grain = 1}, 5, [&](std::size_t i) {
    printf("kernel %zu\n", i);
    if (i == 2 && tries[0]++ == 0) std::exit(1);
  });
  EXPECT_EQ(output.lines(), (std::multiset<std::string>{"kernel 0", "kernel 1", "kernel 2",
                                                        "kernel 2", "kernel 3", "kernel 4"}));
}

TEST_F(Failures, ByExitDoNotRunTheHandlersOfTheCaller) {
  const tally handled;
  EXPECT_TRUE(shard_test::holds_in_a_child([&] {
    static const tally* seen = nullptr;
    seen = &handled;
    std::atexit([] { ++(*seen)[0]; });
    const outcome what =
        suffer({.workers = 2, .retries = 0, .keep_going = true}, [] { std::exit(0); });
    return !what.run.complete();
  }));
  EXPECT_EQ(handled[0], 0);
}

struct misdeed {
  const char* name;
  deed how;
};

void sleep_for_ever() {
  for (;;) pause();
}

void daemonise() {
  if (fork() != 0) return;
  setsid();
  if (fork() != 0) _exit(0);
  setsid();
  sleep_for_ever();
}

const std::vector<misdeed>& misdeeds() {
  static const std::vector<misdeed> all{
      {"leaves a child",
       [] {
         if (fork() == 0) sleep_for_ever();
       }},
      {"leaves a daemon", daemonise},
      {"leaves a zombie",
       [] {
         if (fork() == 0) _exit(0);
       }},
      {"leaves a child that exits by exit()",
       [] {
         if (fork() == 0) std::exit(7);
       }},
      {"leaves a child that crashes",
       [] {
         if (fork() == 0) std::abort();
       }},
      {"leaves a child that ignores every signal",
       [] {
         if (fork() != 0) return;
         sigset_t every;
         sigfillset(&every);
         sigprocmask(SIG_SETMASK, &every, nullptr);
         sleep_for_ever();
       }},
      {"calls a program",
       [] {
         if (system("exit 3") != 3 << 8) std::abort();
       }},
      {"leaves a program",
       [] {
         if (system("sleep 1000 &") != 0) std::abort();
       }},
      {"waits for a child of its own",
       [] {
         const pid_t child = fork();
         if (child == 0) _exit(9);
         int status = 0;
         if (waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 9) std::abort();
       }},
      {"starts and joins threads",
       [] {
         std::vector<std::thread> threads;
         for (int k = 0; k < 4; ++k) threads.emplace_back([] {});
         for (std::thread& one : threads) one.join();
       }},
      {"leaves a thread", [] { std::thread(sleep_for_ever).detach(); }},
      {"closes all descriptors", [] { close_range(3, ~0u, 0); }},
      {"closes its standard streams", [] { close_range(0, 2, 0); }},
      {"leaves its folder",
       [] {
         if (chdir("/") != 0) std::abort();
       }},
      {"ignores SIGTERM",
       [] {
         signal(SIGTERM, SIG_IGN);
         raise(SIGTERM);
       }},
      {"waits for any child",
       [] {
         while (waitpid(-1, nullptr, 0) > 0) {
         }
       }},
      {"ignores SIGCHLD", [] { signal(SIGCHLD, SIG_IGN); }},
      {"leaves the process group",
       [] {
         setsid();
         setpgid(0, 0);
       }},
      {"blocks every signal",
       [] {
         sigset_t every;
         sigfillset(&every);
         sigprocmask(SIG_SETMASK, &every, nullptr);
       }},
  };
  return all;
}

TEST_F(Failures, AreNotMadeByKernelsThatOnlyMisbehave) {
  for (const misdeed& one : misdeeds()) {
    SCOPED_TRACE(one.name);
    const outcome what = suffer({.workers = 2}, one.how);
    everything(what);
    EXPECT_THAT(what.run.failures(), IsEmpty()) << what.run;
    EXPECT_THAT(relatives().living(), IsEmpty());
  }
}

// The run could have no more processes for its dead.
TEST_F(Failures, AreNotMadeByChildrenWhoseParentsHaveEnded) {
  constexpr std::size_t children = 100;
  const tally pids;
  shard::buffer<int> out(children + 1);
  shard::map({.workers = 2, .grain = 1}, out, [&](std::size_t i) {
    if (i < children) {
      const pid_t parent = fork();
      if (parent == 0) {
        const pid_t orphan = fork();
        if (orphan != 0) pids[i] = orphan;
        _exit(0);
      }
      waitpid(parent, nullptr, 0);
      return 1;
    }
    const auto gone = [&](std::size_t k) {
      return pids[k] != 0 && kill(pids[k], 0) != 0 && errno == ESRCH;
    };
    return shard_test::eventually([&] {
      for (std::size_t k = 0; k < children; ++k) {
        if (!gone(k)) return false;
      }
      return true;
    })
               ? 1
               : 0;
  });
  EXPECT_EQ(out[children], 1);
}

TEST_F(Failures, AfterMisbehaviourAreStillReportedAndRetried) {
  for (const misdeed& one : misdeeds()) {
    SCOPED_TRACE(one.name);
    const tally tries;
    const outcome what = suffer({.workers = 2}, [&] {
      one.how();
      if (tries[0]++ == 0) _exit(4);
    });
    everything(what);
    ASSERT_THAT(what.run.failures(), SizeIs(1));
    EXPECT_THAT(what.run.failures()[0].what, HasSubstr("_exit(4) was called"));
    EXPECT_THAT(relatives().living(), IsEmpty());
  }
}

// A copy of a worker must not do the worker's work a second time, or claim in its name.
TEST_F(Failures, AreNotMadeByAChildThatReturnsFromTheKernel) {
  shard::counter count;
  const tally calls;
  const shard::report run = shard::map({.workers = 2, .grain = 1}, 200, shard::reduce(count),
                                       [&](std::size_t i, auto& hits) {
                                         ++hits;
                                         ++calls[i];
                                         if (i % 20 == 5) static_cast<void>(fork());
                                       });
  EXPECT_EQ(count.value(), 200);
  EXPECT_THAT(run.failures(), IsEmpty()) << run;
  for (std::size_t i = 0; i < 200; ++i) EXPECT_EQ(calls[i], 1);
}

TEST_F(Failures, OfAKernelThatWritesBesideItsChunkAreCaughtByTheChecks) {
  if (!shard::detail::checked) GTEST_SKIP() << "slices are not checked in this build";
  const outcome what = suffer({.workers = 2, .keep_going = true}, [] {});
  everything(what);
  shard::buffer<int> out(20);
  const shard::report run =
      shard::try_map({.workers = 2, .grain = 5}, 20, shard::out(out),
                     [](std::size_t i, shard::slice<int> to) { to[19 - i] = 1; });
  ASSERT_FALSE(run.failures().empty());
  EXPECT_THAT(run.failures()[0].what, HasSubstr("shard::error: cannot"));
}

}  // namespace
