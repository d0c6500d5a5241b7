// Workers that take too long, or too much memory.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include "process/leftovers.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using namespace std::chrono_literals;
using shard_test::mentions;
using shard_test::refusal;
using shard_test::tally;
using testing::HasSubstr;
using testing::SizeIs;

using Timeout = shard_test::leaves_nothing;
using MemoryLimit = shard_test::leaves_nothing;

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

TEST_F(Timeout, IsCheckedForSense) {
  shard::buffer<int> out(2);
  const auto map = [&](const shard::options& how) {
    return refusal([&] { shard::map(how, out, [](std::size_t) { return 1; }); });
  };
  EXPECT_TRUE(mentions(map({.timeout = -1s}), {"timeout", "-1", "0 to 1e9"}));
  EXPECT_TRUE(mentions(map({.timeout_factor = 1e300}), {"timeout_factor", "1e+300"}));
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
