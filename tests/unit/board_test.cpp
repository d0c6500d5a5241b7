#include "board/board.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "board/owner.hpp"
#include "ledger.hpp"

namespace {

using shard::board::board;
using shard::board::budgets;
using shard::board::dimensions;
using shard::board::failure_kind;
using shard::board::policy;
using shard::board::standing;
using shard::board::verdict;
using shard_test::errand;
using shard_test::ledger;

std::vector<std::uint64_t> log_of(const ledger& on, unsigned slot) {
  std::vector<std::uint64_t> found;
  for (std::uint64_t k = 0; k < on.board().at(slot).length.load(); ++k) {
    found.push_back(on.board().log(slot)[k].load());
  }
  return found;
}

policy forgiving(unsigned errors) {
  return {.allowed = {.errors = errors}, .keep_going = true, .park = false};
}

// ---- Memory ----

TEST(Board, HasRoomForEveryPartAndNoneOverlap) {
  for (const dimensions& of :
       {dimensions{1, 1, 0, 0, 0}, dimensions{3, 2, 16, 24, 8}, dimensions{1000, 9, 8, 100, 0},
        dimensions{5, 64, 4096, 5000, 640}}) {
    const shard::os::anonymous_memory memory(board::size_bytes(of), shard::os::sharing::none);
    const board on(memory.base(), of);
    std::vector<std::span<const std::byte>> parts;
    const auto take = [&](const void* part, std::size_t bytes) {
      const auto first = static_cast<const std::byte*>(part);
      ASSERT_GE(first, memory.base());
      ASSERT_LE(first + bytes, memory.base() + memory.size_bytes());
      if (bytes != 0) parts.emplace_back(first, bytes);
    };
    take(&on.cursor(), 8);
    for (unsigned slot = 0; slot < of.slots; ++slot) {
      take(&on.at(slot), sizeof(shard::board::slot));
      take(on.log(slot), of.chunks * 8);
      take(on.undo(slot), of.undo_bytes);
      for (const unsigned which : {0u, 1u}) {
        take(on.area(slot, which), board::stride_words(on.size()) * 8);
      }
    }
    for (std::size_t chunk = 0; chunk < of.chunks; ++chunk) {
      take(&on.verdict_on(chunk), sizeof(verdict));
      take(on.partial(chunk), of.partial_bytes);
    }
    take(on.failures().data(), board::failure_capacity * sizeof(shard::board::failure_record));
    std::ranges::sort(parts, {}, [](const auto& part) { return part.data(); });
    const auto overlap = std::ranges::adjacent_find(parts, [](const auto& one, const auto& next) {
      return one.data() + one.size() > next.data();
    });
    EXPECT_EQ(overlap, parts.end()) << of.chunks << " chunks, " << of.slots << " slots";
  }
}

TEST(Board, OfZerosIsARunThatHasNotBegun) {
  const ledger on({.chunks = 3, .slots = 2});
  const board& b = on.board();
  std::vector<std::uint64_t> words(b.area_words(), 77);
  const shard::board::publication none = b.snapshot(0, words);
  EXPECT_FALSE(none.word);
  EXPECT_EQ(none.covered, 0u);
  EXPECT_EQ(words, std::vector<std::uint64_t>(b.area_words(), 77));
  EXPECT_EQ(b.settled(), 0u);
  EXPECT_EQ(b.controls(), 0u);
  EXPECT_TRUE(b.failures().empty());
}

TEST(Board, RaisesAndLowersControlsOneByOne) {
  const ledger on({.chunks = 1});
  on.board().raise(shard::board::handover);
  on.board().raise(shard::board::stopping);
  EXPECT_EQ(on.board().controls(), std::uint32_t{shard::board::handover} | shard::board::stopping);
  on.board().wait_for_controls();
  on.board().lower(shard::board::handover);
  EXPECT_EQ(on.board().controls(), std::uint32_t{shard::board::stopping});
}

// Against a set, over the borders of the words that marks lie in.
RC_GTEST_PROP(Board, MarksLostUnitsOnceAndSaysWhyTheFirstTime, ()) {
  const dimensions of{.units = *rc::gen::inRange<std::size_t>(1, 200)};
  const shard::os::anonymous_memory memory(board::size_bytes(of), shard::os::sharing::none);
  const board on(memory.base(), of);
  std::set<std::uint64_t> lost, untried;
  for (int step = *rc::gen::inRange(0, 20); step > 0; --step) {
    const auto first = *rc::gen::inRange<std::uint64_t>(0, of.units);
    const auto last = *rc::gen::inRange<std::uint64_t>(first, of.units + 1);
    const bool tried = *rc::gen::arbitrary<bool>();
    on.give_up(first, last, tried ? shard::board::loss::failed : shard::board::loss::untried);
    for (std::uint64_t unit = first; unit < last; ++unit) {
      if (lost.insert(unit).second && !tried) untried.insert(unit);
    }
  }
  for (std::uint64_t unit = 0; unit < of.units; ++unit) {
    RC_ASSERT(on.is_lost(unit) == lost.contains(unit));
    RC_ASSERT(on.is_untried(unit) == untried.contains(unit));
    const auto next = lost.lower_bound(unit);
    RC_ASSERT(on.next_lost(unit, of.units) == (next == lost.end() ? of.units : *next));
    RC_ASSERT(on.next_lost(0, unit) == (lost.empty() ? unit : std::min(unit, *lost.begin())));
  }
  RC_ASSERT(on.given_up() == lost.size() - untried.size());
}

// ---- Verdicts and failures ----

TEST(Verdict, ChangesWithTheFirstFailureBeyondTheBudgetOfItsKind) {
  const budgets allowed{.errors = 1, .crashes = 2, .kills = 3};  // kills beyond 3 are crashes
  struct {
    failure_kind kind;
    unsigned borne;
    standing then;
  } const kinds[] = {{failure_kind::exception, 1, standing::quarantined},
                     {failure_kind::signal, 2, standing::quarantined},
                     {failure_kind::exit, 2, standing::quarantined},
                     {failure_kind::out_of_memory_alone, 2, standing::quarantined},
                     {failure_kind::out_of_memory, 5, standing::quarantined},
                     {failure_kind::timeout, 2, standing::condemned},
                     {failure_kind::killed, 5, standing::quarantined}};
  for (const auto& [kind, borne, then] : kinds) {
    verdict on;
    for (unsigned k = 0; k < borne; ++k) {
      on.add(kind, allowed);
      EXPECT_EQ(on.state, standing::good);
    }
    on.add(kind, allowed);
    EXPECT_EQ(on.state, then);
    EXPECT_EQ(on.attempts(), borne + 1);
  }
}

// The kills within the budget don't use up that of crashes, nor the other way round.
TEST(Verdict, TakesAKillBeyondItsBudgetForACrash) {
  for (const failure_kind kind : {failure_kind::killed, failure_kind::out_of_memory}) {
    for (const unsigned budget : {0u, 1u, 100u, 10'000u}) {
      const budgets allowed{.crashes = 1, .kills = budget};
      verdict on;
      on.add(failure_kind::signal, allowed);
      for (unsigned k = 0; k < budget; ++k) on.add(kind, allowed);
      EXPECT_EQ(on.state, standing::good);
      EXPECT_EQ(on.crashes, 1u);
      on.add(kind, allowed);
      EXPECT_EQ(on.state, standing::quarantined);
      EXPECT_EQ(on.crashes, 2u);
      on.add(kind, allowed);
      EXPECT_EQ(on.failed_probes, 1u);
      EXPECT_EQ(on.kills, budget);
      EXPECT_EQ(on.attempts(), budget + 3);
    }
  }
}

// And one within it says nothing of a part of the chunk.
TEST(Verdict, InQuarantineForgivesKillsWithinTheirBudget) {
  for (const bool by_index : {false, true}) {
    const budgets allowed{.crashes = 0, .kills = 2, .by_index = by_index};
    verdict on;
    on.add(failure_kind::signal, allowed);
    for (unsigned k = 0; k < 2; ++k) on.add(failure_kind::killed, allowed);
    EXPECT_EQ(on.failed_probes, 0u);
    on.add(failure_kind::killed, allowed);
    EXPECT_EQ(on.failed_probes, 1u);
    EXPECT_EQ(on.state, standing::quarantined);
  }
}

TEST(Verdict, IsolatesTimeoutsOnlyWhereThatIsWanted) {
  verdict on;
  on.add(failure_kind::timeout, {.crashes = 0, .isolates_timeouts = true});
  EXPECT_EQ(on.state, standing::quarantined);
}

TEST(Verdict, OfAKernelByIndexChangesWithTheFirstDeath) {
  const budgets allowed{.errors = 1, .crashes = 5, .by_index = true};
  for (const failure_kind kind : {failure_kind::signal, failure_kind::exit, failure_kind::timeout,
                                  failure_kind::out_of_memory_alone}) {
    verdict on;
    on.add(kind, allowed);
    EXPECT_EQ(on.state, standing::quarantined);
    on.add(failure_kind::exception, allowed);
    EXPECT_EQ(on.errors, 1u) << "an exception within its budget is no failed probe";
    on.add(failure_kind::exception, allowed);
    EXPECT_EQ(on.errors, 1u);
    EXPECT_EQ(on.failed_probes, 1u);
  }
}

TEST(Verdict, OfAHangAfterTheLastTimeoutIsThatNobodyTriesAgain) {
  for (const bool by_index : {false, true}) {
    verdict on;
    on.add(failure_kind::timeout, {.crashes = 3, .by_index = by_index}, false);
    EXPECT_EQ(on.state, standing::untried);
  }
}

TEST(Verdict, EndsNoQuarantineHoweverMuchFails) {
  const budgets allowed{.errors = 0, .crashes = 0, .kills = 1};
  verdict on;
  on.add(failure_kind::exception, allowed);
  constexpr unsigned many = 100'000;
  for (unsigned k = 0; k < many; ++k) {
    on.add(k % 2 == 0 ? failure_kind::exception : failure_kind::signal, allowed);
  }
  EXPECT_EQ(on.state, standing::quarantined);
  EXPECT_EQ(on.attempts(), 1u + many);
}

TEST(Verdict, CountsSignalsAndExitsTogetherAndOtherKindsApart) {
  const budgets allowed{.errors = 1, .crashes = 1, .kills = 1};
  verdict on;
  on.add(failure_kind::exception, allowed);
  on.add(failure_kind::killed, allowed);
  on.add(failure_kind::signal, allowed);
  EXPECT_EQ(on.state, standing::good);
  on.add(failure_kind::exit, allowed);
  EXPECT_EQ(on.state, standing::quarantined);
  EXPECT_EQ(on.attempts(), 4u);
}

TEST(Board, KeepsFailuresAndCutsWhatIsTooLong) {
  const ledger on({.chunks = 3});
  const std::string longest(sizeof(shard::board::failure_record::what) - 1, 'x');
  on.board().record({.kind = failure_kind::signal, .chunk = 2, .attempt = 1, .signal = 11},
                    "signal 11");
  on.board().record({}, longest);
  on.board().record({}, longest + "y");
  const auto kept = on.board().failures();
  ASSERT_EQ(kept.size(), 3u);
  EXPECT_EQ(kept[0].facts.chunk, 2u);
  EXPECT_EQ(kept[0].facts.signal, 11);
  EXPECT_EQ(kept[0].ready.load(), 1u);
  EXPECT_STREQ(kept[0].what, "signal 11");
  EXPECT_EQ(kept[1].what, longest);
  EXPECT_EQ(kept[2].what, longest);
  EXPECT_EQ(kept[1].facts.chunk, shard::board::no_chunk);
}

TEST(Board, CountsFailuresThatItHasNoRoomFor) {
  const ledger on({.chunks = 1});
  for (std::size_t k = 0; k < board::failure_capacity + 5; ++k) on.board().record({}, "one more");
  EXPECT_EQ(on.board().failures().size(), board::failure_capacity);
  EXPECT_EQ(on.board().failures_lost(), 5u);
}

// ---- An owner ----

TEST(Owner, ThatWorksAloneDoesEveryChunkInOrder) {
  const ledger on({.chunks = 100});
  on.work(0);
  EXPECT_EQ(on.fault_at_end(), "");
  const auto log = log_of(on, 0);
  EXPECT_TRUE(std::ranges::is_sorted(log));
  EXPECT_EQ(log.size(), 100u);
  EXPECT_EQ(on.board().controls(), std::uint32_t{shard::board::done});
  EXPECT_EQ(on.board().at(0).left.load(), shard::board::leaving::for_good);
}

TEST(Owner, OfABoardWithoutChunksIsDoneAtOnce) {
  const ledger on({.chunks = 0});
  on.work(0);
  EXPECT_EQ(on.board().controls(), std::uint32_t{shard::board::done});
}

TEST(Owner, ClaimsIntoItsLogAndRunsNothingYet) {
  const ledger on({.chunks = 3, .slots = 2});
  ledger::worker first(on, 0), second(on, 1);
  first->resume();
  second->resume();
  EXPECT_TRUE(first->claim());
  EXPECT_TRUE(second->claim());
  EXPECT_TRUE(first->claim());
  EXPECT_FALSE(second->claim());
  EXPECT_EQ(log_of(on, 0), (std::vector<std::uint64_t>{0, 2}));
  EXPECT_EQ(log_of(on, 1), (std::vector<std::uint64_t>{1}));
  EXPECT_EQ(on.board().settled(), 0u);
  EXPECT_EQ(on.board().at(0).claims.load() % 2, 0u);
}

TEST(Owner, CommitsOnlyWhatItPublishes) {
  const ledger on({.chunks = 3});
  ledger::worker worker(on, 0);
  worker->resume();
  worker->claim();
  worker->run();
  EXPECT_EQ(on.board().covered(0), 0u) << "accumulators are not copied out after each chunk";
  worker->publish();
  EXPECT_EQ(on.board().covered(0), 1u);
  EXPECT_EQ(on.fault(), "");
}

TEST(Owner, WithoutAccumulatorsCommitsEachChunk) {
  const ledger on({.chunks = 3, .accumulates = false});
  ledger::worker worker(on, 0);
  worker->resume();
  worker->claim();
  worker->run();
  EXPECT_EQ(on.board().covered(0), 1u);
}

TEST(Owner, ThatHasNothingNewDoesNotMoveTheCommitWord) {
  const ledger on({.chunks = 1});
  on.work(0);
  const std::uint64_t word = on.board().at(0).commit.load();
  on.work(0);
  EXPECT_EQ(on.board().at(0).commit.load(), word);
}

TEST(Owner, RedoesWhatTheLastOneLeftUncommittedAndNothingElse) {
  std::vector<std::size_t> runs;
  const ledger on({.chunks = 4, .on_chunk = [&](std::size_t chunk) { runs.push_back(chunk); }});
  {
    ledger::worker gone(on, 0);
    gone->resume();
    gone->claim();
    gone->run();
    gone->publish();
    gone->claim();
    gone->run();
    gone->claim();
  }
  runs.clear();
  on.work(0);
  EXPECT_EQ(runs, (std::vector<std::size_t>{1, 2, 3}));
  EXPECT_EQ(on.fault_at_end(), "");
}

TEST(Owner, CommitsBeforeAndAfterAChunkThatHasFailedBefore) {
  const ledger* board_in_kernel = nullptr;
  std::vector<std::uint64_t> covered;
  const ledger on({.chunks = 8, .on_chunk = [&](std::size_t) {
                     covered.push_back(board_in_kernel->board().covered(0));
                   }});
  board_in_kernel = &on;
  {
    ledger::worker gone(on, 0);
    gone->resume();
    while (gone->claim()) {
    }
  }
  on.board().verdict_on(4).store(verdict{.crashes = 1});
  on.work(0);
  ASSERT_EQ(covered.size(), 8u);
  EXPECT_EQ(covered[4], 4u);
  EXPECT_EQ(covered[5], 5u);
}

TEST(Owner, WhoseKernelThrowsRunsTheChunkAgainWithinItsBudget) {
  const ledger on({.chunks = 5, .policy = forgiving(2), .throws = {0, 2, 0, 3}});
  on.work(0);
  EXPECT_EQ(on.fault_at_end(), "");
  EXPECT_FALSE(on.condemned(1));
  EXPECT_TRUE(on.condemned(3));
  EXPECT_EQ(on.board().controls(), std::uint32_t{shard::board::done} | shard::board::loses);

  const auto kept = on.board().failures();
  ASSERT_EQ(kept.size(), 5u);
  EXPECT_STREQ(kept[0].what, "chunk 1 threw");
  EXPECT_EQ(kept[0].facts.attempt, 1u);
  EXPECT_EQ(kept[1].facts.attempt, 2u);
  EXPECT_EQ(kept[4].facts.chunk, 3u);
  EXPECT_EQ(kept[4].facts.attempt, 3u);
  EXPECT_EQ(kept[4].facts.kind, failure_kind::exception);
}

TEST(Owner, StopsTheRunAtACondemnedChunkIfItIsNotToKeepGoing) {
  std::size_t last = 0;
  const ledger on({.chunks = 50,
                   .policy = {.allowed = {}, .keep_going = false, .park = true},
                   .throws = {0, 0, 0, 1},
                   .on_chunk = [&](std::size_t chunk) { last = std::max(last, chunk); }});
  on.work(0);
  EXPECT_EQ(on.fault(), "");
  EXPECT_EQ(on.board().controls(), std::uint32_t{shard::board::stopping} | shard::board::loses);
  EXPECT_EQ(last, 3u) << "no chunk is begun after the one that is condemned";
  EXPECT_EQ(on.board().settled(), 4u) << "what had been begun is committed";
}

TEST(Owner, ClaimsNothingOnceTheRunIsStopped) {
  const ledger on({.chunks = 5});
  ledger::worker worker(on, 0);
  worker->resume();
  on.board().raise(shard::board::stopping);
  EXPECT_FALSE(worker->claim());
  EXPECT_EQ(on.board().cursor().load(), 0u);
}

TEST(Owner, NeverClaimsMoreThanHalfOfAFairPartOfWhatIsLeft) {
  constexpr std::size_t chunks = 5000;
  const ledger on({.chunks = chunks, .slots = 4, .accumulates = false});
  ledger::worker worker(on, 0);
  worker->resume();
  for (;;) {
    const std::uint64_t before = on.board().cursor().load();
    if (!worker->claim()) break;
    worker->run();
    const std::uint64_t claimed = on.board().cursor().load() - before;
    ASSERT_LE(claimed, std::max<std::uint64_t>(1, (chunks - before) / 8));
    ASSERT_LE(claimed, 64u);
  }
  EXPECT_EQ(on.board().settled(), chunks);
}

// Owners of any number of slots take turns in any order, vanish, and are replaced; kernels throw,
// and change cells in place.
RC_GTEST_PROP(Board, IsExactInEveryOrderOfItsOwnersSteps, ()) {
  const errand what{.chunks = *rc::gen::inRange<std::size_t>(1, 30),
                    .slots = *rc::gen::inRange(1u, 5u),
                    .accumulates = *rc::gen::arbitrary<bool>(),
                    .policy = forgiving(1),
                    .throws = *rc::gen::container<std::vector<unsigned>>(rc::gen::inRange(0u, 3u)),
                    .in_place = *rc::gen::arbitrary<bool>(),
                    .undo_chunks = *rc::gen::inRange<std::size_t>(1, 5)};
  const ledger on(what);
  std::deque<ledger::worker> workers;
  const auto hire = [&](unsigned slot) -> ledger::worker& {
    workers.emplace_back(on, slot);
    workers.back()->resume();
    return workers.back();
  };
  std::vector<ledger::worker*> at;
  for (unsigned slot = 0; slot < what.slots; ++slot) at.push_back(&hire(slot));
  for (const int step : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 10))) {
    const unsigned slot = *rc::gen::inRange(0u, what.slots);
    if (step < 4) (*at[slot])->claim();
    if (step >= 4 && step < 7) (*at[slot])->run();
    if (step == 7 || step == 8) (*at[slot])->publish();
    if (step == 9) at[slot] = &hire(slot);
    RC_ASSERT(on.fault() == "");
  }
  for (unsigned slot = 0; slot < what.slots; ++slot) on.work(slot);
  RC_ASSERT(on.fault_at_end() == "");
  for (std::size_t chunk = 0; chunk < std::min(what.chunks, what.throws.size()); ++chunk) {
    RC_ASSERT(on.condemned(chunk) == (what.throws[chunk] > 1));
  }
}

}  // namespace
