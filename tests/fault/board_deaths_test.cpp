// Every "dies here" of the board's protocol. A death leaves nothing but the shared memory of that
// moment: so owners and supervisors are walked store by store, the memory is copied after each one,
// and recovery is tried on every copy; and on every copy that a second death leaves.

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <iostream>
#include <set>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "board/recovery.hpp"
#include "fault/stepping.hpp"
#include "ledger.hpp"
#include "process/family.hpp"

namespace {

// While it is stopped, time passes only inside kernels: how chunks are batched, and when
// accumulators are published, then follows from the errand alone.
bool clock_stopped = false;
timespec stopped_clock{};

void pass(long milliseconds) {
  stopped_clock.tv_nsec += milliseconds * 1'000'000;
  stopped_clock.tv_sec += stopped_clock.tv_nsec / 1'000'000'000;
  stopped_clock.tv_nsec %= 1'000'000'000;
}

}  // namespace

// Takes the place of the C library's, which std::chrono calls.
extern "C" int clock_gettime(clockid_t which, timespec* now) noexcept {
  if (!clock_stopped) return static_cast<int>(syscall(SYS_clock_gettime, which, now));
  *now = stopped_clock;
  return 0;
}

namespace {

using shard::board::board;
using shard::board::failure_kind;
using shard::board::verdict;
using shard_test::errand;
using shard_test::ledger;
using shard_test::stepping;

using image = std::string;  // all of a ledger's memory that is in use

constexpr std::size_t most_failures = 24;
constexpr std::size_t marks_bytes = 4096;  // of lost units, and the same of untried ones
constexpr std::size_t most_notes_bytes = 4096;

class BoardDeaths : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!shard_test::can_step) GTEST_SKIP() << "this processor can't be stepped";
    clock_stopped = true;
  }
  void TearDown() override {
    clock_stopped = false;
    std::cout << "             " << deaths_ << " deaths, " << endings_ << " runs to the end\n";
    RecordProperty("deaths", std::to_string(deaths_));
  }

  std::vector<image> deaths_in(const ledger& on, const std::function<void()>& steps);
  void supervise(const ledger& on, const std::vector<unsigned>& dead);
  void judge(const ledger& on, unsigned slot);
  void finish(const ledger& on);

  std::size_t deaths_ = 0;   // different memories that a death has left
  std::size_t endings_ = 0;  // runs that were recovered and came to their end
};

std::vector<std::span<std::byte>> parts(const ledger& on) {
  const board& b = on.board();
  const auto bytes = [](auto* first, std::size_t count) {
    return std::span(reinterpret_cast<std::byte*>(first), count * sizeof *first);
  };
  const std::size_t slots = b.size().slots;
  const std::size_t chunks = b.size().chunks;
  std::byte* const base = on.memory().base();
  const auto head = static_cast<std::size_t>(reinterpret_cast<std::byte*>(&b.at(0)) - base);
  const std::size_t notes_bytes = b.size().notes == 0 ? 0 : most_notes_bytes;
  std::byte* const marks = base + board::size_bytes(b.size()) - notes_bytes - 2 * marks_bytes;
  std::vector<std::span<std::byte>> all{
      bytes(base, head),
      bytes(&b.at(0), slots),
      {marks, 8},
      {marks + marks_bytes, 8},
      {marks + 2 * marks_bytes, b.size().notes * sizeof(shard::board::chunk_note)},
      bytes(&b.verdict_on(0), chunks),
      bytes(b.log(0), slots * chunks),
      bytes(b.partial(0), chunks * b.size().partial_bytes),
      bytes(b.area(0, 0), 2 * slots * board::stride_words(b.size())),
      bytes(b.undo(0), slots * b.size().undo_bytes),
      bytes(on.outputs().data(), on.outputs().size())};
  // Of failures what counts, without stacks and texts.
  constexpr std::size_t facts_bytes = offsetof(shard::board::failure_record, stack);
  for (std::size_t k = 0; k < most_failures; ++k) {
    all.push_back(bytes(reinterpret_cast<std::byte*>(b.failures().data() + k), facts_bytes));
  }
  return all;
}

image copy(const ledger& on) {
  image all;
  for (const auto part : parts(on))
    all.append(reinterpret_cast<const char*>(part.data()), part.size());
  return all;
}

void restore(const ledger& on, const image& from) {
  const char* next = from.data();
  for (const auto part : parts(on)) {
    std::memcpy(part.data(), next, part.size());
    next += part.size();
  }
}

// What the report would lack of the attempts that verdicts count; empty: nothing.
std::string missing_record(const ledger& on) {
  std::set<std::pair<std::uint64_t, std::uint32_t>> recorded;
  for (const shard::board::failure_record& one : on.board().failures()) {
    if (one.ready.load() == 0 || one.facts.chunk == shard::board::no_chunk) continue;
    if (one.facts.attempt == 0) return "a record is ready that is not complete";
    recorded.insert({one.facts.chunk, one.facts.attempt});
  }
  for (std::size_t chunk = 0; chunk < on.what().chunks; ++chunk) {
    for (std::uint32_t attempt = 1; attempt <= on.verdict_on(chunk).attempts(); ++attempt) {
      if (recorded.contains({chunk, attempt})) continue;
      return "chunk " + std::to_string(chunk) + " has no record of attempt " +
             std::to_string(attempt);
    }
  }
  return {};
}

// The memory before the first store of `steps`, and after each: without repetitions. The published
// state is checked at each.
std::vector<image> BoardDeaths::deaths_in(const ledger& on, const std::function<void()>& steps) {
  std::unordered_set<image> seen;
  std::vector<image> found;
  const std::function<void()> look = [&] {
    if (HasFailure()) return;
    EXPECT_EQ(on.fault(), "");
    EXPECT_EQ(missing_record(on), "");
    EXPECT_LE(on.board().failures().size(), most_failures);
    EXPECT_LE(on.indices(), 64u);
    image now = copy(on);
    if (seen.insert(now).second) found.push_back(std::move(now));
  };
  look();
  { stepping walk(on.memory().base(), on.memory().size_bytes(), steps, look); }
  deaths_ += found.size();
  return found;
}

bool none_alive(unsigned) { return false; }

// Judges the owner of a slot, killed where it is: it is blamed on the chunk whose kernel was
// running, if any, and on nothing else.
void BoardDeaths::judge(const ledger& on, unsigned slot) {
  const board& b = on.board();
  if (b.at(slot).left.load() != shard::board::leaving::not_yet) return;
  const std::uint64_t inside = on.inside(slot);
  const std::uint64_t running = b.at(slot).running.load();
  const std::uint64_t chunk = running == 0 ? 0 : b.log(slot)[running - 1].load();
  const verdict before = on.verdict_on(chunk);
  const std::uint64_t covered = b.covered(slot);
  const bool at_fault = on.died_at()[slot].load() != 0;
  const failure_kind kind = at_fault ? on.what().death : failure_kind::killed;
  const auto& allowed = on.what().policy.allowed;
  const bool blamed = shard::board::judge(b, slot, {kind, 9, 0, "killed"}, allowed);
  EXPECT_TRUE(blamed || inside == 0);
  EXPECT_TRUE(!blamed || inside == 0 || chunk == inside - 1);
  EXPECT_TRUE(!blamed || running > covered) << "a committed chunk is blamed";
  EXPECT_EQ(on.verdict_on(chunk).attempts(), before.attempts() + (blamed ? 1 : 0));
  const bool is_kill = kind == failure_kind::killed && before.kills < allowed.kills;
  EXPECT_EQ(on.verdict_on(chunk).kills, before.kills + (blamed && is_kill ? 1 : 0));
  EXPECT_EQ(b.at(slot).running.load(), 0u) << "the next owner's death would be the chunk's, too";
  on.inside()[slot].store(0);
  on.died_at()[slot].store(0);
}

// What a supervisor does once the owners of `dead` are reaped and nobody else lives.
void BoardDeaths::supervise(const ledger& on, const std::vector<unsigned>& dead) {
  for (const unsigned slot : dead) judge(on, slot);
  for (const unsigned slot : dead) EXPECT_TRUE(shard::board::reclaim(on.board(), slot, none_alive));
}

bool has_work(const board& b, unsigned slot) {
  return shard::board::has_tail(b, slot) || b.cursor().load() < b.size().chunks;
}

// Fresh owners for all slots with work, one after the other; then everything must be right.
void BoardDeaths::finish(const ledger& on) {
  for (unsigned slot = 0; slot < on.board().size().slots; ++slot) {
    if (has_work(on.board(), slot)) on.work_on(slot);
  }
  EXPECT_EQ(on.fault_at_end(), "");
  std::set<std::size_t> failing = on.what().poison;
  failing.insert(on.what().deadly.begin(), on.what().deadly.end());
  if (!failing.empty()) {
    EXPECT_EQ(on.all_given_up(), failing);
    EXPECT_NE(on.board().controls() & shard::board::loses, 0u)
        << "what is queued behind would begin";
  }
  ++endings_;
}

// ---- Runs in which every kind of step occurs ----

errand batches() { return {.chunks = 20}; }

errand slow_chunks() {
  return {.chunks = 6, .on_chunk = [](std::size_t chunk) { pass(chunk % 2 == 0 ? 0 : 11); }};
}

// States get longer from chunk to chunk, and are published as far as they count. In the second one
// they are published after each chunk while they are short.
errand growing() {
  errand what = slow_chunks();
  what.indices = 8;
  what.grows = true;
  return what;
}
errand growing_with_losses() {
  return {.chunks = 5,
          .policy = {.allowed = {.errors = 1, .crashes = 1, .by_index = true},
                     .keep_going = true,
                     .park = false,
                     .little_to_copy_bytes = 24},
          .indices = 10,
          .poison = {33},
          .accidents = {{27, 1}},
          .grows = true};
}

errand outputs_only() { return {.chunks = 4, .accumulates = false}; }

errand throwing() {
  return {.chunks = 5,
          .policy = {.allowed = {.errors = 1}, .keep_going = true, .park = false},
          .throws = {0, 1, 0, 9, 0}};
}

errand unforgiving() {
  return {.chunks = 4,
          .policy = {.allowed = {.errors = 0, .crashes = 0, .kills = 0},
                     .keep_going = true,
                     .park = false},
          .throws = {0, 0, 1, 0}};
}

// A quarantine: its poison is found to the index, whatever dies meanwhile. By index it is a walk,
// by range a search.
errand poisoned(bool by_index) {
  return {
      .chunks = 2,
      .policy = {.allowed = {.errors = 0, .by_index = by_index}, .keep_going = true, .park = false},
      .indices = 4,
      .poison = {2}};
}

errand deadly(bool by_index) {
  errand what = poisoned(by_index);
  what.chunks = 1;
  what.poison = {};
  what.deadly = {1};
  what.in_place = true;
  return what;
}

// One death is enough: the next owner gives the index up.
errand deadly_at_once() {
  errand what = deadly(true);
  what.chunks = 2;
  what.indices = 1;
  what.policy.allowed.crashes = 0;
  return what;
}

// The same as deadly(true), and kills are crashes from the first on: two from outside cost no
// index.
errand killing() {
  errand what = deadly(true);
  what.policy.allowed.crashes = 3;
  what.policy.allowed.kills = 0;
  what.death = failure_kind::killed;
  return what;
}

// All indices succeed alone, and four of them together don't.
errand too_long() {
  errand what = poisoned(false);
  what.chunks = 1;
  what.poison = {};
  what.longest = 3;
  what.in_place = true;
  return what;
}

errand in_place() { return {.chunks = 4, .indices = 2, .in_place = true, .undo_chunks = 2}; }

errand poisoned_in_place(bool by_index) {
  errand what = poisoned(by_index);
  what.in_place = true;
  what.poison = {1, 6};
  return what;
}

errand noted(errand what) {
  what.notes = true;
  return what;
}

std::vector<errand> all_errands() {
  return {batches(),
          noted(batches()),
          noted(throwing()),
          noted(deadly(false)),
          slow_chunks(),
          outputs_only(),
          throwing(),
          unforgiving(),
          deadly(true),
          deadly(false),
          deadly_at_once(),
          killing(),
          too_long(),
          in_place(),
          poisoned_in_place(true),
          poisoned_in_place(false),
          growing(),
          growing_with_losses()};
}

errand for_two(errand what) {
  what.slots = 2;
  return what;
}

// ---- Deaths ----

TEST_F(BoardDeaths, HappenInRunsThatClaimSeveralChunksAtATimeAndPublishInTheMiddle) {
  const ledger many(batches()), slow(slow_chunks());
  many.work(0);
  slow.work(0);
  EXPECT_LT(many.board().at(0).claims.load() / 2, many.board().size().chunks);
  EXPECT_GT(slow.board().at(0).commit.load() / 2, 1u);
}

TEST_F(BoardDeaths, OfAnOwnerAnywhereLoseAndDoubleNothing) {
  for (const errand& what : all_errands()) {
    const ledger first(what), second(what);
    for (const image& dead : deaths_in(first, [&] { first.work(0); })) {
      restore(second, dead);
      supervise(second, {0});
      finish(second);
      if (HasFailure()) return;
    }
  }
}

// Whether the published state passes over an index that is lost.
bool has_committed_loss(const ledger& on) {
  const shard::board::publication seen = on.board().snapshot(0);
  if (!seen.word) return false;
  for (std::uint64_t k = 0; k <= seen.covered && k < on.what().chunks; ++k) {
    const std::size_t first = on.board().log(0)[k].load() * on.what().indices;
    const std::size_t count = k < seen.covered ? on.what().indices : seen.probed;
    if (on.board().next_lost(first, first + count) != first + count) return true;
  }
  return false;
}

TEST_F(BoardDeaths, LeaveNoCommittedLossWithoutAStop) {
  for (errand what : {poisoned(true), poisoned(false)}) {
    what.policy.keep_going = false;
    const ledger first(what), second(what);
    bool any = false;
    for (const image& dead : deaths_in(first, [&] { first.work(0); })) {
      restore(second, dead);
      if (!has_committed_loss(second)) continue;
      any = true;
      EXPECT_NE(second.board().controls() & shard::board::stopping, 0u);
    }
    EXPECT_TRUE(any);
  }
}

// A sanitizer, for which this takes minutes, sees some of them.
TEST_F(BoardDeaths, OfTheNextOwnerTooLoseAndDoubleNothing) {
  constexpr std::size_t stride = shard_test::sanitized ? 7 : 1;
  std::size_t deaths = 0;
  for (const errand& what : all_errands()) {
    const ledger first(what), second(what), third(what);
    for (const image& dead : deaths_in(first, [&] { first.work(0); })) {
      if (++deaths % stride != 0) continue;
      restore(second, dead);
      supervise(second, {0});
      for (const image& again : deaths_in(second, [&] { second.work(0); })) {
        restore(third, again);
        supervise(third, {0});
        finish(third);
        if (HasFailure()) return;
      }
    }
  }
}

TEST_F(BoardDeaths, OfTwoOwnersBeforeAnyoneRecoversThemLoseAndDoubleNothing) {
  for (const errand& what :
       {for_two(outputs_only()), for_two(unforgiving()), for_two(slow_chunks())}) {
    const ledger first(what), second(what), third(what);
    for (const image& dead : deaths_in(first, [&] { first.work(0); })) {
      restore(second, dead);
      for (const image& both : deaths_in(second, [&] { second.work(1); })) {
        for (const std::vector<unsigned>& order : {std::vector{0u, 1u}, std::vector{1u, 0u}}) {
          restore(third, both);
          supervise(third, order);
          finish(third);
          if (HasFailure()) return;
        }
      }
    }
  }
}

// The successor hasn't seen how the owner died: it forgets what was in progress, and begins again.
void take_over(const ledger& on) {
  const board& b = on.board();
  for (unsigned slot = 0; slot < b.size().slots; ++slot) shard::board::acquit(b, slot);
  for (unsigned slot = 0; slot < b.size().slots; ++slot) {
    on.inside()[slot].store(0);
    on.died_at()[slot].store(0);
    EXPECT_TRUE(shard::board::reclaim(b, slot, none_alive));
  }
}

TEST_F(BoardDeaths, OfASupervisorAnywhereInARecoveryLoseAndDoubleNothing) {
  for (const errand& what : all_errands()) {
    const ledger first(what), second(what), third(what);
    for (const image& dead : deaths_in(first, [&] { first.work(0); })) {
      restore(second, dead);
      for (const image& again : deaths_in(second, [&] { supervise(second, {0}); })) {
        restore(third, again);
        take_over(third);
        finish(third);
        if (HasFailure()) return;
      }
    }
  }
}

bool in_window(const ledger& on, unsigned slot) {
  return on.board().at(slot).claims.load() % 2 != 0;
}

// The interesting deaths: both had claimed chunks that stand in no log.
TEST_F(BoardDeaths, OfTwoOwnersInTheirWindowsAndTheirSupervisorLoseAndDoubleNothing) {
  const errand what = for_two(outputs_only());
  const ledger first(what), second(what), third(what), fourth(what);
  for (const image& dead : deaths_in(first, [&] { first.work(0); })) {
    restore(second, dead);
    if (!in_window(second, 0)) continue;
    for (const image& both : deaths_in(second, [&] { second.work(1); })) {
      restore(third, both);
      if (!in_window(third, 1)) continue;
      for (const image& all : deaths_in(third, [&] { supervise(third, {1, 0}); })) {
        restore(fourth, all);
        take_over(fourth);
        finish(fourth);
        if (HasFailure()) return;
      }
    }
  }
}

// ---- One dies, another lives ----

class recovery_beside_a_live_owner {
 public:
  recovery_beside_a_live_owner(const ledger& on, std::size_t after) : on_(on), countdown_(after) {}

  // Slot 1 is at work, and stopped right now: mends slot 0 once, after so many steps.
  void look() {
    if (countdown_-- != 0) return;
    shard::board::judge(on_.board(), 0, {failure_kind::killed, 9, 0, "killed"},
                        on_.what().policy.allowed);
    on_.inside()[0].store(0);
    const image before = copy(on_);
    const bool may = !in_window(on_, 1);
    mended_ = shard::board::reclaim(on_.board(), 0, [](unsigned slot) { return slot == 1; });
    EXPECT_EQ(mended_, may);
    EXPECT_TRUE(mended_ || copy(on_) == before) << "refused, and yet changed something";
    if (mended_ && has_work(on_.board(), 0)) on_.work(0);
    EXPECT_EQ(on_.fault(), "");
  }

  bool mended() const { return mended_; }

 private:
  const ledger& on_;
  std::size_t countdown_;
  bool mended_ = false;
};

TEST_F(BoardDeaths, OfAnOwnerInItsWindowAreMendedWhereverALiveOneIs) {
  for (const errand& what : {for_two(outputs_only()), for_two(slow_chunks())}) {
    const ledger first(what), second(what);
    for (const image& dead : deaths_in(first, [&] { first.work(0); })) {
      restore(second, dead);
      if (!in_window(second, 0)) continue;
      const std::size_t steps = deaths_in(second, [&] { second.work(1); }).size();
      for (std::size_t after = 0; after + 1 < steps; ++after) {
        restore(second, dead);
        recovery_beside_a_live_owner recovery(second, after);
        const std::function<void()> look = [&] { recovery.look(); };
        stepping(
            second.memory().base(), second.memory().size_bytes(), [&] { second.work(1); }, look);
        if (!recovery.mended()) supervise(second, {0});
        finish(second);
        if (HasFailure()) return;
      }
    }
  }
}

}  // namespace
