// Workers that take too long, or too much memory.

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <oneapi/tbb/global_control.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <numeric>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "os/thread_stack.hpp"
#include "process/leftovers.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using namespace std::chrono_literals;
using shard_test::mentions;
using shard_test::refusal;
using shard_test::tally;
using testing::Each;
using testing::HasSubstr;
using testing::SizeIs;

using Timeout = shard_test::leaves_nothing;
using MemoryLimit = shard_test::leaves_nothing;
using Share = shard_test::leaves_nothing;

// A variable of the environment, while it lives.
class variable {
 public:
  variable(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  variable(const variable&) = delete;
  variable& operator=(const variable&) = delete;
  ~variable() { unsetenv(name_); }

 private:
  const char* name_;
};

[[noreturn]] void hang() {
  for (;;) pause();
}

TEST_F(Timeout, EndsAChunkThatTakesTooLong) {
  shard::buffer<int> out(20);
  const shard::report run =
      shard::try_map({.workers = 2, .grain = 1, .timeout = 50ms, .retries = 1, .keep_going = true},
                     out, [](std::size_t i) {
                       if (i == 13) hang();
                       return 1;
                     });
  EXPECT_THAT(run.completed(), testing::ElementsAre(shard::range{0, 13}, shard::range{14, 20}));
  ASSERT_THAT(run.failures(), SizeIs(2));
  for (const shard::failure& one : run.failures()) {
    EXPECT_EQ(one.kind, "timeout");
    EXPECT_THAT(one.what, HasSubstr("longer than the timeout of 0.05 s"));
    EXPECT_EQ(one.indices, (shard::range{13, 14}));
    EXPECT_EQ(one.signal, SIGKILL);
  }
  // And the next map.
  shard::map({.workers = 2, .timeout = 10s}, out, [](std::size_t) { return 2; });
  EXPECT_EQ(std::accumulate(out.begin(), out.end(), 0), 40);
}

TEST_F(Timeout, ForgivesAChunkThatIsSlowOnce) {
  const tally tries;
  shard::buffer<int> out(20);
  const shard::report run =
      shard::map({.workers = 2, .grain = 1, .timeout = 50ms}, out, [&](std::size_t i) {
        if (i == 13 && tries[0]++ == 0) hang();
        return 1;
      });
  EXPECT_EQ(run.counts().deaths, 1u);
  EXPECT_EQ(run.counts().retries, 1u);
}

TEST_F(Timeout, EndsAWorkerThatIsStopped) {
  const tally tries;
  shard::buffer<int> out(20);
  const shard::report run =
      shard::map({.workers = 2, .grain = 1, .timeout = 50ms}, out, [&](std::size_t i) {
        if (i == 13 && tries[0]++ == 0) raise(SIGSTOP);
        return 1;
      });
  EXPECT_EQ(run.counts().deaths, 1u);
  EXPECT_EQ(run.failures()[0].kind, "timeout");
}

TEST_F(Timeout, MayBeAMultipleOfTheMedian) {
  const tally tries;
  shard::buffer<int> out(20);
  const shard::report run =
      shard::map({.workers = 2, .grain = 1, .timeout_factor = 10.0}, out, [&](std::size_t i) {
        if (i == 13 && tries[0]++ == 0) hang();
        return 1;
      });
  EXPECT_EQ(run.counts().deaths, 1u);
  EXPECT_EQ(run.failures()[0].kind, "timeout");
}

// A run in which the first try of one index hangs: without a limit it never ends. Where the machine
// is slow, other indices may be ended, too, and are run again.
shard::report run_that_hangs_once(shard::options how) {
  const tally tries;
  shard::buffer<int> out(20);
  how.workers = 2;
  how.grain = 1;
  how.retries = 100;
  shard::report run = shard::map(how, out, [&](std::size_t i) {
    if (i == 13 && tries[0]++ == 0) hang();
    return 1;
  });
  EXPECT_GE(run.counts().deaths, 1u);
  for (const shard::failure& one : run.failures()) EXPECT_EQ(one.kind, "timeout");
  return run;
}

TEST_F(Timeout, OfTheEnvironmentEndsAChunkThatTakesTooLong) {
  const variable timeout("SHARD_TIMEOUT", "0.05");
  const shard::report run = run_that_hangs_once({});
  ASSERT_FALSE(run.failures().empty());
  EXPECT_THAT(run.failures()[0].what, HasSubstr("longer than the timeout of 0.05 s"));
}

TEST_F(Timeout, OfTheEnvironmentMayBeAMultipleOfTheMedian) {
  const variable factor("SHARD_TIMEOUT_FACTOR", "10");
  run_that_hangs_once({});
}

TEST_F(Timeout, OfTheCodeWinsOverTheEnvironment) {
  const variable timeout("SHARD_TIMEOUT", "1e9");
  run_that_hangs_once({.timeout = 50ms});
}

// One index takes longer than either limit of the environment.
TEST_F(Timeout, OfZeroInTheCodeIsNoneWhateverTheEnvironmentSays) {
  const variable timeout("SHARD_TIMEOUT", "0.001");
  const variable factor("SHARD_TIMEOUT_FACTOR", "1");
  shard::buffer<int> out(20);
  const shard::report run = shard::map(
      {.workers = 2, .grain = 1, .timeout = 0s, .timeout_factor = 0}, out, [](std::size_t i) {
        if (i == 13) usleep(1'500'000);
        return 1;
      });
  EXPECT_EQ(run.counts().deaths, 0u);
  EXPECT_THAT(run.failures(), testing::IsEmpty());
}

TEST_F(Timeout, IsCheckedForSense) {
  shard::buffer<int> out(2);
  const auto map = [&](const shard::options& how) {
    return refusal([&] { shard::map(how, out, [](std::size_t) { return 1; }); });
  };
  EXPECT_TRUE(mentions(map({.timeout = -1s}), {"timeout", "-1", "0 to 1e9"}));
  EXPECT_TRUE(mentions(map({.timeout_factor = 1e300}), {"timeout_factor", "1e+300"}));
}

// ---- Limits of the system's own ----

using SystemLimit = shard_test::leaves_nothing;

shard::report try_each(const shard::options& how, std::size_t indices,
                       const std::function<void(std::size_t)>& kernel) {
  shard::counter done;
  return shard::try_map(how, indices, shard::reduce(done), [&](std::size_t i, auto& count) {
    kernel(i);
    ++count;
  });
}

void limit_own(__rlimit_resource what, rlim_t soft, rlim_t hard) {
  const rlimit limit{soft, hard};
  if (setrlimit(what, &limit) != 0) std::abort();
}

// SIGKILL at the hard limit, SIGXCPU at the soft one. Neither is a kill from outside.
TEST_F(SystemLimit, OfProcessorTimeIsToldAsThatAndGoesOnTheBudgetOfCrashes) {
  const shard::report run =
      try_each({.workers = 2, .grain = 1, .retries = 0, .keep_going = true}, 2, [](std::size_t i) {
        limit_own(RLIMIT_CPU, 1, i == 0 ? 1 : RLIM_INFINITY);
        volatile int turns = 0;
        while (turns >= 0) turns = (turns + 1) % 1000;
      });
  ASSERT_THAT(run.failures(), SizeIs(2));
  for (const shard::failure& one : run.failures()) {
    EXPECT_EQ(one.kind, "signal");
    EXPECT_EQ(one.signal, one.indices.first == 0 ? SIGKILL : SIGXCPU);
    EXPECT_THAT(one.what, HasSubstr("by the system: the worker had used"));
    EXPECT_THAT(one.what, HasSubstr("a process may use 1 s (RLIMIT_CPU, ulimit -t)"));
  }
}

TEST_F(SystemLimit, OfProcessorTimeIsNotBlamedForAKillFromOutside) {
  const shard::report run =
      try_each({.workers = 1, .retries = 0, .retries_kill = 0}, 1, [](std::size_t) {
        limit_own(RLIMIT_CPU, 100, 100);
        raise(SIGKILL);
      });
  ASSERT_THAT(run.failures(), SizeIs(1));
  EXPECT_EQ(run.failures()[0].kind, "killed");
}

TEST_F(SystemLimit, OfFileSizesIsToldAsThat) {
  const shard_test::folder here;
  const shard::report run = try_each({.workers = 1, .retries = 0}, 1, [&](std::size_t) {
    std::ofstream file(here / "large");
    limit_own(RLIMIT_FSIZE, 100, 100);
    file << std::string(1000, 'x') << std::flush;
  });
  ASSERT_THAT(run.failures(), SizeIs(1));
  EXPECT_EQ(run.failures()[0].signal, SIGXFSZ);
  EXPECT_THAT(run.failures()[0].what, HasSubstr("RLIMIT_FSIZE, ulimit -f"));
}

// Three quarters of the calling thread's stack, which has so many bytes.
int use_stack(std::size_t of) {
  const std::size_t bytes = of / 4 * 3;
  auto* const frame = static_cast<volatile char*>(__builtin_alloca(bytes));
  for (std::size_t k = 0; k < bytes; k += 1024) frame[k] = 1;
  return frame[0];
}

TEST_F(SystemLimit, OfTheStackIsTheCallersInEveryExecutor) {
  using shard::executor;
  for (const executor where : {executor::serial, executor::processes, executor::threads}) {
    shard::buffer<int> out(4);
    const std::size_t stack = shard::os::own_stack_bytes();
    shard::map({.workers = 2, .grain = 1, .run_on = where}, out,
               [=](std::size_t) { return use_stack(stack); });
    EXPECT_EQ(std::accumulate(out.begin(), out.end(), 0), 4);
  }
  // A thread's that has more than the others.
  pthread_attr_t large;
  pthread_attr_init(&large);
  pthread_attr_setstacksize(&large, std::size_t{48} << 20);
  pthread_t thread{};
  int sum = 0;
  pthread_create(
      &thread, &large,
      [](void* to) -> void* {
        shard::buffer<int> out(4);
        const std::size_t stack = shard::os::own_stack_bytes();
        EXPECT_GE(stack, std::size_t{48} << 20);
        shard::map({.workers = 2, .grain = 1, .run_on = executor::threads}, out,
                   [=](std::size_t) { return use_stack(stack); });
        *static_cast<int*>(to) = std::accumulate(out.begin(), out.end(), 0);
        return nullptr;
      },
      &sum);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&large);
  EXPECT_EQ(sum, 4);
}

// ---- A share of the processors ----

constexpr const char* variables_of_libraries[]{"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                                               "MKL_NUM_THREADS", "BLIS_NUM_THREADS"};

// What parallel libraries are told here. 0: nothing, or not all the same.
unsigned told_to_libraries() {
  const std::size_t onetbb =
      tbb::global_control::active_value(tbb::global_control::max_allowed_parallelism);
  for (const char* const name : variables_of_libraries) {
    const char* const value = getenv(name);
    if (value == nullptr || value != std::to_string(onetbb)) return 0;
  }
  return static_cast<unsigned>(onetbb);
}

TEST_F(Share, IsToldToParallelLibrariesInEachWorker) {
  const variable before("OMP_NUM_THREADS", "7");
  shard::buffer<unsigned> told(8);
  const auto look = [](std::size_t) { return told_to_libraries(); };
  const shard::options how{.workers = 2, .threads_per_worker = 3, .grain = 1};
  shard::map(how, told, look);
  EXPECT_THAT(std::vector<unsigned>(told.begin(), told.end()), Each(3u));
  shard::pool pool(how);
  pool.map(told, look);
  EXPECT_THAT(std::vector<unsigned>(told.begin(), told.end()), Each(3u));
  // Nothing else is changed, here or in a worker that has none.
  EXPECT_STREQ(getenv("OMP_NUM_THREADS"), "7");
  EXPECT_EQ(getenv("MKL_NUM_THREADS"), nullptr);
  shard::map({.workers = 2, .grain = 1}, told, look);
  EXPECT_THAT(std::vector<unsigned>(told.begin(), told.end()), Each(0u));
}

// One that has read its variable when it was loaded.
TEST_F(Share, IsToldToALibraryThatTheProgramHasLoadedBefore) {
  void* const library = dlopen("libgomp.so.1", RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) GTEST_SKIP() << "needs libgomp";
  const auto most = reinterpret_cast<int (*)()>(dlsym(library, "omp_get_max_threads"));
  ASSERT_NE(most, nullptr);
  const int before = most();
  shard::buffer<int> told(4);
  shard::map({.workers = 2, .threads_per_worker = 3, .grain = 1}, told,
             [=](std::size_t) { return most(); });
  EXPECT_THAT(std::vector<int>(told.begin(), told.end()), Each(3));
  EXPECT_EQ(most(), before);
}

TEST_F(Share, IsHowManyThreadsAMapInAKernelHas) {
  shard::buffer<unsigned> found(4);
  const auto map = [](std::size_t) {
    // As many kernels as there are threads, each of which waits for the others.
    std::barrier together(3);
    shard::buffer<pid_t> threads(3);
    const shard::report run = shard::map({.grain = 1}, threads, [&](std::size_t) {
      together.arrive_and_wait();
      // One in that runs in its thread.
      shard::buffer<pid_t> inner(4);
      shard::map({.workers = 4}, inner, [](std::size_t) { return gettid(); });
      return std::ranges::count(inner, gettid()) == 4 && shard::default_workers() == 1 ? gettid()
                                                                                       : 0;
    });
    const std::set<pid_t> all(threads.begin(), threads.end());
    shard::buffer<int> many(64);
    const shard::report other =
        shard::map({.workers = 64, .grain = 1}, many, [](std::size_t) { return 1; });
    const bool few = run.counts().workers == 3 && other.counts().workers == 3;
    return all.size() == 3 && !all.contains(0) && few ? shard::default_workers() : 0;
  };
  const shard::options how{.workers = 2, .threads_per_worker = 3, .grain = 1};
  shard::map(how, found, map);
  EXPECT_THAT(std::vector<unsigned>(found.begin(), found.end()), Each(3u));
  shard::pool pool(how);
  pool.map(found, map);
  EXPECT_THAT(std::vector<unsigned>(found.begin(), found.end()), Each(3u));
}

// ---- Memory ----

void leak(std::size_t bytes) {
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  std::memset(memory, 1, bytes);
}

TEST_F(MemoryLimit, ReplacesAWorkerThatTakesTooMuchAndBlamesNobody) {
  // Looking at the memory of a sanitizer takes long, and so is done seldom.
  constexpr std::size_t chunks = shard_test::sanitized ? 300 : 60;
  shard::buffer<int> out(chunks);
  shard::counter count;
  const shard::report run =
      shard::map({.workers = 2, .grain = 1, .memory_limit_bytes = std::size_t{64} << 20}, out,
                 shard::reduce(count), [](std::size_t, auto& hits) {
                   leak(std::size_t{8} << 20);
                   ++hits;
                   usleep(5000);
                   return 1;
                 });
  EXPECT_EQ(count.value(), static_cast<std::int64_t>(chunks));
  EXPECT_GE(run.counts().replacements, 1u);
  EXPECT_EQ(run.counts().deaths, 0u);
  EXPECT_THAT(run.failures(), testing::IsEmpty());
  std::ostringstream text;
  text << run;
  EXPECT_THAT(text.str(), HasSubstr("replaced for taking too much memory"));
}

// Of the workers of a run that leaks 8 MiB in each chunk.
std::size_t replacements(std::size_t chunks, std::optional<std::size_t> limit_bytes) {
  shard::buffer<int> out(chunks);
  const shard::report run = shard::map(
      {.workers = 1, .grain = 1, .memory_limit_bytes = limit_bytes}, out, [](std::size_t) {
        leak(std::size_t{8} << 20);
        usleep(5000);
        return 1;
      });
  EXPECT_EQ(run.counts().deaths, 0u);
  return run.counts().replacements;
}

TEST_F(MemoryLimit, OfTheEnvironmentHoldsUnlessTheCodeSaysAnother) {
  const variable limit("SHARD_MEMORY_LIMIT_BYTES", "67108864");
  EXPECT_GE(replacements(shard_test::sanitized ? 300 : 60, std::nullopt), 1u);
  EXPECT_EQ(replacements(30, 0), 0u);
}

// However fast they leak, none begins a chunk with more than the limit.
TEST_F(MemoryLimit, IsExceededByWhatOneChunkTakesAtMost) {
  if (shard_test::sanitized) GTEST_SKIP() << "a sanitizer takes memory, too";
  constexpr std::size_t each = std::size_t{16} << 20;
  constexpr std::size_t limit = std::size_t{64} << 20;
  shard::buffer<int> had(60);  // chunks that this one's worker had leaked for
  const shard::report run =
      shard::map({.workers = 2, .grain = 1, .memory_limit_bytes = limit}, had, [](std::size_t) {
        static int chunks = 0;  // of this process
        leak(each);
        return chunks++;
      });
  EXPECT_GE(run.counts().replacements, 12u);
  EXPECT_THAT(had, testing::Each(testing::Lt(static_cast<int>(limit / each))));
}

// What overwrites inherited memory is new only to the worker. Looks at it are dear, and so seldom:
// the first worker goes on until it is replaced.
TEST_F(MemoryLimit, CountsWhatAWorkerOverwritesOfTheCallers) {
  constexpr std::size_t each = std::size_t{4} << 20;
  constexpr std::size_t blocks = 40;
  std::vector<char> callers(blocks * each, 'x');
  shard::buffer<int> out(2000);
  shard::buffer<int> first_worker(1);
  const shard::report run = shard::map(
      {.workers = 1, .grain = 1, .memory_limit_bytes = std::size_t{16} << 20}, out,
      shard::shared(first_worker), [&callers](std::size_t i, shard::shared_view<int> first) {
        int none = 0;
        first.compare_exchange(0, none, getpid());
        if (first.load(0) != getpid()) return 1;
        std::memset(callers.data() + i % blocks * each, 1, each);
        usleep(20'000);
        return 1;
      });
  EXPECT_GE(run.counts().replacements, 1u);
}

// Each does something before it leaves.
TEST_F(MemoryLimit, BelowWhatAWorkerBeginsWithCostsReplacementsAlone) {
  shard::buffer<int> out(30);
  shard::histogram large{shard::axis::regular(1 << 20, 0.0, 30.0)};
  const shard::report run = shard::map({.workers = 2, .grain = 1, .memory_limit_bytes = 1 << 20},
                                       out, shard::reduce(large), [](std::size_t i, auto& bins) {
                                         bins(static_cast<double>(i));
                                         return 1;
                                       });
  EXPECT_EQ(std::accumulate(out.begin(), out.end(), 0), 30);
  EXPECT_GE(run.counts().replacements, 1u);
  EXPECT_LE(run.counts().replacements, 30u);
}

TEST_F(MemoryLimit, DoesNotCountBuffersAndWhatTheCallerHas) {
  constexpr std::size_t size = std::size_t{32} << 20;
  const std::vector<char> callers(size, 'x');
  shard::buffer<char> out(size);
  const shard::report run = shard::map({.workers = 2, .memory_limit_bytes = std::size_t{16} << 20},
                                       out, [&](std::size_t i) { return callers[i]; });
  EXPECT_EQ(run.counts().replacements, 0u);
}

TEST_F(MemoryLimit, LetsTheKernelKillWorkersFirst) {
  shard::buffer<int> scores(4);
  const auto score = [] {
    std::ifstream file("/proc/self/oom_score_adj");
    int found = 0;
    file >> found;
    return found;
  };
  const int mine = score();
  shard::map({.workers = 2, .grain = 1}, scores, [&](std::size_t) { return score(); });
  for (const int each : scores) EXPECT_EQ(each, std::min(mine + 300, 1000));
  EXPECT_EQ(score(), mine);
}

}  // namespace
