// Quarantine: what fails in a chunk is found to the index, within a bounded number of attempts, and
// nothing else is lost. And what changes in place is changed once, or not at all.

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "board/recovery.hpp"
#include "ledger.hpp"

namespace {

using shard::board::failure_kind;
using shard::board::policy;
using shard::board::standing;
using shard::board::verdict;
using shard_test::errand;
using shard_test::ledger;

using set = std::set<std::size_t>;

policy forgiving(unsigned errors = 0, bool by_index = false) {
  return {.allowed = {.errors = errors, .by_index = by_index}, .keep_going = true, .park = false};
}
constexpr bool by_index = true;

// ---- Kernels by index: a walk ----

TEST(Walk, GivesUpWhatThrowsAtOnce) {
  const ledger on(
      {.chunks = 1, .policy = forgiving(2, by_index), .indices = 100, .poison = {0, 1, 63, 99}});
  EXPECT_EQ(on.work_on(0), 0u);
  EXPECT_EQ(on.fault_at_end(), "");
  EXPECT_EQ(on.all_given_up(), (set{0, 1, 63, 99}));
  EXPECT_NE(on.board().controls() & shard::board::loses, 0u);
  EXPECT_EQ(on.verdict_on(0).errors, 3u) << "as a whole";
  EXPECT_EQ(on.verdict_on(0).failed_probes, 4u) << "once for each index";
}

TEST(Walk, CostsTwoDeathsForEachIndexThatKillsAndOneForItsChunk) {
  const set deadly{3, 4, 50, 99, 101, 150};
  const ledger on(
      {.chunks = 2, .policy = forgiving(0, by_index), .indices = 100, .deadly = deadly});
  EXPECT_EQ(on.work_on(0), 2 * deadly.size() + 2);
  EXPECT_EQ(on.fault_at_end(), "");
  EXPECT_EQ(on.all_given_up(), deadly);
}

TEST(Walk, CountsDeathsOfAnIndexAsItsBudgetSays) {
  for (const unsigned retries : {0u, 1u, 2u, 5u}) {
    for (const std::size_t indices : {1u, 10u}) {
      policy how = forgiving(0, by_index);
      how.allowed.crashes = retries;
      const ledger on({.chunks = 1, .policy = how, .indices = indices, .deadly = {indices - 1}});
      // It takes one more to find out which of several indices it was.
      EXPECT_EQ(on.work_on(0), retries + (indices == 1 ? 1 : 2));
      EXPECT_EQ(on.all_given_up(), set{indices - 1});
      EXPECT_EQ(on.fault_at_end(), "");
    }
  }
}

// Before them come those within the budget, which are forgiven.
TEST(Walk, TakesKillsBeyondTheirBudgetForCrashes) {
  for (const unsigned budget : {0u, 1u, 3u}) {
    for (const std::size_t indices : {1u, 10u}) {
      policy how = forgiving(0, by_index);
      how.allowed.kills = budget;
      const ledger on({.chunks = 3,
                       .policy = how,
                       .indices = indices,
                       .deadly = {2 * indices - 1},
                       .death = failure_kind::killed});
      EXPECT_EQ(on.work_on(0), budget + (indices == 1 ? 2 : 3));
      EXPECT_EQ(on.fault_at_end(), "");
      EXPECT_EQ(on.all_given_up(), set{2 * indices - 1});
      EXPECT_EQ(on.verdict_on(1).kills, budget);
    }
  }
}

TEST(Walk, LosesNoIndexToKillsWithinTheirBudget) {
  const ledger on({.chunks = 1,
                   .policy = forgiving(0, by_index),
                   .indices = 10,
                   .poison = {0},
                   .accidents = {{5, 4}},
                   .death = failure_kind::killed});
  EXPECT_EQ(on.work_on(0), 4u);
  EXPECT_EQ(on.fault_at_end(), "");
  EXPECT_EQ(on.all_given_up(), set{0});
  EXPECT_EQ(on.verdict_on(0).kills, 4u);
}

TEST(Walk, LosesNoIndexToAnAccidentInEach) {
  const ledger on({.chunks = 1,
                   .policy = forgiving(0, by_index),
                   .indices = 5,
                   .accidents = {{0, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 1}}});
  EXPECT_EQ(on.work_on(0), 5u);
  EXPECT_EQ(on.fault_at_end(), "");
  EXPECT_EQ(on.all_given_up(), set{});
}

TEST(Walk, LosesNoIndexToOneAccident) {
  for (std::size_t at = 0; at < 10; ++at) {
    const ledger on(
        {.chunks = 1, .policy = forgiving(0, by_index), .indices = 10, .accidents = {{at, 1}}});
    EXPECT_EQ(on.work_on(0), 1u);
    EXPECT_EQ(on.fault_at_end(), "");
    EXPECT_EQ(on.all_given_up(), set{});
  }
}

TEST(Walk, SaysWhichIndexFailed) {
  const ledger on(
      {.chunks = 1, .policy = forgiving(0, by_index), .indices = 8, .poison = {2}, .deadly = {5}});
  on.work_on(0);
  const auto failures = on.board().failures();
  const std::pair<std::uint64_t, std::uint64_t> expected[] = {{0, 0}, {2, 3}, {5, 6}, {5, 6}};
  ASSERT_EQ(failures.size(), std::size(expected));
  for (std::size_t k = 0; k < failures.size(); ++k) {
    EXPECT_EQ(failures[k].facts.first, expected[k].first) << k;
    EXPECT_EQ(failures[k].facts.last, expected[k].second) << k;
    EXPECT_EQ(failures[k].facts.attempt, k + 1);
  }
}

TEST(Walk, EndsWithTheRunThatHasLostTooMuch) {
  set all;
  for (std::size_t i = 0; i < 100; ++i) all.insert(i);
  policy how = forgiving(0, by_index);
  how.allowed.max_failures = 7;
  const ledger on({.chunks = 3, .policy = how, .indices = 30, .poison = all});
  on.work_on(0);
  EXPECT_EQ(on.fault(), "");
  EXPECT_EQ(on.all_given_up().size(), 8u);
  EXPECT_NE(on.board().controls() & shard::board::exhausted, 0u);
}

// ---- Kernels by range: a search ----

TEST(Quarantine, FindsTheOneIndexThatFails) {
  for (std::size_t poison = 0; poison < 100; ++poison) {
    const ledger on({.chunks = 1, .policy = forgiving(2), .indices = 100, .poison = {poison}});
    on.work(0);
    ASSERT_EQ(on.fault_at_end(), "");
    ASSERT_EQ(on.all_given_up(), set{poison});
    // 50, 25, 12, 6, 3, 1; and what is widened too early has to be halved again.
    ASSERT_LE(on.verdict_on(0).failed_probes, 12u) << poison;
    ASSERT_EQ(on.verdict_on(0).errors, 3u);
  }
}

TEST(Quarantine, OfOneIndexCondemnsItWithoutAnotherAttempt) {
  const ledger on({.chunks = 3, .policy = forgiving(1), .indices = 1, .poison = {1}});
  on.work(0);
  EXPECT_EQ(on.fault_at_end(), "");
  EXPECT_EQ(on.all_given_up(), set{1});
  EXPECT_EQ(on.verdict_on(1).attempts(), 2u);
}

TEST(Quarantine, SaysWhichIndicesFailedAtEachAttempt) {
  const ledger on({.chunks = 1, .policy = forgiving(), .indices = 8, .poison = {2}});
  on.work(0);
  const auto failures = on.board().failures();
  const std::pair<std::uint64_t, std::uint64_t> expected[] = {
      {0, 0}, {0, 4}, {2, 6}, {2, 4}, {2, 3}};
  ASSERT_EQ(failures.size(), std::size(expected));
  for (std::size_t k = 0; k < failures.size(); ++k) {
    EXPECT_EQ(failures[k].facts.first, expected[k].first) << k;
    EXPECT_EQ(failures[k].facts.last, expected[k].second) << k;
    EXPECT_EQ(failures[k].facts.attempt, k + 1);
  }
}

TEST(Quarantine, KeepsTheFewThatSucceedAmongManyThatFail) {
  for (const bool walks : {false, true}) {
    set all;
    for (std::size_t i = 0; i < 2000; ++i) all.insert(i);
    for (const std::size_t i : {100u, 900u, 1001u, 1999u}) all.erase(i);
    const ledger on({.chunks = 2, .policy = forgiving(0, walks), .indices = 1000, .poison = all});
    on.work(0);
    EXPECT_EQ(on.fault_at_end(), "");
    EXPECT_EQ(on.all_given_up(), all);
    EXPECT_EQ(on.board().given_up(), all.size());
  }
}

// A range is what the kernel is called for: once for the whole chunk, or once for what is left of
// it between two indices that fail.
TEST(Quarantine, RunsInTheEndTheLargestRangesThatDoNotFail) {
  for (const set& poison : {set{}, set{0}, set{5, 6}, set{0, 7, 15}}) {
    for (const unsigned accidents : {0u, 1u, 3u, 9u}) {
      const ledger on({.chunks = 1,
                       .policy = forgiving(),
                       .indices = 16,
                       .poison = poison,
                       .accidents = {{4, accidents}, {9, accidents}}});
      on.work_on(0);
      ASSERT_EQ(on.fault_at_end(), "");
      std::vector<std::uint64_t> expected;
      for (std::size_t i = 0; i < 16; ++i) {
        if (!on.given_up(i) && (i == 0 || on.given_up(i - 1))) expected.push_back(i);
      }
      EXPECT_EQ(on.cuts(), expected) << accidents << " accidents";
      if (accidents <= 1 || (accidents == 3 && poison.empty())) {
        EXPECT_EQ(on.all_given_up(), poison);
      }
    }
  }
}

TEST(Quarantine, CutsWhatFailsOnlyTogetherAndLosesNothing) {
  for (const std::size_t longest : {1u, 2u, 3u, 5u, 8u, 15u}) {
    const ledger undisturbed(
        {.chunks = 2, .policy = forgiving(), .indices = 16, .poison = {6}, .longest = longest});
    undisturbed.work(0);
    EXPECT_EQ(undisturbed.fault_at_end(), "");
    EXPECT_EQ(undisturbed.all_given_up(), set{6});
    const ledger disturbed({.chunks = 2,
                            .policy = forgiving(),
                            .indices = 16,
                            .poison = {6},
                            .accidents = {{3, 2}, {11, 1}, {20, 2}},
                            .longest = longest});
    disturbed.work_on(0);
    EXPECT_EQ(disturbed.fault_at_end(), "");
    EXPECT_EQ(disturbed.cuts(), undisturbed.cuts());
  }
}

// Calls: the chunk; a search that finds nothing; then an outage, until the first index has failed
// alone so often that it is given up, and once more.
TEST(Quarantine, HoldsWhatCostOneIndexAgainstNoOther) {
  unsigned call = 0;
  const ledger on({.chunks = 1, .policy = forgiving(), .indices = 8, .outage = [&call] {
                     ++call;
                     return call == 1 || (call >= 4 && call < 4 + 12 + 1);
                   }});
  EXPECT_EQ(on.work_on(0), 0u);
  EXPECT_EQ(on.fault_at_end(), "");
  EXPECT_EQ(on.all_given_up(), set{0});
}

TEST(Quarantine, ThatLosesNothingStopsNoRun) {
  const ledger on({.chunks = 10,
                   .policy = {.allowed = {}, .keep_going = false, .park = true},
                   .throws = {0, 0, 1},
                   .indices = 16});
  on.work(0);
  EXPECT_EQ(on.fault_at_end(), "");
  EXPECT_EQ(on.board().controls(), std::uint32_t{shard::board::done}) << "and not stopped";
  EXPECT_EQ(on.verdict_on(2).errors, 1u);
}

TEST(Quarantine, IsFinishedWhenTheRunStops) {
  std::size_t last = 0;
  const ledger on({.chunks = 10,
                   .policy = {.allowed = {}, .keep_going = false, .park = true},
                   .on_chunk = [&](std::size_t chunk) { last = std::max(last, chunk); },
                   .indices = 16,
                   .poison = {37}});
  on.work(0);
  EXPECT_EQ(on.fault(), "");
  EXPECT_EQ(on.board().controls(), std::uint32_t{shard::board::stopping} | shard::board::loses);
  EXPECT_EQ(last, 2u);
  EXPECT_EQ(on.board().settled(), 3u);
  EXPECT_TRUE(on.given_up(37));
  EXPECT_FALSE(on.given_up(36));
  EXPECT_FALSE(on.given_up(38));
}

// The owner dies in the middle of the next piece, as `kind` says.
void die(const ledger& on, failure_kind kind) {
  shard::board::slot& at = on.board().at(0);
  {
    ledger::worker gone(on, 0);
    gone->resume();
    if (on.board().at(0).length.load() == 0) gone->claim();
  }
  at.running.store(on.board().covered(0) + 1);
  EXPECT_TRUE(shard::board::judge(on.board(), 0, {kind, 11, 0, "dead"}, on.what().policy.allowed));
}

TEST(Quarantine, IsNotNarrowedByAKillFromOutside) {
  const ledger on({.chunks = 1, .policy = forgiving(), .indices = 8, .poison = {7}});
  for (int crash = 0; crash < 2; ++crash) die(on, failure_kind::signal);
  ASSERT_EQ(on.verdict_on(0).state, standing::quarantined);
  // Up to the first probe.
  {
    ledger::worker walks(on, 0);
    walks->resume();
    on.board().raise(shard::board::stopping);
  }
  for (int kill = 0; kill < 50; ++kill) die(on, failure_kind::killed);
  on.work(0);
  EXPECT_EQ(on.fault_at_end(), "");
  EXPECT_EQ(on.all_given_up(), set{7});
  EXPECT_EQ(on.verdict_on(0).kills, 50u);
}

// Kills that find no kernel at fault are accidents, once the budget is used up.
TEST(Quarantine, FindsTheIndexThatKillsItsWorker) {
  for (std::size_t at = 0; at < 16; ++at) {
    for (const unsigned budget : {0u, 2u}) {
      policy how = forgiving();
      how.allowed.kills = budget;
      const ledger on({.chunks = 1,
                       .policy = how,
                       .indices = 16,
                       .deadly = {at},
                       .accidents = {{(at + 5) % 16, 1}},
                       .death = failure_kind::killed,
                       .in_place = true});
      on.work_on(0);
      ASSERT_EQ(on.fault_at_end(), "");
      ASSERT_EQ(on.all_given_up(), set{at});
      ASSERT_EQ(on.verdict_on(0).kills, budget);
    }
  }
}

// Any chunks, any poison, any number of owners that vanish between any two steps: exactly the
// poison is given up, the ordered partials are those of what is left, and cells have changed once.
RC_GTEST_PROP(Quarantine, LosesNothingButThePoison, ()) {
  const std::size_t chunks = *rc::gen::inRange<std::size_t>(1, 6);
  const std::size_t indices = *rc::gen::inRange<std::size_t>(1, 20);
  set poison, deadly;
  for (const std::size_t i : *rc::gen::container<std::vector<std::size_t>>(
           rc::gen::inRange<std::size_t>(0, chunks * indices))) {
    (*rc::gen::arbitrary<bool>() ? poison : deadly).insert(i);
  }
  for (const std::size_t i : deadly) poison.erase(i);
  policy how = forgiving(*rc::gen::inRange(0u, 2u), *rc::gen::arbitrary<bool>());
  how.allowed.kills = *rc::gen::inRange(0u, 4u);
  const ledger on({.chunks = chunks,
                   .slots = *rc::gen::inRange(1u, 3u),
                   .accumulates = *rc::gen::arbitrary<bool>(),
                   .policy = how,
                   .indices = indices,
                   .poison = poison,
                   .deadly = deadly,
                   .death = *rc::gen::element(failure_kind::signal, failure_kind::killed),
                   .in_place = *rc::gen::arbitrary<bool>(),
                   .undo_chunks = *rc::gen::inRange<std::size_t>(1, 4)});
  for (const bool claims : *rc::gen::container<std::vector<bool>>(rc::gen::arbitrary<bool>())) {
    const unsigned slot = *rc::gen::inRange(0u, on.what().slots);
    const auto some_steps = [&](shard::board::owner& gone) {
      gone.resume();
      if (claims) gone.claim();
      gone.run();
    };
    if (!on.work(slot, some_steps)) on.mourn(slot);
    RC_ASSERT(on.fault() == "");
  }
  for (unsigned slot = 0; slot < on.what().slots; ++slot) on.work_on(slot);
  RC_ASSERT(on.fault_at_end() == "");
  poison.insert(deadly.begin(), deadly.end());
  RC_ASSERT(on.all_given_up() == poison);
}

// No search: each of its pieces would take too long.
TEST(Condemnation, LosesTheWholeChunkAndNoOther) {
  const ledger on({.chunks = 3,
                   .policy = forgiving(),
                   .indices = 8,
                   .deadly = {11},
                   .death = failure_kind::timeout});
  EXPECT_EQ(on.work_on(0), 2u);
  EXPECT_EQ(on.fault(), "");
  EXPECT_EQ(on.board().settled(), 3u);
  EXPECT_EQ(on.verdict_on(1).state, standing::condemned);
  EXPECT_EQ(on.all_given_up(), (set{8, 9, 10, 11, 12, 13, 14, 15}));
}

// ---- In place ----

TEST(InPlace, ChangesEveryCellOnceWithAnyRoomForOldValues) {
  for (const std::size_t room : {1u, 2u, 3u, 100u}) {
    const ledger on({.chunks = 50, .indices = 3, .in_place = true, .undo_chunks = room});
    on.work(0);
    EXPECT_EQ(on.fault_at_end(), "") << room;
  }
}

// The old values of a chunk take a page; whatever lies behind the last one is changed by a second.
TEST(InPlace, KeepsNoMoreOldValuesThanThereIsRoomFor) {
  const ledger on({.chunks = 6, .indices = 512, .in_place = true});
  on.work(0);
  EXPECT_EQ(on.fault_at_end(), "");
  EXPECT_EQ(on.all_given_up(), set{});
}

TEST(InPlace, BringsBackWhatWasNotCommitted) {
  const ledger on({.chunks = 6, .indices = 3, .in_place = true, .undo_chunks = 10});
  const std::string before(reinterpret_cast<const char*>(on.outputs().data() + 2 * on.indices()),
                           on.indices() * 8);
  {
    ledger::worker gone(on, 0);
    gone->resume();
    gone->claim();
    gone->run();  // nothing is published
  }
  EXPECT_EQ(on.board().covered(0), 0u);
  shard::board::restore(on.board(), 0, on.task_of(0).in_place);
  shard::board::restore(on.board(), 0, on.task_of(0).in_place);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(on.outputs().data() + 2 * on.indices()),
                        on.indices() * 8),
            before);
  on.work(0);
  EXPECT_EQ(on.fault_at_end(), "");
}

// ---- How long chunks take ----

TEST(MedianTime, IsKnownToAnEighth) {
  using std::chrono::nanoseconds;
  const ledger on({.chunks = 1});
  EXPECT_FALSE(on.board().median_time());
  for (const std::int64_t ns : {9L, 100L, 12'345L, 987'654'321L, 3'600'000'000'000L}) {
    const ledger one({.chunks = 1});
    for (int k = 0; k < 5; ++k) one.board().note_time(nanoseconds(ns));
    const auto found = one.board().median_time();
    ASSERT_TRUE(found);
    EXPECT_LE(found->count(), ns);
    EXPECT_GT(found->count() * 9 / 8 + 1, ns);
  }
  for (const std::int64_t ns : {1L, 1000L, 1000L, 1000L, 1'000'000'000L}) {
    on.board().note_time(nanoseconds(ns));
  }
  EXPECT_LE(on.board().median_time()->count(), 1000);
  EXPECT_GT(on.board().median_time()->count(), 800);
}

}  // namespace
