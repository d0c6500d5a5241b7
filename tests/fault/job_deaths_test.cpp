// Everything is killed at once, anywhere: at each store of a run to its live area, and at each
// system call of a map's beginning and end. The next start gives the same bytes, and runs only
// what was not committed.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <new>
#include <stdexcept>
#include <string>

#include "fault/dying.hpp"
#include "fault/stepping.hpp"
#include "process/family.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using shard_test::die_everywhere;
using shard_test::folder;
using shard_test::stepping;
using shard_test::tally;

constexpr std::size_t indices = 12;
constexpr std::size_t chunks = 6;

struct outcome {
  std::array<double, indices> out{};
  double sum = 0;
  double in_order = 0;
  std::size_t carried_over = 0;
  bool same_results(const outcome& as) const {
    return out == as.out && sum == as.sum && in_order == as.in_order;
  }
};

tally* seen = nullptr;  // how often each index has run; and, behind them:
enum : std::size_t { stores_left = 100, stores, fails };

void begin_to_step();

// In this process alone: what is killed is all there is.
outcome run(const std::filesystem::path& at, double checkpoint) {
  shard::job job(
      at,
      {.checkpoint = shard::seconds{checkpoint},
       .maps = {.grain = 2, .retries = 0, .keep_going = true, .run_on = shard::executor::serial}});
  auto out = job.create<double>("out.npy", indices);
  shard::sum<double> sum;
  shard::ordered_sum<double> in_order;
  const shard::report told = job.try_map(out, shard::reduce(sum), shard::reduce(in_order),
                                         [](std::size_t i, auto& all, auto& ordered) {
                                           if (i == 0) begin_to_step();
                                           ++(*seen)[i];
                                           if (i == 7 && (*seen)[fails] != 0)
                                             throw std::runtime_error("not yet");
                                           const double x = 1 / (static_cast<double>(i) + 0.1);
                                           all += x;
                                           ordered += x;
                                           return x;
                                         });
  outcome found;
  for (std::size_t i = 0; i < indices; ++i) found.out[i] = out[i];
  found.sum = sum.value();
  found.in_order = in_order.value();
  found.carried_over = told.counts().carried_over;
  if (!told.complete() && (*seen)[fails] == 0) throw std::runtime_error("it is not complete");
  return found;
}

// From now on, each store to the live area counts, and the last one that is left is followed by a
// kill.
void begin_to_step() {
  if ((*seen)[stores_left] == 0) return;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find(".live") == std::string::npos) continue;
    std::uintptr_t first = 0;
    std::uintptr_t last = 0;
    if (std::sscanf(line.c_str(), "%zx-%zx ", &first, &last) != 2) continue;
    static const std::function<void()> nothing = [] {};
    static const std::function<void()> look = [] {
      ++(*seen)[stores];
      if (--(*seen)[stores_left] == 0) raise(SIGKILL);
    };
    // Until this process ends.
    new stepping(reinterpret_cast<std::byte*>(first), last - first, nothing, look);
    return;
  }
}

class JobDeaths : public ::testing::Test {
 protected:
  void SetUp() override {
    seen = &seen_;
    expected_ = run(here_ / "undisturbed", 0);
  }
  void forget_runs() {
    for (std::size_t i = 0; i < indices; ++i) seen_[i] = 0;
  }
  int runs() const {
    int sum = 0;
    for (std::size_t i = 0; i < indices; ++i) sum += seen_[i];
    return sum;
  }
  // After a death: what is left to be run is run once, and all is as it should be.
  void expect_the_same(const std::filesystem::path& at, double checkpoint) {
    seen_[stores_left] = 0;
    seen_[fails] = 0;
    forget_runs();
    const outcome found = run(at, checkpoint);
    EXPECT_TRUE(found.same_results(expected_));
    EXPECT_EQ(runs(), static_cast<int>(2 * (chunks - found.carried_over)));
    carried_over_ += found.carried_over;
    EXPECT_TRUE(std::filesystem::exists(at / "out.npy"));
    EXPECT_FALSE(std::filesystem::exists(at / "out.npy.part"));
    forget_runs();
    EXPECT_TRUE(run(at, checkpoint).same_results(expected_));
    EXPECT_EQ(runs(), 0);
  }
  void kill_at_every_store(bool in_a_quarantine);

  folder here_;
  tally seen_;
  outcome expected_;
  std::size_t carried_over_ = 0;
};

// ---- A run ----

void JobDeaths::kill_at_every_store(bool in_a_quarantine) {
  if (!shard_test::can_step) GTEST_SKIP() << "this processor can't be stepped";
  int deaths = 0;
  for (int nth = 1;; ++nth) {
    SCOPED_TRACE("store " + std::to_string(nth));
    const std::filesystem::path at = here_ / std::to_string(nth);
    seen_[stores_left] = nth;
    seen_[fails] = in_a_quarantine ? 1 : 0;
    const pid_t child = fork();
    if (child == 0) {
      run(at, 0);
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    const bool died = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    ASSERT_TRUE(died || status == 0);
    expect_the_same(at, 0);
    std::filesystem::remove_all(at);
    if (!died) break;
    ++deaths;
    ASSERT_FALSE(HasFailure());
  }
  std::cout << "             " << deaths << " deaths, " << carried_over_
            << " chunks carried over\n";
  EXPECT_GT(deaths, 30);
  EXPECT_GT(carried_over_, 0U);
}

TEST_F(JobDeaths, AtEveryStoreOfARunLoseAndDoubleNothing) { kill_at_every_store(false); }

TEST_F(JobDeaths, AtEveryStoreOfAQuarantineLoseAndDoubleNothing) { kill_at_every_store(true); }

// ---- A beginning and an end ----

TEST_F(JobDeaths, AtEveryCallOfAMapLoseAndDoubleNothing) {
  const std::filesystem::path at = here_ / "job";
  die_everywhere([&] { run(at, 0); },
                 [&] {
                   expect_the_same(at, 0);
                   std::filesystem::remove_all(at);
                 });
}

TEST_F(JobDeaths, AtEveryCallOfAMapWithCheckpointsLoseAndDoubleNothing) {
  const std::filesystem::path at = here_ / "job";
  die_everywhere([&] { run(at, 1e-3); },
                 [&] {
                   expect_the_same(at, 1e-3);
                   std::filesystem::remove_all(at);
                 });
}

// Of a start that goes on, and finds a chunk that has failed.
TEST_F(JobDeaths, AtEveryCallOfTheNextStartLoseAndDoubleNothing) {
  const std::filesystem::path at = here_ / "job";
  const auto begin = [&] {
    std::filesystem::remove_all(at);
    seen_[fails] = 1;
    run(at, 0);
    seen_[fails] = 0;
  };
  begin();
  die_everywhere([&] { run(at, 0); },
                 [&] {
                   expect_the_same(at, 0);
                   begin();
                 });
}

}  // namespace
