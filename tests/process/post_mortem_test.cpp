// What the report says of each failure: every fact, the stack, the last lines of stderr; and how it
// prints.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "os/symbols.hpp"
#include "process/leftovers.hpp"
#include "process/printed.hpp"
#include "shard/shard.hpp"

namespace {

using shard_test::eventually;
using shard_test::printed;
using shard_test::stopped_supervisor;
using shard_test::tally;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

using PostMortem = shard_test::leaves_nothing;

constexpr std::size_t victim = 13;  // of 40 indices, each a chunk

shard::report try_each(const shard::options& how, std::size_t indices,
                       const std::function<void(std::size_t)>& kernel) {
  shard::counter done;
  return shard::try_map(how, indices, shard::reduce(done), [&](std::size_t i, auto& count) {
    kernel(i);
    ++count;
  });
}

// One failure at the victim, told. What some of them print goes elsewhere meanwhile.
shard::failure autopsy(const std::function<void()>& fail) {
  const printed elsewhere(STDERR_FILENO);
  const printed nor_here(STDOUT_FILENO);
  const shard::report run =
      try_each({.workers = 2, .grain = 1, .retries = 0, .retries_kill = 0, .keep_going = true}, 40,
               [&](std::size_t i) {
                 if (i == victim) fail();
               });
  EXPECT_EQ(run.failures().size(), 1u) << run;
  return run.failures().empty() ? shard::failure{} : run.failures()[0];
}

void burn_cpu() {
  const clock_t end = clock() + CLOCKS_PER_SEC / 20;
  while (clock() < end) {
  }
}

// ---- Facts ----

constexpr std::size_t touched = std::size_t{96} << 20;

void suffer_visibly(const tally& seen) {
  seen[0] = getpid();
  burn_cpu();
  std::vector<char> memory(touched, 1);
  seen[1] = memory[touched / 2];
}

void every_fact(const shard::failure& one, const tally& seen) {
  EXPECT_EQ(one.chunk, victim);
  EXPECT_EQ(one.indices, (shard::range{victim, victim + 1}));
  EXPECT_EQ(one.attempt, 1u);
  EXPECT_LT(one.worker, 2u);
  EXPECT_EQ(one.pid, seen[0]);
  EXPECT_GE(one.elapsed.count(), 0.045);
  EXPECT_GE((one.user_time + one.system_time).count(), 0.045);
  EXPECT_GE(one.max_rss_bytes, touched);
}

TEST_F(PostMortem, OfAnException) {
  const tally seen;
  const shard::failure one = autopsy([&] {
    suffer_visibly(seen);
    try {
      throw std::out_of_range("no such row");
    } catch (...) {
      std::throw_with_nested(std::runtime_error("cannot score: row 7"));
    }
  });
  every_fact(one, seen);
  EXPECT_EQ(one.kind, "exception");
  EXPECT_THAT(one.exception, HasSubstr("std::runtime_error"));
  EXPECT_THAT(one.what, StartsWith(one.exception + ": cannot score: row 7, because "));
  EXPECT_THAT(one.what, EndsWith("std::out_of_range: no such row"));
  EXPECT_THAT(one.stack, IsEmpty());
}

TEST_F(PostMortem, OfAnExceptionWithoutText) {
  EXPECT_EQ(autopsy([] { throw 7; }).exception, "int");
}

TEST_F(PostMortem, OfASignal) {
  const tally seen;
  const shard::failure one = autopsy([&] {
    suffer_visibly(seen);
    std::abort();
  });
  every_fact(one, seen);
  EXPECT_EQ(one.kind, "signal");
  EXPECT_EQ(one.signal, SIGABRT);
  EXPECT_EQ(one.exception, "");
  EXPECT_THAT(one.stack, Not(IsEmpty()));
}

TEST_F(PostMortem, OfASignalThatNoHandlerGetsToSee) {
  const tally seen;
  const shard::failure one = autopsy([&] {
    suffer_visibly(seen);
    raise(SIGTERM);
  });
  every_fact(one, seen);
  EXPECT_EQ(one.kind, "signal");
  EXPECT_EQ(one.signal, SIGTERM);
  EXPECT_THAT(one.stack, IsEmpty());
}

TEST_F(PostMortem, OfAnExit) {
  for (const bool orderly : {true, false}) {
    const tally seen;
    const shard::failure one = autopsy([&] {
      suffer_visibly(seen);
      orderly ? std::exit(3) : _exit(3);
    });
    every_fact(one, seen);
    EXPECT_EQ(one.kind, "exit");
    EXPECT_EQ(one.signal, 0);
    EXPECT_EQ(one.exit_status, 3);
    EXPECT_THAT(one.stack, IsEmpty());
  }
}

TEST_F(PostMortem, OfAKill) {
  const tally seen;
  const shard::failure one = autopsy([&] {
    suffer_visibly(seen);
    raise(SIGKILL);
  });
  every_fact(one, seen);
  EXPECT_EQ(one.kind, "killed");
  EXPECT_EQ(one.signal, SIGKILL);
  EXPECT_THAT(one.stack, IsEmpty());
}

TEST_F(PostMortem, OfAnExceptionInTheCallersOwnProcess) {
  for (const shard::executor where : {shard::executor::threads, shard::executor::serial}) {
    const shard::report run =
        try_each({.workers = 2, .keep_going = true, .run_on = where}, 10, [](std::size_t i) {
          if (i == 5) throw std::runtime_error("here");
        });
    ASSERT_THAT(run.failures(), SizeIs(1));
    EXPECT_EQ(run.failures()[0].pid, getpid());
    EXPECT_EQ(run.failures()[0].stderr_tail, "");
    EXPECT_GT(run.failures()[0].max_rss_bytes, 0u);
  }
}

TEST_F(PostMortem, OfEachAttemptBeginsAnew) {
  const tally tries;
  shard::buffer<int> out(1);
  const printed elsewhere(STDERR_FILENO);
  const shard::report run = shard::map({.workers = 1, .retries = 2}, out, [&](std::size_t) {
    const int attempt = ++tries[0];
    fprintf(stderr, "attempt %d\n", attempt);
    if (attempt <= 2) burn_cpu();
    if (attempt == 1) std::abort();
    if (attempt == 2) _exit(1);
    return 1;
  });
  ASSERT_THAT(run.failures(), SizeIs(2));
  EXPECT_EQ(run.failures()[0].stderr_tail, "attempt 1\n");
  EXPECT_EQ(run.failures()[1].stderr_tail, "attempt 2\n");
  EXPECT_NE(run.failures()[0].pid, run.failures()[1].pid);
  EXPECT_THAT(run.failures()[1].stack, IsEmpty());
}

// ---- Stacks ----

// Not inlined into each other, nor with calls that end them: a call that is a function's last is a
// jump, and leaves no frame.
#define FRAME __attribute__((noinline, noclone))
#if defined(__clang__)
#undef FRAME
#define FRAME __attribute__((noinline))
#endif

volatile int zero = 0;
volatile int kept = 0;

FRAME void in_the_depth() {
  raise(SIGSEGV);
  kept = 1;
}
FRAME void on_the_way_down() {
  in_the_depth();
  kept = 2;
}
FRAME __attribute__((no_sanitize("undefined"))) void divide() { kept = 1000 / zero; }
FRAME int overflow(int depth) {
  volatile char frame[1024];
  frame[0] = static_cast<char>(depth);
  return depth > 0 ? overflow(depth + 1) + frame[0] : 0;
}
FRAME int pong(int depth);
FRAME int ping(int depth) {
  volatile char frame[1024];
  frame[0] = static_cast<char>(depth);
  return depth > 0 ? pong(depth + 1) + frame[0] : 0;
}
FRAME int pong(int depth) {
  volatile char frame[512];
  frame[0] = static_cast<char>(depth);
  return depth > 0 ? ping(depth + 1) + frame[0] : 0;
}
FRAME __attribute__((no_sanitize("undefined"))) void call_nothing() {
  void (*volatile nothing)() = nullptr;
  nothing();
  kept = 3;
}
FRAME void call_wild_memory() {
  auto* const wild = reinterpret_cast<void (*)()>(reinterpret_cast<std::uintptr_t>(&kept));
  wild();
  kept = 4;
}

// The frames from the first one that names the function on.
std::vector<std::string> from(const std::vector<std::string>& stack, const std::string& function) {
  for (auto frame = stack.begin(); frame != stack.end(); ++frame) {
    if (frame->find(function) != std::string::npos) return {frame, stack.end()};
  }
  return {};
}

std::string joined(const std::vector<std::string>& stack) {
  return std::accumulate(stack.begin(), stack.end(), std::string(),
                         [](std::string all, const std::string& one) { return all + "\n" + one; });
}

TEST_F(PostMortem, NamesTheFunctionsFromTheFaultToTheKernel) {
  if (!shard::os::symbols_are_known) GTEST_SKIP() << "built without libbacktrace";
  const shard::failure one = autopsy([] { on_the_way_down(); });
  const std::vector<std::string> stack = from(one.stack, "in_the_depth");
  ASSERT_GE(stack.size(), 3u) << joined(one.stack);
  EXPECT_THAT(stack[0], HasSubstr("post_mortem_test.cpp:"));
  EXPECT_THAT(stack[1], HasSubstr("on_the_way_down"));
  // The handler's own frames, and the run's below the kernel, are the same in every stack.
  EXPECT_THAT(joined(one.stack), Not(HasSubstr("walk_stack")));
  EXPECT_THAT(joined(one.stack), Not(HasSubstr("chunk_runner")));
  EXPECT_THAT(joined(one.stack), Not(HasSubstr("supervisor")));
  EXPECT_THAT(one.stack.back(), HasSubstr("post_mortem_test.cpp:"));
}

TEST_F(PostMortem, NamesWhoDividedByZero) {
#if !defined(__x86_64__)
  GTEST_SKIP() << "division by zero is no fault on this machine";
#endif
  if (!shard::os::symbols_are_known) GTEST_SKIP() << "built without libbacktrace";
  const shard::failure one = autopsy(divide);
  EXPECT_EQ(one.signal, SIGFPE);
  ASSERT_THAT(one.stack, Not(IsEmpty()));
  EXPECT_THAT(one.stack[0], HasSubstr("divide"));
}

shard::report a_report_of(const shard::failure& one) {
  return {{{{0, victim}, {victim + 1, 40}}, {{victim, victim + 1}}, {}}, {one}, {}, {}};
}

std::size_t frames_left_out(const std::vector<std::string>& stack) {
  std::size_t sum = 0;
  for (const std::string& line : stack) {
    if (line.starts_with('(') && line.ends_with(" left out)")) sum += std::stoul(line.substr(1));
  }
  return sum;
}

// Of 8000 frames and more, through one function or through several in turn.
TEST_F(PostMortem, NamesTheKernelHoweverDeepTheStackIs) {
  if (!shard::os::symbols_are_known) GTEST_SKIP() << "built without libbacktrace";
  for (const auto& fail : {+[] { overflow(1); }, +[] { kept = ping(1); }}) {
    const shard::failure one = autopsy(fail);
    EXPECT_EQ(one.signal, SIGSEGV);
    EXPECT_LT(one.stack.size(), 30u) << joined(one.stack);
    EXPECT_GT(frames_left_out(one.stack), 1000u) << joined(one.stack);
    EXPECT_THAT(joined(one.stack), HasSubstr(" times"));
    EXPECT_THAT(one.stack.front(), HasSubstr("post_mortem_test.cpp:"));
    EXPECT_THAT(one.stack.back(), HasSubstr("post_mortem_test.cpp:"));
    EXPECT_THAT(joined(one.stack), Not(HasSubstr("chunk_runner")));
    std::ostringstream text;
    text << a_report_of(one);
    EXPECT_THAT(text.str(), HasSubstr(one.stack.back().substr(0, 100)));  // lines are cut
  }
}

std::string beyond(rlim_t bytes) { return "beyond the " + std::to_string(bytes / 1024) + " KiB"; }

TEST_F(PostMortem, TellsAStackOverflowAndHowLargeTheStackIs) {
#if !defined(__x86_64__) && !defined(__aarch64__)
  GTEST_SKIP() << "the stack pointer is not known on this machine";
#endif
  rlimit limit{};
  getrlimit(RLIMIT_STACK, &limit);
  if (limit.rlim_cur == RLIM_INFINITY) GTEST_SKIP() << "stacks have no limit";
  const std::size_t too_large = limit.rlim_cur + (std::size_t{1} << 20);
  for (const std::function<void()>& fail :
       {std::function<void()>([] { overflow(1); }), std::function<void()>([=] {
          // All at once, from its lower end on.
          static_cast<volatile char*>(__builtin_alloca(too_large))[0] = 1;
        })}) {
    const shard::failure one = autopsy(fail);
    EXPECT_EQ(one.kind, "signal");
    EXPECT_EQ(one.signal, SIGSEGV);
    EXPECT_EQ(one.what, "signal 11 (SIGSEGV): stack overflow, " + beyond(limit.rlim_cur) +
                            " that ulimit -s allows");
  }
}

// There it is that thread's stack.
TEST_F(PostMortem, TellsAStackOverflowWhereAThreadMaps) {
#if !defined(__x86_64__) && !defined(__aarch64__)
  GTEST_SKIP() << "the stack pointer is not known on this machine";
#endif
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, std::size_t{1} << 20);
  pthread_t thread{};
  shard::report run;
  pthread_create(
      &thread, &small,
      [](void* to) -> void* {
        *static_cast<shard::report*>(to) =
            try_each({.workers = 1, .retries = 0, .keep_going = true, .allow_threads = true}, 1,
                     [](std::size_t) { overflow(1); });
        return nullptr;
      },
      &run);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&small);
  ASSERT_THAT(run.failures(), SizeIs(1));
  EXPECT_EQ(run.failures()[0].what, "signal 11 (SIGSEGV): stack overflow, " + beyond(1 << 20) +
                                        " that the stack of this thread has");
}

// The handler needs a stack of its own, which such a thread has not.
TEST_F(PostMortem, SaysWhatItCanOfAStackOverflowInAThreadThatTheKernelStarted) {
  if (shard_test::sanitized) GTEST_SKIP() << "sanitizers give threads such stacks";
  const shard::failure one = autopsy([] { std::thread([] { overflow(1); }).join(); });
  EXPECT_EQ(one.signal, SIGSEGV);
  EXPECT_THAT(one.what, HasSubstr("perhaps a stack overflow in a thread"));
}

TEST_F(PostMortem, NamesWhoCalledANullOrWildPointer) {
  if (!shard::os::symbols_are_known) GTEST_SKIP() << "built without libbacktrace";
#if !defined(__x86_64__) && !defined(__aarch64__)
  GTEST_SKIP() << "who called is not known on this machine";
#endif
  const shard::failure null = autopsy(call_nothing);
  ASSERT_GE(null.stack.size(), 2u);
  EXPECT_EQ(null.stack[0], "0x0");
  EXPECT_THAT(null.stack[1], HasSubstr("call_nothing"));
  const shard::failure wild = autopsy(call_wild_memory);
  ASSERT_GE(wild.stack.size(), 2u);
  EXPECT_THAT(wild.stack[1], HasSubstr("call_wild_memory"));
}

// What the processor calls an address there is 0, as if it had been a null pointer.
TEST_F(PostMortem, TellsAnAddressThatNoPointerCanHaveFromNull) {
#if !defined(__x86_64__)
  GTEST_SKIP() << "written for another machine";
#else
  if (shard_test::sanitized) GTEST_SKIP() << "sanitizers look at addresses before";
  const auto read = [](std::uintptr_t address) {
    return autopsy([=] {
      int found = 0;
      asm volatile("movl (%1), %0" : "=r"(found) : "r"(address));
    });
  };
  EXPECT_EQ(read(0xdead'beef'dead'beef).what,
            "signal 11 (SIGSEGV) at an address that no pointer can have");
  EXPECT_EQ(read(0).what, "signal 11 (SIGSEGV) at address 0x0");
#endif
}

TEST_F(PostMortem, NamesAFunctionInAThreadThatTheKernelStarted) {
  if (!shard::os::symbols_are_known) GTEST_SKIP() << "built without libbacktrace";
  const shard::failure one = autopsy([] { std::thread(on_the_way_down).join(); });
  EXPECT_EQ(one.signal, SIGSEGV);
  EXPECT_GE(from(one.stack, "in_the_depth").size(), 2u) << joined(one.stack);
}

TEST_F(PostMortem, HearsOneOfSeveralThreadsThatCrashAtOnce) {
  const shard::failure one = autopsy([] {
    std::atomic<int> ready = 0;
    std::vector<std::thread> threads;
    for (int k = 0; k < 4; ++k) {
      threads.emplace_back([&ready] {
        ++ready;
        while (ready != 4) std::this_thread::yield();
        std::abort();
      });
    }
    for (std::thread& each : threads) each.join();
  });
  EXPECT_EQ(one.signal, SIGABRT);
  EXPECT_THAT(one.what, HasSubstr("signal 6 (SIGABRT)"));
  EXPECT_THAT(one.stack, Not(IsEmpty()));
}

// The unwinder then faults itself: what was said before that is kept.
TEST_F(PostMortem, OfASpoiltStackKeepsTheSignalAndThePlace) {
#if !defined(__x86_64__)
  GTEST_SKIP() << "written for another machine";
#else
  const shard::failure one = autopsy([] { asm volatile("movq $16, %rsp\n\tud2"); });
  EXPECT_EQ(one.kind, "signal");
  EXPECT_EQ(one.signal, SIGILL);
  EXPECT_EQ(one.what, "signal 4 (SIGILL)");
  EXPECT_THAT(one.stack, Not(IsEmpty()));
#endif
}

TEST_F(PostMortem, OfManyFailuresNamesAllThatAReportPrints) {
  if (!shard::os::symbols_are_known) GTEST_SKIP() << "built without libbacktrace";
  const shard::report run = try_each({.workers = 2, .grain = 1, .retries = 0, .keep_going = true},
                                     120, [](std::size_t) { on_the_way_down(); });
  ASSERT_THAT(run.failures(), SizeIs(120));
  for (const shard::failure& one : run.failures()) EXPECT_THAT(one.stack, Not(IsEmpty()));
  const std::ptrdiff_t named = std::count_if(
      run.failures().begin(), run.failures().end(),
      [](const shard::failure& one) { return !from(one.stack, "in_the_depth").empty(); });
  EXPECT_GE(named, 20);
}

// ---- Buffers ----

TEST_F(PostMortem, NamesTheBufferAndTheElementThatAFileNoLongerHas) {
  const shard_test::folder here;
  const std::string path = here / "cut.npy";
  shard::save(path, shard::buffer<int>(100'000));
  const auto numbers = shard::open<int>(path);
  shard::sum<long> total;
  const shard::report run =
      shard::try_map({.workers = 1, .grain = 50'000, .retries = 0, .max_failures = 10},
                     numbers.size(), shard::in(numbers), shard::reduce(total),
                     [&](std::size_t i, shard::view<int> all, auto& sum) {
                       if (i == 70'000 && truncate(path.c_str(), 4096) != 0) _exit(1);
                       sum += all[i];
                     });
  ASSERT_THAT(run.failures(), Not(IsEmpty()));
  EXPECT_EQ(run.failures()[0].signal, SIGBUS);
  EXPECT_THAT(run.failures()[0].what, HasSubstr("cut.npy, at element 70000, which its file"));
}

// Mappings of buffers in memory that a core dump of this process would hold.
std::int64_t buffers_in_a_core_dump() {
  std::ifstream file("/proc/self/smaps");
  std::int64_t sum = 0;
  bool buffer = false;  // the mapping whose lines are being read is one of a buffer
  for (std::string line; std::getline(file, line);) {
    if (line.find("memfd:shard") != std::string::npos) buffer = true;
    if (!line.starts_with("VmFlags:")) continue;
    if (buffer && line.find(" dd") == std::string::npos) ++sum;
    buffer = false;
  }
  return sum;
}

// A worker has each of them mapped as it was inherited, and what it was granted once more.
TEST_F(PostMortem, LeavesBuffersOutOfCoreDumps) {
  shard::buffer<std::int64_t> captured(100);
  shard::buffer<std::int64_t> input(100);
  shard::buffer<std::int64_t> output(1);
  ASSERT_EQ(buffers_in_a_core_dump(), 3);
  shard::map(output, shard::in(input), [&](std::size_t i, shard::view<std::int64_t> granted) {
    return buffers_in_a_core_dump() + captured[i] + granted[i];
  });
  EXPECT_EQ(output[0], 0);
}

// A dump would take pages, and a file, for all that a spill may ever hold.
TEST_F(PostMortem, LeavesWhatIsCollectedOutOfCoreDumps) {
  for (const auto where : {shard::executor::serial, shard::executor::processes}) {
    shard::collect<std::int64_t> found;
    const std::int64_t before = buffers_in_a_core_dump();
    shard::map({.run_on = where}, 1, shard::reduce(found),
               [](std::size_t, auto& to) { to.push_back(buffers_in_a_core_dump()); });
    ASSERT_EQ(found.size(), 1u);
    EXPECT_LE(found.items()[0], before);
  }
}

// ---- The last lines of stderr ----

std::string tail_after(const std::function<void()>& print) {
  std::string tail;
  for (const bool throws : {false, true}) {
    const shard::failure one = autopsy([&] {
      print();
      if (throws) throw std::runtime_error("after that");
      std::abort();
    });
    if (throws) {
      EXPECT_EQ(one.stderr_tail, tail) << "a throw and a death differ";
    }
    tail = one.stderr_tail;
  }
  return tail;
}

TEST_F(PostMortem, HasTheLastLinesOfStderr) {
  EXPECT_EQ(tail_after([] {}), "");
  EXPECT_EQ(tail_after([] {
              std::cout << "this went to stdout\n" << std::flush;
              std::cerr << "one\ntwo\n";
            }),
            "one\ntwo\n");
}

TEST_F(PostMortem, HasALineThatWasNotFinished) {
  EXPECT_EQ(tail_after([] { std::cerr << "row 7\nscoring"; }), "row 7\nscoring");
}

TEST_F(PostMortem, KeepsBytesThatAreNoText) {
  const std::string odd("a\0b\xff\xfe\x80\r\n\0", 9);
  EXPECT_EQ(tail_after([&] { std::cerr << odd; }), odd);
}

TEST_F(PostMortem, BeginsAtALineWhereThereWasMore) {
  const std::string tail = tail_after([] {
    for (int k = 0; k < 10'000; ++k) std::cerr << "line " << k << "\n";
  });
  EXPECT_LE(tail.size(), 2048u);
  EXPECT_GT(tail.size(), 2000u);
  EXPECT_THAT(tail, StartsWith("line 9"));
  EXPECT_THAT(tail, EndsWith("\nline 9999\n"));
}

TEST_F(PostMortem, CutsALineThatIsTooLong) {
  const std::string tail =
      tail_after([] { std::cerr << "begin" << std::string(100'000, 'x') << "end"; });
  EXPECT_EQ(tail, std::string(2045, 'x') + "end");
}

TEST_F(PostMortem, HasTheLastLinesOfStderrHoweverLateTheyAreRead) {
  stopped_supervisor reader;
  const shard::failure one = autopsy([&] {
    if (!reader.stop()) return;
    std::cerr << "nobody reads this now\n";
    reader.let_go_on();
    throw std::runtime_error("after that");
  });
  EXPECT_EQ(one.stderr_tail, "nobody reads this now\n");
  EXPECT_TRUE(reader.went_on());
}

// A pipe that is never empty, since it has room for more than is read at once.
TEST_F(PostMortem, OfAnExceptionWhereAChildOfTheKernelPrintsForEver) {
  const shard::failure one = autopsy([] {
    fcntl(STDERR_FILENO, F_SETPIPE_SZ, 1 << 20);
    for (int k = 0; k < 2; ++k) {
      if (fork() != 0) continue;
      const std::string lines(64 * 1024, '\n');
      for (;;) static_cast<void>(write(STDERR_FILENO, lines.data(), lines.size()));
    }
    int unread = 0;
    const bool prints = eventually(
        [&] { return ioctl(STDERR_FILENO, FIONREAD, &unread) == 0 && unread >= 32 * 1024; });
    if (prints) throw std::runtime_error("while they print");
  });
  EXPECT_EQ(one.what, "std::runtime_error: while they print");
}

// What is open under the number of the worker's pipe then is nobody's business.
TEST_F(PostMortem, NeedsNoneOfTheDescriptorsThatAKernelCloses) {
  const shard::failure one = autopsy([] {
    int ends[2];
    for (int number = STDERR_FILENO + 1; number < 256; ++number) close(number);
    while (pipe(ends) == 0 && ends[1] < 256) static_cast<void>(write(ends[1], "not read", 8));
    throw std::runtime_error("after that");
  });
  EXPECT_EQ(one.kind, "exception");
}

// ---- Printed, and as JSON ----

shard::report a_run_that_fails_in_every_way() {
  const printed elsewhere(STDERR_FILENO);
  return try_each({.workers = 2, .grain = 1, .retries = 0, .keep_going = true}, 8,
                  [](std::size_t i) {
                    if (i < 5) fprintf(stderr, "index %zu \xff\n", i);
                    if (i == 1) throw std::runtime_error("in \"words\"\x80");
                    if (i == 2) on_the_way_down();
                    if (i == 3) std::exit(3);
                    if (i == 4) raise(SIGTERM);
                  });
}

TEST_F(PostMortem, PrintsAParagraphForEachFailure) {
  std::ostringstream text;
  text << a_run_that_fails_in_every_way();
  const std::string all = text.str();
  EXPECT_THAT(all, HasSubstr("\n  index 1 (chunk 1), attempt 1, worker "));
  EXPECT_THAT(all, HasSubstr("exception std::runtime_error: in \"words\""));
  EXPECT_THAT(all, HasSubstr("signal 11 (SIGSEGV)\n    in "));
  EXPECT_THAT(all, HasSubstr("\n    stderr: index 3"));
  if (!shard::os::symbols_are_known) return;
  // The program's own code first: raise() is the C library's.
  EXPECT_THAT(all, testing::ContainsRegex("SIGSEGV\\)\n    in [^\n]*in_the_depth[^\n]*\n"
                                          "    in [^\n]*on_the_way_down"));
}

// Frames of libraries stand further to the right, and many in a row are counted.
TEST_F(PostMortem, PrintsTheProgramsOwnFramesSoThatTheyStandOut) {
  shard::failure one{.chunk = victim, .indices = {victim, victim + 1}, .kind = "signal"};
  one.stack = {"raise in libc.so.6+0x1",
               "mine() at /home/a/mine.cpp:1",
               "std::a() at /usr/include/c++/12/a:1",
               "bool std::b<...>(int) in program+0x1",
               "std::c() at /usr/include/c++/12/a:3",
               "std::d() at /usr/include/c++/12/a:4",
               "(1000 frames are left out)",
               "std::e() at /usr/include/c++/12/a:5",
               "kernel(std::string) at /home/a/mine.cpp:2"};
  std::ostringstream text;
  text << a_report_of(one);
  EXPECT_THAT(text.str(), HasSubstr("\n    in mine() at /home/a/mine.cpp:1"
                                    "\n      in std::a() at /usr/include/c++/12/a:1"
                                    "\n      in bool std::b<...>(int) in program+0x1"
                                    "\n      and 2 frames more of libraries"
                                    "\n    (1000 frames are left out)"
                                    "\n      in std::e() at /usr/include/c++/12/a:5"
                                    "\n    in kernel(std::string) at /home/a/mine.cpp:2"));
  // Of many, those at both ends.
  one.stack.clear();
  for (int k = 0; k < 50; ++k) one.stack.push_back("f" + std::to_string(k) + "() at /mine.cpp:1");
  std::ostringstream many;
  many << a_report_of(one);
  EXPECT_THAT(many.str(), HasSubstr("in f6() at /mine.cpp:1\n    and 38 lines more\n    in f45()"));
  EXPECT_THAT(many.str(), HasSubstr("in f49() at"));
}

TEST_F(PostMortem, PrintsOneLineAndNoCommandsToATerminal) {
  const shard::report run = try_each({.workers = 1, .retries_error = 0}, 1, [](std::size_t) {
    throw std::runtime_error("a\rb\x1b[2J\nc\td");
  });
  std::ostringstream text;
  text << run;
  EXPECT_THAT(text.str(), HasSubstr("std::runtime_error: a.b.[2J c.d"));
}

TEST_F(PostMortem, IsTheSameInJson) {
  const shard::report run = a_run_that_fails_in_every_way();
  const std::string text = run.json();
  EXPECT_THAT(text, Not(HasSubstr("\n")));
  const nlohmann::json told = nlohmann::json::parse(text);
  EXPECT_EQ(told["complete"], run.complete());
  EXPECT_EQ(told["indices"], run.indices());
  EXPECT_EQ(told["elapsed"], run.elapsed().count());
  EXPECT_EQ(told["trouble"], run.trouble());
  EXPECT_EQ(told["counts"], (nlohmann::json{{"map", run.counts().map},
                                            {"chunks", run.counts().chunks},
                                            {"grain", run.counts().grain},
                                            {"carried_over", run.counts().carried_over},
                                            {"workers", run.counts().workers},
                                            {"retries", run.counts().retries},
                                            {"deaths", run.counts().deaths},
                                            {"replacements", run.counts().replacements},
                                            {"takeovers", run.counts().takeovers},
                                            {"failures_lost", run.counts().failures_lost},
                                            {"output_lost", run.counts().output_lost},
                                            {"forking", run.counts().forking.count()},
                                            {"forked_bytes", run.counts().forked_bytes},
                                            {"looking", run.counts().looking.count()},
                                            {"without", run.counts().without}}));
  ASSERT_EQ(told["completed"].size(), run.completed().size());
  for (std::size_t k = 0; k < run.completed().size(); ++k) {
    EXPECT_EQ(told["completed"][k],
              nlohmann::json({run.completed()[k].first, run.completed()[k].last}));
  }
  ASSERT_THAT(run.failures(), SizeIs(4));
  ASSERT_EQ(told["failures"].size(), run.failures().size());
  for (std::size_t k = 0; k < run.failures().size(); ++k) {
    const nlohmann::json& found = told["failures"][k];
    const shard::failure& one = run.failures()[k];
    EXPECT_EQ(found["chunk"], one.chunk);
    EXPECT_EQ(found["indices"], nlohmann::json({one.indices.first, one.indices.last}));
    EXPECT_EQ(found["stride"], one.stride);
    EXPECT_EQ(found["empty_part"], one.empty_part);
    EXPECT_EQ(found["kind"], one.kind);
    EXPECT_EQ(found["exception"], one.exception);
    EXPECT_EQ(found["signal"], one.signal);
    EXPECT_EQ(found["exit_status"], one.exit_status);
    EXPECT_EQ(found["attempt"], one.attempt);
    EXPECT_EQ(found["worker"], one.worker);
    EXPECT_EQ(found["pid"], one.pid);
    EXPECT_EQ(found["at"], one.at.count());
    EXPECT_EQ(found["elapsed"], one.elapsed.count());
    EXPECT_EQ(found["user_time"], one.user_time.count());
    EXPECT_EQ(found["system_time"], one.system_time.count());
    EXPECT_EQ(found["max_rss_bytes"], one.max_rss_bytes);
    EXPECT_EQ(found["stack"], nlohmann::json(one.stack));
    EXPECT_THAT(one.stderr_tail, EndsWith("index " + std::to_string(one.chunk) + " \xff\n"));
    EXPECT_THAT(found["stderr_tail"].get<std::string>(),
                EndsWith("index " + std::to_string(one.chunk) + " \xef\xbf\xbd\n"));
    EXPECT_EQ(found["from_outside"], one.from_outside);
    EXPECT_EQ(found.size(), 20u) << "a member is not compared here";
  }
  EXPECT_EQ(told["failures"][0]["what"], "std::runtime_error: in \"words\"\xef\xbf\xbd");
  EXPECT_EQ(told["failures"][1]["what"], run.failures()[1].what);
}

}  // namespace
