#include "board/recovery.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "ledger.hpp"

namespace {

using shard::board::acquit;
using shard::board::failure_kind;
using shard::board::has_tail;
using shard::board::judge;
using shard::board::reclaim;
using shard_test::ledger;

bool none_alive(unsigned) { return false; }
bool all_alive(unsigned) { return true; }

// The board as an owner leaves it that dies between two of its stores, made by hand.
void die_in_kernel(const ledger& on, unsigned slot) {
  ledger::worker gone(on, slot);
  gone->resume();
  gone->claim();
  on.board().at(slot).running.store(on.board().at(slot).length.load());
}

void die_in_window(const ledger& on, unsigned slot, std::uint64_t taken) {
  on.board().at(slot).claims.fetch_add(1);
  on.board().cursor().fetch_add(taken);
}

std::vector<std::uint64_t> log_of(const ledger& on, unsigned slot) {
  std::vector<std::uint64_t> found;
  for (std::uint64_t k = 0; k < on.board().at(slot).length.load(); ++k) {
    found.push_back(on.board().log(slot)[k].load());
  }
  return found;
}

using ids = std::vector<std::uint64_t>;

TEST(Judge, BlamesTheChunkThatWasInProgress) {
  const ledger on({.chunks = 3, .slots = 2});
  on.board().cursor().store(1);
  die_in_kernel(on, 1);
  EXPECT_TRUE(judge(on.board(), 1, {failure_kind::signal, 11, 0, "signal 11 (SIGSEGV)"}, {}));
  EXPECT_EQ(on.verdict_on(1).crashes, 1u);
  EXPECT_FALSE(on.condemned(1));
  EXPECT_EQ(on.board().at(1).running.load(), 0u);
  EXPECT_EQ(on.board().at(1).deaths.load(), 1u);
  ASSERT_EQ(on.board().failures().size(), 1u);
  const auto& kept = on.board().failures()[0];
  EXPECT_EQ(kept.facts.chunk, 1u);
  EXPECT_EQ(kept.facts.attempt, 1u);
  EXPECT_EQ(kept.facts.worker, 1u);
  EXPECT_EQ(kept.facts.signal, 11);
  EXPECT_STREQ(kept.what, "signal 11 (SIGSEGV)");
}

TEST(Judge, BlamesNobodyForADeathOutsideOfAKernel) {
  const ledger on({.chunks = 3});
  ledger::worker gone(on, 0);
  gone->resume();
  gone->claim();
  gone->run();
  EXPECT_FALSE(judge(on.board(), 0, {failure_kind::killed, 9, 0, "killed"}, {}));
  EXPECT_EQ(on.verdict_on(0).attempts(), 0u);
  EXPECT_EQ(on.board().failures()[0].facts.chunk, shard::board::no_chunk);
  EXPECT_EQ(on.board().at(0).deaths.load(), 1u);
}

TEST(Judge, QuarantinesBeyondTheBudget) {
  const ledger on({.chunks = 3});
  die_in_kernel(on, 0);
  judge(on.board(), 0, {failure_kind::exit, 0, 3, "exit(3)"},
        {.errors = 0, .crashes = 0, .kills = 9});
  EXPECT_EQ(on.verdict_on(0).state, shard::board::standing::quarantined);
  EXPECT_EQ(on.board().controls(), 0u) << "nothing is lost yet";
  EXPECT_EQ(on.board().failures()[0].facts.exit_status, 3);
}

TEST(Judge, LeavesTheNextOwnerWithACleanSheet) {
  const ledger on({.chunks = 3});
  die_in_kernel(on, 0);
  EXPECT_TRUE(judge(on.board(), 0, {failure_kind::killed, 9, 0, ""}, {}));
  EXPECT_FALSE(judge(on.board(), 0, {failure_kind::killed, 9, 0, ""}, {}));
  EXPECT_EQ(on.verdict_on(0).kills, 1u);
}

TEST(Acquit, ForgetsWhatWasInProgress) {
  const ledger on({.chunks = 3});
  die_in_kernel(on, 0);
  acquit(on.board(), 0);
  EXPECT_FALSE(judge(on.board(), 0, {failure_kind::killed, 9, 0, ""}, {}));
  EXPECT_EQ(on.verdict_on(0).attempts(), 0u);
}

TEST(Reclaim, GivesTheSlotWhatItsOwnerHadClaimedButNotLogged) {
  const ledger on({.chunks = 10, .slots = 3});
  on.board().log(1)[0].store(1);
  on.board().at(1).length.store(1);
  on.board().log(2)[0].store(0);
  on.board().at(2).length.store(1);
  on.board().cursor().store(2);
  die_in_window(on, 1, 3);
  EXPECT_TRUE(reclaim(on.board(), 1, none_alive));
  EXPECT_EQ(log_of(on, 1), (ids{1, 2, 3, 4}));
  EXPECT_EQ(log_of(on, 2), (ids{0}));
  EXPECT_EQ(on.board().at(1).claims.load() % 2, 0u);
}

TEST(Reclaim, DoneTwiceIsDoneOnce) {
  const ledger on({.chunks = 10});
  die_in_window(on, 0, 3);
  EXPECT_TRUE(reclaim(on.board(), 0, none_alive));
  on.board().at(0).claims.fetch_sub(
      1);  // as a supervisor leaves it that dies before its last store
  EXPECT_TRUE(reclaim(on.board(), 0, none_alive));
  EXPECT_EQ(log_of(on, 0), (ids{0, 1, 2}));
}

TEST(Reclaim, OfTwoThatDiedInTheirWindowsGivesEachChunkToOne) {
  const ledger on({.chunks = 10, .slots = 2});
  die_in_window(on, 0, 2);
  die_in_window(on, 1, 2);
  EXPECT_TRUE(reclaim(on.board(), 1, none_alive));
  EXPECT_TRUE(reclaim(on.board(), 0, none_alive));
  EXPECT_EQ(log_of(on, 1), (ids{0, 1, 2, 3}));
  EXPECT_EQ(log_of(on, 0), ids{});
}

TEST(Reclaim, ChangesNothingWhileALiveOwnerIsInItsWindow) {
  const ledger on({.chunks = 10, .slots = 2});
  die_in_window(on, 0, 2);
  die_in_window(on, 1, 2);
  EXPECT_FALSE(reclaim(on.board(), 0, all_alive));
  EXPECT_EQ(log_of(on, 0), ids{});
  EXPECT_EQ(on.board().at(0).claims.load(), 1u);
}

// Slot 1 enters its window while the dead one of slot 2 is asked for: after it was seen outside.
TEST(Reclaim, LeavesWhatOthersClaimMeanwhile) {
  const ledger on({.chunks = 10, .slots = 3});
  die_in_window(on, 0, 2);
  die_in_window(on, 2, 2);
  const auto alive = [&](unsigned) {
    die_in_window(on, 1, 2);
    return false;
  };
  EXPECT_TRUE(reclaim(on.board(), 0, alive));
  EXPECT_EQ(log_of(on, 0), (ids{0, 1, 2, 3}));
}

TEST(Reclaim, OfASlotOutsideItsWindowDoesNotWaitForOthers) {
  const ledger on({.chunks = 10, .slots = 2});
  die_in_window(on, 1, 2);
  EXPECT_TRUE(reclaim(on.board(), 0, all_alive));
  EXPECT_EQ(log_of(on, 0), ids{});
}

TEST(Reclaim, OfAnOwnerThatTookMoreThanThereWasStopsAtTheLastChunk) {
  const ledger on({.chunks = 3});
  die_in_window(on, 0, 64);
  EXPECT_TRUE(reclaim(on.board(), 0, none_alive));
  EXPECT_EQ(log_of(on, 0), (ids{0, 1, 2}));
  on.work(0);
  EXPECT_EQ(on.fault_at_end(), "");
}

TEST(HasTail, IsTrueExactlyWhileSomethingLoggedIsNotCommitted) {
  const ledger on({.chunks = 2});
  EXPECT_FALSE(has_tail(on.board(), 0));
  ledger::worker worker(on, 0);
  worker->resume();
  worker->claim();
  EXPECT_TRUE(has_tail(on.board(), 0));
  worker->run();
  EXPECT_TRUE(has_tail(on.board(), 0));
  worker->publish();
  EXPECT_FALSE(has_tail(on.board(), 0));
}

}  // namespace
