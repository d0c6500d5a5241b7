#include "family/supervised_run.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <thread>

#include "asleep.hpp"
#include "family/relay.hpp"
#include "ledger.hpp"
#include "os/anonymous.hpp"

namespace {

using shard_test::errand;
using shard_test::ledger;
namespace family = shard::family;

// A run that is supervised, and has no processes.
class supervision {
 public:
  explicit supervision(errand what)
      : ledger_(std::move(what)),
        memory_(family::roster::size_bytes(ledger_.what().slots), shard::os::sharing::none),
        roster_(memory_.base(), ledger_.what().slots),
        all_{.board = ledger_.board(),
             .roster = roster_,
             .memory = {},
             .policy = ledger_.what().policy,
             .worker_limits = {},
             .grants = {},
             .enter = {}},
        relay_(roster_, false),
        staff_(roster_, relay_, {}),
        run_(all_, staff_, kills_) {}

  const ledger& on() const { return ledger_; }
  const shard::board::board& board() const { return ledger_.board(); }
  family::supervised_run* operator->() { return &run_; }

 private:
  ledger ledger_;
  shard::os::anonymous_memory memory_;
  family::roster roster_;
  family::crew all_;
  family::relay relay_;
  family::staff staff_;
  family::memory_kills kills_;
  family::supervised_run run_;
};

// As after a death between the last commit and the look at all others.
TEST(SupervisedRun, IsDoneWhenWhoCommittedTheLastChunkHasDied) {
  supervision run({.chunks = 1});
  run.on().work(0, [](auto& owner) {
    owner.claim();
    owner.run();
    owner.publish();
  });
  EXPECT_EQ(run.board().controls(), 0u);
  EXPECT_TRUE(run->mend(0));
  EXPECT_EQ(run.board().controls(), std::uint32_t{shard::board::done});
}

// As after a death between the store of the control word and the call that wakes.
TEST(SupervisedRun, WakesWhoParksWhenWhoEndedItHasDied) {
  for (const auto control : {shard::board::done, shard::board::stopping}) {
    supervision run({.chunks = 1, .slots = 2});
    std::atomic<pid_t> thread = 0;
    std::thread parked([&] {
      thread = gettid();
      run.board().wait_for_controls();
    });
    while (thread == 0) std::this_thread::yield();
    shard_test::wait_until_asleep(thread);
    constexpr std::size_t line_of_controls = 64;
    const auto word =
        reinterpret_cast<std::atomic<std::uint32_t>*>(run.on().memory().base() + line_of_controls);
    word->fetch_or(control);
    EXPECT_EQ(run.board().controls(), std::uint32_t{control}) << "the board has another layout";
    EXPECT_TRUE(run->mend(0));
    parked.join();
  }
}

TEST(SupervisedRun, ThatStopsHasWorkInAQuarantineOnly) {
  supervision run({.chunks = 4,
                   .slots = 2,
                   .policy = {.allowed = {.by_index = true}, .keep_going = true},
                   .indices = 4,
                   .deadly = {1}});
  EXPECT_FALSE(run.on().work(0));
  run.on().mourn(0);
  run.on().work(1, [](auto& owner) { owner.claim(); });
  EXPECT_TRUE(run->wants_worker(0));
  EXPECT_TRUE(run->wants_worker(1));
  run.board().raise(shard::board::stopping);
  EXPECT_TRUE(run->wants_worker(0));
  EXPECT_FALSE(run->wants_worker(1)) << "a chunk that was only claimed";
}

}  // namespace
