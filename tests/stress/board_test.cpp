// The board under threads: any number of owners at work at once, readers beside them. What
// ThreadSanitizer can't see between processes it sees here.

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "asleep.hpp"
#include "board/recovery.hpp"
#include "ledger.hpp"
#include "process/family.hpp"

namespace {

using shard::board::policy;
using shard_test::errand;
using shard_test::ledger;

constexpr std::size_t many_chunks = 1100;  // accumulators of 70 words

// One thread for each slot.
template <class Work>
void on_all_slots(const ledger& on, const Work& work) {
  std::vector<std::thread> owners;
  for (unsigned slot = 0; slot < on.board().size().slots; ++slot) {
    owners.emplace_back([&, slot] { work(slot); });
  }
  for (std::thread& owner : owners) owner.join();
}

// Looks at all that is published, without a pause, until it is told that the run is over.
class reader {
 public:
  explicit reader(const ledger& of)
      : thread_([this, &of] {
          do {
            const std::string found = of.fault();
            if (!found.empty()) fault_ = found;
            ++looks_;
          } while (!over_.load(std::memory_order_relaxed));
        }) {}
  reader(const reader&) = delete;
  reader& operator=(const reader&) = delete;
  ~reader() {
    over_.store(true, std::memory_order_relaxed);
    thread_.join();
    EXPECT_EQ(fault_, "") << "seen while owners worked";
    EXPECT_GT(looks_, 0u);
  }

 private:
  std::atomic<bool> over_ = false;
  std::string fault_;
  std::size_t looks_ = 0;
  std::thread thread_;
};

class BoardUnderThreads : public testing::TestWithParam<unsigned> {
 protected:
  unsigned slots() const { return GetParam(); }
};

INSTANTIATE_TEST_SUITE_P(Owners, BoardUnderThreads, testing::Values(1, 2, 3, 8));

TEST_P(BoardUnderThreads, EveryChunkIsDoneExactlyOnce) {
  for (const std::size_t chunks :
       {std::size_t{1}, std::size_t{2}, std::size_t{7}, std::size_t{64}, many_chunks}) {
    for (const bool accumulates : {false, true}) {
      for (int repetition = 0; repetition < 10; ++repetition) {
        const ledger on({.chunks = chunks, .slots = slots(), .accumulates = accumulates});
        on_all_slots(on, [&](unsigned slot) { on.work(slot); });
        ASSERT_EQ(on.fault_at_end(), "");
        ASSERT_NE(on.board().controls() & shard::board::done, 0u);
      }
    }
  }
}

TEST_P(BoardUnderThreads, OwnersThatParkAllReturnWhenTheLastChunkIsCommitted) {
  for (int repetition = 0; repetition < 50; ++repetition) {
    const ledger on({.chunks = 64, .slots = slots(), .policy = {.allowed = {}, .park = true}});
    on_all_slots(on, [&](unsigned slot) { on.work(slot); });
    ASSERT_EQ(on.fault_at_end(), "");
  }
}

// Only who sleeps leaves the processor to others.
TEST(BoardWait, IsASleepUntilTheRunEndsOrASlotNeedsThePlace) {
  for (const auto control : {shard::board::done, shard::board::stopping, shard::board::handover}) {
    const ledger on({.chunks = 1});
    std::atomic<pid_t> thread = 0;
    std::thread waiter([&] {
      thread = gettid();
      on.board().wait_for_controls();
    });
    while (thread == 0) std::this_thread::yield();
    shard_test::wait_until_asleep(thread);
    on.board().raise(control);
    waiter.join();
  }
}

// Each looks, right after its own commit, whether all is committed. What keeps one from seeing the
// other is a matter of nanoseconds: it takes many boards to see that.
TEST(BoardEnd, IsSeenByOneOfTwoThatCommitAtTheSameTime) {
  constexpr int rounds = shard_test::sanitized ? 5 : 500;
  constexpr std::size_t boards = 50;
  for (int round = 0; round < rounds; ++round) {
    std::deque<std::atomic<unsigned>> in_kernels(boards);
    std::deque<ledger> all;
    for (std::size_t k = 0; k < boards; ++k) {
      const auto meet = [&both = in_kernels[k]](std::size_t) {
        ++both;
        for (int turn = 0; both != 2; ++turn) {
          if (turn > 10'000) std::this_thread::yield();
        }
      };
      const ledger& on =
          all.emplace_back(errand{.chunks = 2, .slots = 2, .accumulates = false, .on_chunk = meet});
      for (unsigned slot = 0; slot < 2; ++slot) on.work(slot, [](auto& owner) { owner.claim(); });
    }
    on_all_slots(all.front(), [&](unsigned slot) {
      for (const ledger& on : all) on.work(slot);
    });
    for (const ledger& on : all) {
      ASSERT_NE(on.board().controls() & shard::board::done, 0u) << "in round " << round;
    }
  }
}

TEST_P(BoardUnderThreads, AReaderSeesOnlyWholePublications) {
  for (const bool accumulates : {false, true}) {
    for (int repetition = 0; repetition < 5; ++repetition) {
      const ledger on({.chunks = many_chunks, .slots = slots(), .accumulates = accumulates});
      const reader beside(on);
      on_all_slots(on, [&](unsigned slot) {  // as work() does, but publishing all the time
        ledger::worker owner(on, slot);
        owner->resume();
        do {
          owner->run();
          owner->publish();
        } while (owner->claim());
      });
      ASSERT_EQ(on.fault_at_end(), "");
    }
  }
}

TEST_P(BoardUnderThreads, ThrowsCostTheirOwnChunksOnly) {
  std::vector<unsigned> throws(many_chunks);
  for (unsigned chunk = 0; chunk < many_chunks; chunk += 7) throws[chunk] = chunk % 3 + 1;
  for (int repetition = 0; repetition < 5; ++repetition) {
    const ledger on({.chunks = many_chunks,
                     .slots = slots(),
                     .policy = {.allowed = {.errors = 2}, .keep_going = true, .park = true},
                     .throws = throws});
    const reader beside(on);
    on_all_slots(on, [&](unsigned slot) { on.work(slot); });
    ASSERT_EQ(on.fault_at_end(), "");
    for (std::size_t chunk = 0; chunk < many_chunks; ++chunk) {
      ASSERT_EQ(on.condemned(chunk), throws[chunk] > 2) << chunk;
      ASSERT_EQ(on.verdict_on(chunk).errors, throws[chunk]) << chunk;
    }
  }
}

TEST_P(BoardUnderThreads, ACondemnedChunkStopsTheRunAndWhatIsCommittedStaysRight) {
  for (int repetition = 0; repetition < 20; ++repetition) {
    std::vector<unsigned> throws(many_chunks);
    throws[200] = 1;
    const ledger on({.chunks = many_chunks,
                     .slots = slots(),
                     .policy = {.allowed = {}, .park = true},
                     .throws = throws});
    const reader beside(on);
    on_all_slots(on, [&](unsigned slot) { on.work(slot); });
    ASSERT_EQ(on.fault(), "");
    ASSERT_TRUE(on.condemned(200));
    ASSERT_NE(on.board().controls() & shard::board::stopping, 0u);
    ASSERT_LE(on.board().settled(), many_chunks);
  }
}

// Does so many things that an owner does, and is gone, with whatever is not published lost.
void work_a_little(const ledger& on, unsigned slot, std::minstd_rand& random) {
  ledger::worker owner(on, slot);
  owner->resume();
  for (unsigned steps = random() % 8; steps != 0; --steps) {
    switch (random() % 3) {
      case 0: owner->run(); break;
      case 1:
        owner->run();
        owner->claim();
        break;
      default: owner->publish();
    }
  }
}

TEST_P(BoardUnderThreads, OwnersThatVanishAreReplacedAndNothingIsLost) {
  for (unsigned repetition = 0; repetition < 5; ++repetition) {
    const ledger on({.chunks = 300, .slots = slots()});
    const reader beside(on);
    on_all_slots(on, [&](unsigned slot) {
      std::minstd_rand random(slots() * 1000 + repetition * 10 + slot + 1);
      for (int owners = 0; owners < 20; ++owners) {
        work_a_little(on, slot, random);
        shard::board::acquit(on.board(), slot);
      }
      on.work(slot);
    });
    ASSERT_EQ(on.fault_at_end(), "");
  }
}

// Each chunk adds one to each word: what is published has no two different words.
constexpr std::size_t large_words = 20'000;

shard::board::task add_one_everywhere() {
  return {[](const void*, const shard::board::piece&, std::byte*, std::byte* accumulators,
             shard::board::description*) noexcept {
            const auto words = reinterpret_cast<std::uint64_t*>(accumulators);
            for (std::size_t k = 0; k < large_words; ++k) ++words[k];
            return true;
          },
          [](const void*, std::byte*) {},
          [](const void*, std::size_t) { return std::size_t{1}; },
          [](const void*, std::size_t chunk) { return chunk; },
          nullptr,
          {}};
}

// Areas so large that the owner laps a reader in the middle of one, time and again.
TEST(BoardReader, ThatIsLappedSeesAWholePublicationNevertheless) {
  const shard::board::dimensions size{300, 1, 0, large_words * sizeof(std::uint64_t)};
  const shard::os::anonymous_memory memory(shard::board::board::size_bytes(size),
                                           shard::os::sharing::none);
  const shard::board::board on(memory.base(), size);
  std::thread owner([&] {
    std::vector<std::uint64_t> accumulators(large_words);
    shard::board::workplace here;
    shard::board::owner worker(on, 0, add_one_everywhere(), {},
                               reinterpret_cast<std::byte*>(accumulators.data()), here);
    worker.resume();
    while (worker.claim()) {
      worker.run();
      worker.publish();
    }
  });
  std::vector<std::uint64_t> seen(large_words);
  std::uint64_t before = 0;
  std::uint64_t covered = 0;
  do {
    const shard::board::publication now = on.snapshot(0, seen);
    if (!now.word) continue;
    covered = now.covered;
    EXPECT_EQ(seen, std::vector<std::uint64_t>(large_words, covered));
    EXPECT_GE(covered, before);
    before = covered;
  } while (covered != size.chunks && !HasFailure());
  owner.join();
}

}  // namespace
