// Processes that die, or stop, at every instruction of a transfer or of the lock: what the others
// find afterwards.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include "fault/counting.hpp"
#include "process/family.hpp"
#include "process/leftovers.hpp"
#include "refusal.hpp"
#include "shard/buffer.hpp"
#include "shard/npy.hpp"

namespace {

using namespace std::chrono_literals;
using shard::range;
using shard::transfer_state;
using shard_test::counting;
using shard_test::mentions;
using shard_test::moment;
using shard_test::moments_of;
using shard_test::refusal;

using cells = shard::buffer<std::int64_t>;

class SharingDeaths : public shard_test::leaves_nothing {
 protected:
  void SetUp() override {
    leaves_nothing::SetUp();
    if (!shard_test::can_count) GTEST_SKIP() << "needs the processor's trap flag";
    if (shard_test::sanitized) GTEST_SKIP() << "sanitizers add instructions that no one stretches";
  }
};

// For a forked child.
template <class Steps>
[[noreturn]] void leave_after(Steps steps) {
  try {
    steps();
  } catch (...) {
    _exit(1);
  }
  _exit(0);
}

// The moments of `steps`, as a child goes through them.
std::vector<moment> moments(const std::function<void()>& steps) {
  constexpr std::size_t most = 1'000'000;
  constexpr std::size_t bytes = (most + 1) * sizeof(std::uintptr_t);
  void* shared = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  const std::span words(static_cast<std::uintptr_t*>(shared), most + 1);
  const pid_t child = fork();
  if (child == 0) leave_after([&] { words[0] = counting::record(steps, words.subspan(1)); });
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "the steps failed";
  EXPECT_LE(words[0], most);
  const auto found = moments_of(words.subspan(1, std::min<std::size_t>(words[0], most)));
  munmap(shared, bytes);
  return found;
}

// Forks a child that dies at this moment of `steps`, if it comes there. Returns whether it died.
bool dies_at(moment when, const std::function<void()>& steps) {
  const pid_t child = fork();
  if (child == 0) leave_after([&] { counting::interrupt(steps, when, SIGKILL); });
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0)
      << "the child crashed, or threw";
  return WIFSIGNALED(status);
}

// Kills a fresh child at each instruction of `steps` in turn, and calls `look` after each. What one
// finds may send it another way than the recorded one, past its moment; most must come there.
// `steps` must have been run once in this process: what a first time does comes only once.
// `timed` ones go as far as their time allows.
void kill_everywhere(const std::function<void()>& steps,
                     const std::function<void(std::size_t)>& look, bool timed = false) {
  const std::vector<moment> all = moments(steps);
  look(0);
  std::size_t killed = 0;
  for (std::size_t at = 1; at <= all.size() && !testing::Test::HasFailure(); ++at) {
    if (dies_at(all[at - 1], steps)) ++killed;
    look(at);
  }
  if (!timed) {
    EXPECT_GE(killed, all.size() / 2);
  }
  EXPECT_GT(killed, 100u) << "too few instructions to have done anything";
  std::cout << "  killed at " << killed << " of " << all.size() << " instructions\n";
}

// 2048 cells make 4 stripes; the part lies in two of them, and is short enough to be copied by
// instructions (one that copies all of a long part would count as one for each byte).
constexpr std::size_t all = 2048;
constexpr range part{490, 535};
constexpr std::size_t border = 512;
constexpr range part_of_one{600, 645};  // stripe
constexpr range elsewhere{1600, 1700};

std::vector<std::int64_t> values(std::size_t count, std::int64_t each) {
  return std::vector<std::int64_t>(count, each);
}

// Whole and old, whole and new, or known to be torn; in the latter case it can be written again.
void expect_whole_or_torn(cells& some, std::int64_t before, std::int64_t after, std::size_t at,
                          range where = part) {
  std::vector<std::int64_t> seen(where.size());
  const shard::transfer found = some.try_read(where, seen);
  if (found) {
    EXPECT_TRUE(seen == values(where.size(), before) || seen == values(where.size(), after))
        << "a mixture passed for whole, killed at " << at;
  } else {
    ASSERT_EQ(found.state, transfer_state::torn) << "killed at " << at;
    EXPECT_GE(found.torn.first, where.first);
    EXPECT_LE(found.torn.last, where.last);
    // Writers are told, too, before they build on it.
    mentions(refusal([&] { some.write(where, seen); }), {"torn"});
    const std::vector<range> torn = some.torn();
    ASSERT_FALSE(torn.empty());
    EXPECT_LE(torn.front().first, found.torn.first);
    some.clear_torn({0, all});
  }
  EXPECT_TRUE(some.torn().empty());
  // Nobody else was touched.
  std::vector<std::int64_t> other(elsewhere.size());
  some.read(elsewhere, other);
  EXPECT_EQ(other, values(other.size(), before));
  some.write(where, values(where.size(), before));
}

TEST_F(SharingDeaths, OfAWriterAreNeverPassedOffAsClean) {
  cells some(all);
  some.fill({0, all}, 1);
  const auto two = values(part.size(), 2);
  kill_everywhere([&] { some.write(part, two); },
                  [&](std::size_t at) { expect_whole_or_torn(some, 1, 2, at); });
}

// They take another way.
TEST_F(SharingDeaths, OfAWriterOfOneStripeAreNeverPassedOffAsClean) {
  cells some(all);
  some.fill({0, all}, 1);
  const auto two = values(part_of_one.size(), 2);
  kill_everywhere([&] { some.write(part_of_one, two); },
                  [&](std::size_t at) { expect_whole_or_torn(some, 1, 2, at, part_of_one); });
}

TEST_F(SharingDeaths, AreSeenByReadOnlyHandles) {
  cells some(all);
  some.fill({0, all}, 1);
  const auto watching = shard::buffer<const std::int64_t>::reopen(some.descriptor());
  const auto two = values(part.size(), 2);
  kill_everywhere([&] { some.write(part, two); },
                  [&](std::size_t at) {
                    std::vector<std::int64_t> seen(part.size());
                    const shard::transfer found = watching.try_read(part, seen);
                    if (found) {
                      EXPECT_TRUE(seen == values(seen.size(), 1) || seen == two) << at;
                    } else {
                      EXPECT_EQ(found.state, transfer_state::torn) << at;
                      EXPECT_FALSE(watching.torn().empty());
                    }
                    expect_whole_or_torn(some, 1, 2, at);
                  });
}

TEST_F(SharingDeaths, InAFillAnAdditionAndAScatterAreReported) {
  cells some(all);
  some.fill({0, all}, 1);
  kill_everywhere(
      [&] {
        some.fill({505, 515}, 1);
      },
      [&](std::size_t at) { expect_whole_or_torn(some, 1, 1, at); });
  const auto ones = values(8, 1);
  kill_everywhere(
      [&] {
        some.add({508, 516}, ones);
      },
      [&](std::size_t at) {
        std::vector<std::int64_t> seen(8);
        const shard::transfer found = some.try_read({508, 516}, seen);
        EXPECT_TRUE(!found || seen == values(8, 1) || seen == values(8, 2)) << at;
        some.clear_torn({0, all});
        some.write({508, 516}, ones);
      });
  some.fill({0, all}, 1);
  const std::vector<std::size_t> indices{500, 530, border, 500};
  const std::vector<std::int64_t> numbers{2, 2, 2, 2};
  kill_everywhere([&] { some.scatter(indices, numbers); },
                  [&](std::size_t at) {
                    std::vector<std::int64_t> seen(4);
                    try {
                      some.gather(indices, seen);
                      EXPECT_TRUE(seen == values(4, 1) || seen == values(4, 2)) << at;
                    } catch (const shard::torn_error&) {
                      some.clear_torn({0, all});
                    }
                    some.write(part, values(part.size(), 1));
                  });
}

// A long part is copied by one instruction, which a kill can interrupt anywhere, too.
TEST_F(SharingDeaths, InTheMiddleOfALongCopyAreReported) {
  cells some(all);
  some.fill({0, all}, 1);
  const auto two = values(1400, 2);
  std::size_t torn = 0;
  const std::function<void()> steps = [&] { some.write({100, 1500}, two); };
  const std::vector<moment> all_moments = moments(steps);
  some.fill({0, all}, 1);
  for (std::size_t at = 50; at < all_moments.size(); at += 811) {
    EXPECT_TRUE(dies_at(all_moments[at], steps));
    std::vector<std::int64_t> seen(two.size());
    const shard::transfer found = some.try_read({100, 1500}, seen);
    EXPECT_TRUE(!found || seen == two || seen == values(seen.size(), 1)) << "killed at " << at;
    if (found.state == transfer_state::torn) ++torn;
    some.clear_torn({0, all});
    some.fill({0, all}, 1);
  }
  EXPECT_GT(torn, 5u);
}

TEST_F(SharingDeaths, InASlabAreReported) {
  shard::buffer<std::int64_t, 2> some(32, 64);
  const std::array<range, 2> slab{range{6, 10}, range{10, 15}};  // row 8 begins another stripe
  const auto ones = values(20, 1);
  const auto twos = values(20, 2);
  some.fill({0, all}, 1);
  kill_everywhere([&] { some.write_slab(slab, twos); },
                  [&](std::size_t at) {
                    std::vector<std::int64_t> seen(20);
                    try {
                      some.read_slab(slab, seen);
                      EXPECT_TRUE(seen == ones || seen == twos) << "killed at " << at;
                    } catch (const shard::torn_error&) {
                      some.clear_torn({0, all});
                    }
                    some.write_slab(slab, ones);
                    EXPECT_TRUE(some.torn().empty());
                    EXPECT_EQ(some(6, 9), 1);
                    EXPECT_EQ(some(9, 15), 1);
                  });
}

TEST_F(SharingDeaths, OfAReaderLeaveNothing) {
  cells some(all);
  some.fill({0, all}, 1);
  std::vector<std::int64_t> seen(part.size());
  const auto read = [&] { some.read(part, seen); };
  read();
  kill_everywhere(read, [&](std::size_t at) {
    EXPECT_TRUE(some.torn().empty()) << at;
    EXPECT_TRUE(some.try_write(part, values(part.size(), 1))) << at;
  });
}

TEST_F(SharingDeaths, OfANotifierCountItsNoticeOrNot) {
  cells some(1);
  some.notify();
  EXPECT_EQ(some.wait(), 1u);
  kill_everywhere([&] { some.notify(); },
                  [&](std::size_t at) {
                    EXPECT_LE(some.wait_for(0s), 1u) << at;
                    some.notify();
                    EXPECT_EQ(some.wait(), 1u) << at;
                  });
}

TEST_F(SharingDeaths, OfWhoWaitsForANoticeTakeNoneAway) {
  cells some(1);
  static_cast<void>(some.wait_for(0s));
  auto watching = cells::reopen(some.descriptor());
  std::size_t notices = 0;
  kill_everywhere(
      [&] {
        some.notify();
        static_cast<void>(some.wait_for(1h));
        static_cast<void>(some.wait_for(0s));
      },
      [&](std::size_t at) {
        watching.notify();
        notices = watching.wait();
        EXPECT_TRUE(notices == 1 || notices == 2) << at;
      });
}

// A source that ends in the middle: the writer crashes with half of it copied.
class half_a_source {
 public:
  half_a_source() {
    page_ = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    void* got =
        mmap(nullptr, 2 * page_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memory_ = static_cast<std::byte*>(got);
    mprotect(memory_ + page_, page_, PROT_NONE);
  }
  half_a_source(const half_a_source&) = delete;
  half_a_source& operator=(const half_a_source&) = delete;
  ~half_a_source() { munmap(memory_, 2 * page_); }

  // `count` numbers, of which the last can't be read.
  std::span<const std::int64_t> numbers(std::size_t count) const {
    return {reinterpret_cast<const std::int64_t*>(memory_ + page_) - (count - 1), count};
  }

 private:
  std::size_t page_ = 0;
  std::byte* memory_ = nullptr;
};

void tear(cells& some) {
  const half_a_source source;
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);
    leave_after([&] { some.write({400, 800}, source.numbers(400)); });
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

// Whoever puts right what a dead writer left may die in that, too.
TEST_F(SharingDeaths, OfWhoFindsATornRangeLeaveItTorn) {
  cells some(all);
  const auto zeros = values(part.size(), 0);
  some.fill({0, all}, 0);
  tear(some);
  kill_everywhere([&] { static_cast<void>(some.try_write(part, zeros)); },
                  [&](std::size_t at) {
                    std::vector<std::int64_t> seen(400);
                    EXPECT_EQ(some.try_read({400, 800}, seen).state, transfer_state::torn) << at;
                    some.clear_torn({0, all});
                    tear(some);
                  });
}

TEST_F(SharingDeaths, OfWhoClearsATornRangeLeaveItTornOrClear) {
  cells some(all);
  tear(some);
  std::vector<std::int64_t> seen(400);
  EXPECT_EQ(some.try_read({400, 800}, seen).state, transfer_state::torn);
  kill_everywhere(
      [&] {
        some.clear_torn({400, 800});
      },
      [&](std::size_t at) {
        const shard::transfer found = some.try_read({400, 800}, seen);
        EXPECT_NE(found.state, transfer_state::busy) << at;
        if (found) tear(some);
        EXPECT_EQ(some.try_read({400, 800}, seen).state, transfer_state::torn);
      });
}

TEST_F(SharingDeaths, ReportTheRangeToReadersAndWritersUntilItIsCleared) {
  cells some(all);
  some.fill({0, all}, 1);
  tear(some);
  std::vector<std::int64_t> seen(10);
  try {
    some.read({500, 510}, seen);
    ADD_FAILURE() << "a torn range was read";
  } catch (const shard::torn_error& e) {
    EXPECT_EQ(e.elements().first, 400u);
    EXPECT_EQ(e.elements().last, border);  // as far as this stripe goes
    mentions(e.what(), {"[400, 512)", "torn", "clear_torn"});
  }
  mentions(refusal([&] { some.fill({700, 701}, 1); }), {"[512, 800)"});
  mentions(refusal([&] { some.add({0, all}, values(all, 1)); }), {"[400, 800)"});
  some.read({800, 810}, seen);
  some.read({390, 400}, seen);
  const std::vector<range> torn = some.torn();
  ASSERT_EQ(torn.size(), 1u);
  EXPECT_EQ(torn[0].first, 400u);
  EXPECT_EQ(torn[0].last, 800u);
  some.clear_torn({400, 600});
  mentions(refusal([&] { some.read({600, 610}, seen); }), {"[600, 800)"});
  some.clear_torn({600, 800});
  some.read({600, 610}, seen);
  EXPECT_TRUE(some.torn().empty());
}

// A file outlives all who have it open, and what is torn in it does so, too.
TEST_F(SharingDeaths, AreReportedByAFileThatOthersHaveOpenedAndClosedSince) {
  const shard_test::folder place;
  const auto path = place.path() / "shared.npy";
  shard::save(path, cells(all));
  const std::size_t plain = std::filesystem::file_size(path);
  {
    auto some = shard::open_writable<std::int64_t>(path);
    some.fill({0, all}, 1);
    tear(some);
    some.lock();
    some.unlock();
  }
  for (int round = 0; round < 3; ++round) {
    std::vector<std::int64_t> seen(10);
    const auto reading = shard::open<std::int64_t>(path);
    mentions(refusal([&] { reading.read({500, 510}, seen); }), {"[400, 512)"});
    EXPECT_EQ(reading.torn(), (std::vector<range>{{400, 800}}));
    auto writing = shard::open_writable<std::int64_t>(path);
    mentions(refusal([&] { writing.write({500, 510}, seen); }), {"[400, 512)"});
    writing.fill({0, 400}, round);
  }
  auto some = shard::open_writable<std::int64_t>(path);
  some.clear_torn({0, all});
  some.close();
  EXPECT_EQ(std::filesystem::file_size(path), plain);
}

// ---- The lock.

void use_once(cells& some) {
  some.lock();
  some.unlock();
  some.lock_shared();
  some.unlock_shared();
}

TEST_F(SharingDeaths, OfAnExclusiveHolderPassTheLockOn) {
  cells some(4);
  std::size_t abandoned = 0;
  use_once(some);
  kill_everywhere(
      [&] {
        some.lock();
        some[0] = 1;
        some.unlock();
      },
      [&](std::size_t at) {
        ASSERT_TRUE(some.try_lock_for(1min)) << at;
        if (some.abandoned()) {
          ++abandoned;
          some.clear_abandoned();
        } else {
          EXPECT_TRUE(some[0] == 0 || some[0] == 1);
        }
        EXPECT_FALSE(some.abandoned());
        some.unlock();
        some.lock_shared();
        some.unlock_shared();
      });
  EXPECT_GT(abandoned, 0u);
}

// What was changed under the lock and not unlocked is reported, wherever the holder died.
TEST_F(SharingDeaths, OfAHolderWithHalfAChangeAreReported) {
  cells some(2);
  use_once(some);
  kill_everywhere(
      [&] {
        some.lock();
        some[0] = some[0] + 1;
        some[1] = some[1] + 1;
        some.unlock();
      },
      [&](std::size_t at) {
        const std::unique_lock held(some);
        EXPECT_TRUE(some.abandoned() || some[0] == some[1]) << "killed at " << at;
        some.clear_abandoned();
        some[1] = some[0];
      });
}

TEST_F(SharingDeaths, OfASharedHolderPassTheLockOn) {
  cells some(4);
  use_once(some);
  kill_everywhere(
      [&] {
        some.lock_shared();
        some.unlock_shared();
      },
      [&](std::size_t at) {
        ASSERT_TRUE(some.try_lock_for(1min)) << at;
        EXPECT_FALSE(some.abandoned()) << "readers leave nothing half changed";
        some.unlock();
      });
}

TEST_F(SharingDeaths, OfATimedLockerThatGivesUpLeaveNothing) {
  cells some(4);
  use_once(some);
  some.lock_shared();
  kill_everywhere([&] { static_cast<void>(some.try_lock()); },
                  [&](std::size_t at) {
                    const pid_t child = fork();
                    if (child == 0) _exit(some.try_lock_shared() ? 0 : 1);
                    int status = 0;
                    EXPECT_EQ(waitpid(child, &status, 0), child);
                    EXPECT_EQ(status, 0) << "killed at " << at;
                  });
  some.unlock_shared();
  const std::unique_lock held(some);
  EXPECT_FALSE(some.abandoned());
}

// Waiting, giving up, and putting back what was announced meanwhile.
TEST_F(SharingDeaths, OfOneWhoWaitsForALimitedTimeLeaveNothing) {
  cells some(4);
  use_once(some);
  const auto others_can = [&](auto tries) {
    return shard_test::holds_in_a_child([&] {
      if (!tries()) return false;
      some.close();  // which unlocks
      return true;
    });
  };
  some.lock_shared();
  kill_everywhere([&] { EXPECT_FALSE(some.try_lock_for(5ms)); },
                  [&](std::size_t at) {
                    EXPECT_TRUE(others_can([&] { return some.try_lock_shared(); })) << at;
                  },
                  true);
  some.unlock_shared();
  some.lock();
  kill_everywhere(
      [&] { EXPECT_FALSE(some.try_lock_for(5ms)); },
      [&](std::size_t at) { EXPECT_FALSE(others_can([&] { return some.try_lock(); })) << at; },
      true);
  kill_everywhere([&] { EXPECT_FALSE(some.try_lock_shared_for(5ms)); },
                  [&](std::size_t at) {
                    EXPECT_FALSE(others_can([&] { return some.try_lock_shared(); })) << at;
                  },
                  true);
  some.unlock();
  EXPECT_TRUE(others_can([&] { return some.try_lock(); }));
  EXPECT_FALSE(some.abandoned());
}

void die_holding(cells& some, bool exclusively) {
  const pid_t child = fork();
  if (child == 0) {
    exclusively ? some.lock() : some.lock_shared();
    raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

// Whoever takes over from a dead holder may die in that, too: the next one is still told.
TEST_F(SharingDeaths, OfWhoTakesOverFromTheDeadLeaveThatToTheNext) {
  cells some(1);
  use_once(some);
  for (const bool exclusively : {true, false}) {
    die_holding(some, exclusively);
    kill_everywhere(
        [&] {
          some.lock();
          some.unlock();
        },
        [&](std::size_t at) {
          ASSERT_TRUE(some.try_lock_for(1min)) << at;
          EXPECT_TRUE(some.abandoned() || !exclusively) << at;
          some.clear_abandoned();
          some.unlock();
          die_holding(some, exclusively);
        });
  }
}

TEST_F(SharingDeaths, OfWhoSharesAfterTheDeadLeaveThatToTheNext) {
  cells some(1);
  use_once(some);
  die_holding(some, true);
  kill_everywhere(
      [&] {
        some.lock_shared();
        some.unlock_shared();
      },
      [&](std::size_t at) {
        ASSERT_TRUE(some.try_lock_for(1min)) << at;
        EXPECT_TRUE(some.abandoned()) << at;
        some.clear_abandoned();
        some.unlock();
        die_holding(some, true);
      });
}

// Unreaped, it is a zombie with the same pid as before: no matter.
TEST_F(SharingDeaths, OfAnUnreapedHolderPassTheLockOn) {
  cells some(1);
  const pid_t child = fork();
  if (child == 0) {
    some.lock();
    raise(SIGKILL);
  }
  siginfo_t ended{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT), 0);
  ASSERT_TRUE(some.try_lock_for(1min));
  EXPECT_TRUE(some.abandoned());
  some.unlock();
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
}

TEST_F(SharingDeaths, OfWaitersWakeTheNext) {
  cells some(1);
  for (int round = 0; round < 20; ++round) {
    some.lock();
    std::vector<pid_t> waiting;
    for (int i = 0; i < 4; ++i) {
      const pid_t child = fork();
      if (child == 0) {
        i % 2 == 0 ? some.lock() : some.lock_shared();
        _exit(0);
      }
      waiting.push_back(child);
    }
    for (std::size_t i = 0; i < 2; ++i) kill(waiting[i], SIGKILL);
    some.unlock();
    for (const pid_t child : waiting) ASSERT_EQ(waitpid(child, nullptr, 0), child);
    ASSERT_TRUE(some.try_lock_for(1min));
    some.clear_abandoned();
    some.unlock();
  }
}

// ---- Attaching.

// Whoever is killed while it makes room behind a file, or lays out what all share, leaves something
// that the next can use, and a file that is cut back to its data in the end.
TEST_F(SharingDeaths, OfTheFirstToShareAFileLeaveItUsable) {
  const shard_test::folder place;
  const auto path = place.path() / "shared.npy";
  shard::save(path, cells(100));
  const std::size_t plain = std::filesystem::file_size(path);
  const std::function<void()> steps = [&] {
    auto some = shard::open_writable<std::int64_t>(path);
    some.fill({0, 100}, 7);
  };
  steps();
  const std::vector<moment> all_moments = moments(steps);
  std::size_t killed = 0;
  // The file is opened first; what is shared comes late.
  for (std::size_t at = all_moments.size() / 2; at < all_moments.size(); at += 101) {
    if (dies_at(all_moments[at], steps)) ++killed;
    auto some = shard::open_writable<std::int64_t>(path);
    ASSERT_TRUE(some.try_lock_for(1min)) << at;
    some.unlock();
    some.clear_torn({0, 100});
    some.fill({0, 100}, 0);
  }
  EXPECT_GT(killed, 100u);
  std::cout << "  killed at " << killed << " of " << all_moments.size() << " instructions\n";
  EXPECT_EQ(std::filesystem::file_size(path), plain);
}

// ---- Stopped is not dead.

// Stops a child at every other instruction of `steps`, or at each; `look` is called while it is
// stopped, and `after` when it has gone on and ended.
void stop_everywhere(const std::function<void()>& steps, const std::function<void()>& look,
                     const std::function<void()>& after, std::size_t step = 2) {
  const std::vector<moment> all_moments = moments(steps);
  after();
  for (std::size_t at = 0; at < all_moments.size(); at += step) {
    const pid_t child = fork();
    if (child == 0) leave_after([&] { counting::interrupt(steps, all_moments[at], SIGSTOP); });
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
    if (!WIFSTOPPED(status)) continue;
    look();
    kill(child, SIGCONT);
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    after();
    if (testing::Test::HasFailure()) return;
  }
}

TEST_F(SharingDeaths, DoNotIncludeAWriterThatIsStopped) {
  cells some(all);
  const auto two = values(part.size(), 2);
  stop_everywhere([&] { some.write(part, two); },
                  [&] {
                    std::vector<std::int64_t> seen(part.size());
                    const shard::transfer found = some.try_read(part, seen);
                    EXPECT_NE(found.state, transfer_state::torn);
                    EXPECT_TRUE(!found || seen == values(seen.size(), 0) || seen == two);
                    EXPECT_NE(some.try_write(part, values(part.size(), 0)).state,
                              transfer_state::torn);
                    EXPECT_TRUE(some.torn().empty());
                    std::vector<std::int64_t> other(elsewhere.size());
                    EXPECT_TRUE(some.try_read(elsewhere, other)) << "others had to wait";
                  },
                  [&] {
                    std::vector<std::int64_t> seen(part.size());
                    some.read(part, seen);
                    EXPECT_TRUE(seen == two || seen == values(seen.size(), 0));
                    some.fill({0, all}, 0);
                  });
}

// All others that change something.
TEST_F(SharingDeaths, DoNotIncludeOneStoppedInAnyTransfer) {
  cells some(all);
  const std::vector<std::size_t> indices{500, 530, border, 500};
  const auto twos = values(4, 2);
  const std::vector<std::function<void()>> transfers = {[&] {
                                                          some.fill({505, 515}, 2);
                                                        },
                                                        [&] {
                                                          some.add({510, 514}, twos);
                                                        },
                                                        [&] { some.scatter(indices, twos); },
                                                        [&] {
                                                          some.clear_torn({500, 530});
                                                        }};
  for (const auto& steps : transfers) {
    stop_everywhere(
        steps,
        [&] {
          std::vector<std::int64_t> seen(part.size());
          EXPECT_NE(some.try_read(part, seen).state, transfer_state::torn);
          EXPECT_TRUE(some.torn().empty());
          std::vector<std::int64_t> other(elsewhere.size());
          EXPECT_TRUE(some.try_read(elsewhere, other)) << "others had to wait";
        },
        [&] { some.write(part, values(part.size(), 0)); });
  }
}

TEST_F(SharingDeaths, DoNotIncludeASharedHolderThatIsStopped) {
  cells some(1);
  use_once(some);
  stop_everywhere(
      [&] {
        some.lock_shared();
        some.unlock_shared();
      },
      [&] {
        if (some.try_lock()) some.unlock();
        EXPECT_FALSE(some.abandoned());
        // Others may share, whatever it was doing.
        EXPECT_TRUE(some.try_lock_shared());
        some.unlock_shared();
      },
      [&] {
        const std::unique_lock held(some);
        EXPECT_FALSE(some.abandoned());
      });
}

// It has taken nothing, wherever it stands; at worst it keeps others waiting till it goes on.
TEST_F(SharingDeaths, DoNotIncludeOneStoppedWhileItTries) {
  cells some(1);
  use_once(some);
  some.lock_shared();
  stop_everywhere([&] { static_cast<void>(some.try_lock()); },
                  [&] {
                    EXPECT_TRUE(shard_test::holds_in_a_child([&] {
                      if (some.try_lock_shared_for(1ms)) some.unlock_shared();
                      return !some.abandoned();
                    }));
                  },
                  [&] {
                    EXPECT_TRUE(shard_test::holds_in_a_child([&] {
                      const bool got = some.try_lock_shared();
                      if (got) some.unlock_shared();
                      return got;
                    }));
                  });
  some.unlock_shared();
  const std::unique_lock held(some);
  EXPECT_FALSE(some.abandoned());
}

TEST_F(SharingDeaths, DoNotIncludeAHolderThatIsStopped) {
  cells some(2);
  use_once(some);
  stop_everywhere(
      [&] {
        some.lock();
        some[0] = 1;
        some[1] = 1;
        some.unlock();
      },
      [&] {
        if (some.try_lock()) {
          EXPECT_EQ(some[0], some[1]);
          some.unlock();
        }
        EXPECT_FALSE(some.abandoned());
      },
      [&] {
        const std::unique_lock held(some);
        EXPECT_FALSE(some.abandoned());
        EXPECT_EQ(some[0], 1);
        EXPECT_EQ(some[1], 1);
        some[0] = 0;
        some[1] = 0;
      });
}

TEST_F(SharingDeaths, MakeReadOnlyHandlesSayBusyForTheStopped) {
  cells some(all);
  some.fill({0, all}, 1);
  const auto watching = shard::buffer<const std::int64_t>::reopen(some.descriptor());
  bool was_busy = false;
  const auto ones = values(part.size(), 1);
  stop_everywhere([&] { some.write(part, ones); },
                  [&] {
                    std::vector<std::int64_t> seen(part.size());
                    const shard::transfer found = watching.try_read(part, seen);
                    EXPECT_NE(found.state, transfer_state::torn);
                    if (found.state == transfer_state::busy && !was_busy) {
                      was_busy = true;
                      mentions(refusal([&] { watching.read(part, seen); }), {"writing", "try"});
                    }
                  },
                  [] {});
  EXPECT_TRUE(was_busy);
}

// Whoever puts right what the dead left may be stopped in that, at any instruction: what was torn
// before is so all the time, for all who look.
TEST_F(SharingDeaths, AreReportedWhileWhoPutsThemRightIsStopped) {
  cells some(all);
  some.fill({0, all}, 1);
  tear(some);
  const auto watching = shard::buffer<const std::int64_t>::reopen(some.descriptor());
  std::vector<std::int64_t> seen(10);
  EXPECT_EQ(watching.try_read({500, 510}, seen).state, transfer_state::torn);
  const auto zeros = values(part.size(), 0);
  const std::vector<range> torn{{400, 800}};
  std::size_t looks = 0;
  stop_everywhere([&] { static_cast<void>(some.try_write(part, zeros)); },
                  [&] {
                    ++looks;
                    EXPECT_EQ(some.torn(), torn);
                    EXPECT_EQ(watching.torn(), torn);
                    EXPECT_EQ(watching.try_read({500, 510}, seen).state, transfer_state::torn);
                    EXPECT_EQ(some.try_read({520, 530}, seen).state, transfer_state::torn);
                  },
                  [&] {
                    EXPECT_EQ(some.torn(), torn);
                    some.clear_torn({0, all});
                    tear(some);
                  },
                  1);
  EXPECT_GT(looks, 100u);
}

TEST_F(SharingDeaths, OfAHolderAreReportedWhileItsSuccessorIsStopped) {
  cells some(1);
  use_once(some);
  die_holding(some, true);
  const auto watching = some.read_only();
  std::size_t looks = 0;
  std::size_t missed = 0;
  stop_everywhere(
      [&] {
        some.lock();
        some.unlock();
      },
      [&] {
        ++looks;
        if (!watching.abandoned()) ++missed;
        EXPECT_EQ(watching.stats().abandoned, watching.abandoned());
      },
      [&] {
        EXPECT_TRUE(some.abandoned());
        some.clear_abandoned();
        die_holding(some, true);
      },
      1);
  EXPECT_GT(looks, 100u);
  EXPECT_LE(missed, 4u) << "more than the instructions of the C library in which it changes hands";
}

}  // namespace
