// Waiting until an element changes, in threads and in processes that share nothing but the
// elements.

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "asleep.hpp"
#include "backings.hpp"
#include "process/family.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using namespace std::chrono_literals;
using shard_test::bystander;
using shard_test::folder;
using shard_test::for_each_backing;
using shard_test::holds_in_a_child;
using shard_test::is_asleep;
using shard_test::mentions;
using shard_test::refusal;
using shard_test::wait_until_asleep;
using shard_test::wait_until_process_asleep;

template <class T>
concept can_wait = requires(const shard::buffer<T>& b, T old) { b.wait(0, old); };
template <class T>
concept can_wake = requires(shard::buffer<T>& b) {
  b.notify_one(0);
  b.notify_all(0);
};

static_assert(can_wait<int> && can_wake<int> && can_wait<double> && can_wake<float>);
static_assert(can_wait<const long> && !can_wake<const long>);
static_assert(!can_wait<char> && !can_wait<bool> && !can_wait<std::int16_t> &&
              !can_wait<std::byte> && !can_wait<long double> && !can_wait<shard::text<4>>);

// Other bits than 0, which differ from it in one half alone.
template <class T>
T high() {
  if constexpr (sizeof(T) == 8) {
    return std::bit_cast<T>(std::uint64_t{1} << 40);
  } else {
    return std::bit_cast<T>(std::uint32_t{1} << 20);
  }
}

template <class T>
class Waiting : public testing::Test {};
using waitable =
    testing::Types<std::int32_t, std::uint32_t, std::int64_t, std::uint64_t, float, double>;
TYPED_TEST_SUITE(Waiting, waitable, );

TYPED_TEST(Waiting, IsOverAtOnceWhereTheElementDiffers) {
  using T = TypeParam;
  for_each_backing<T>(
      [](shard::buffer<T> some) {
        EXPECT_EQ(some.wait(1, high<T>()), T{0});
        some.store(1, high<T>());
        EXPECT_EQ(some.wait(1, T{0}), high<T>());
        EXPECT_EQ(some.read_only().wait(1, T{0}), high<T>());
        EXPECT_EQ(some.wait_for(1, T{0}, 0s), high<T>());
      },
      3);
}

TYPED_TEST(Waiting, IsOverAfterItsLimitWhereItDoesNot) {
  using T = TypeParam;
  shard::buffer<T> some(3);
  for (const auto limit : {-1ms, 0ms, 1ms, 15ms}) {
    EXPECT_EQ(some.wait_for(1, T{0}, limit), std::nullopt);
    EXPECT_EQ(some.read_only().wait_for(1, T{0}, limit), std::nullopt);
  }
  EXPECT_EQ(some.wait_for(1, T{0}, std::numeric_limits<double>::quiet_NaN() * 1s), std::nullopt);
}

// The other process has a mapping of its own, by the descriptor: what forked copies share by their
// address says nothing of others.
TYPED_TEST(Waiting, HearsOfAnotherProcessInEveryBacking) {
  using T = TypeParam;
  for_each_backing<T>(
      [](shard::buffer<T> some) {
        for (const bool only_reads : {false, true}) {
          some.store(1, T{0});
          some.store(2, T{0});
          bystander other([&] {
            const auto own = only_reads ? shard::buffer<const T>::reopen(some.descriptor())
                                        : shard::buffer<T>::reopen(some.descriptor());
            some.store(2, T{1});
            some.notify_one(2);
            return own.wait(1, T{0}) == high<T>() && own[0] == T{5};
          });
          EXPECT_EQ(some.wait(2, T{0}), T{1});
          wait_until_process_asleep(other.pid());
          some[0] = T{5};
          some.store(1, high<T>());
          some.notify_all(1);
          EXPECT_TRUE(other.succeeded());
          some[0] = T{0};
        }
      },
      3);
}

TYPED_TEST(Waiting, HearsOfAForkedProcess) {
  using T = TypeParam;
  shard::buffer<T> some(3);
  bystander other([&] { return some.wait(1, T{0}) == high<T>(); });
  wait_until_process_asleep(other.pid());
  some.store(1, high<T>());
  some.notify_one(1);
  EXPECT_TRUE(other.succeeded());
}

// It sleeps, and does not look all the time: also at memory that nobody has touched.
TEST(Wait, ThroughAReadOnlyHandleSleepsOverUntouchedMemory) {
  constexpr std::size_t count = std::size_t{1} << 18;
  for_each_backing<std::int64_t>(
      [](shard::buffer<std::int64_t> some) {
        bystander other([&] {
          const auto own = shard::buffer<const std::int64_t>::reopen(some.descriptor());
          return own.wait(count / 2, 0) == 7;
        });
        wait_until_process_asleep(other.pid());
        some.store(count / 2, 7);
        some.notify_all(count / 2);
        EXPECT_TRUE(other.succeeded());
      },
      count);
}

// ---- No wake is lost.

// Two processes, which change in turns the half of an element that no futex of 4 bytes at its
// beginning sees. One sleeps. The other looks all the time, and answers a little later each time:
// now before the first has gone to sleep, now meanwhile, now after. A lost wake is a limit that
// passes.
bool play(int rounds) {
  constexpr std::uint64_t answered = std::uint64_t{1} << 32;
  shard::buffer<std::uint64_t> some(2);
  bystander answers([&] {
    auto own = shard::buffer<std::uint64_t>::reopen(some.descriptor());
    for (int k = 0; k < rounds; ++k) {
      while (own.load(0) != 0) {
      }
      for (int pause = 0; pause < 10 * (k % 100); ++pause) own.load(1);
      own.store(0, answered);
      own.notify_one(0);
      while (own.load(1) <= static_cast<std::uint64_t>(k)) {
      }
    }
    return true;
  });
  bool fine = true;
  for (int k = 0; k < rounds && fine; ++k) {
    fine = some.wait_for(0, 0, 10s) == answered;
    some.store(0, 0);
    some.fetch_add(1, 1);
  }
  if (!fine) kill(answers.pid(), SIGKILL);
  return answers.succeeded() && fine;
}

// What the kernel compares is the whole element: here one that has changed since it was looked at.
TEST(Wait, ForAnElementThatHasChangedInEitherHalfDoesNotSleep) {
  const shard::buffer<std::uint64_t> some(std::vector<std::uint64_t>{1, std::uint64_t{1} << 32});
  const std::uint32_t old[] = {0, 0};
  for (const std::uint64_t& each : some) shard::detail::sleep_at(&each, old, {});
}

TEST(Wait, ForTheOtherHalfOfAnElementLosesNoWake) { EXPECT_TRUE(play(20'000)); }

// From now on, for this process and all that it forks.
bool deny(long call) {
  sock_filter steps[]{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{static_cast<unsigned short>(std::size(steps)), steps};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

constexpr long futex_waitv = 449;

// Linux before 5.16, and sandboxes.
TEST(Wait, LosesNoWakeWhereTheSystemWaitsForOneWordOnly) {
  if (!holds_in_a_child([] { return deny(futex_waitv); })) GTEST_SKIP() << "no filters here";
  EXPECT_TRUE(holds_in_a_child([] { return deny(futex_waitv) && play(2'000); }));
}

TEST(Wait, EndsWhereASandboxDeniesFutexes) {
  if (!holds_in_a_child([] { return deny(futex_waitv); })) GTEST_SKIP() << "no filters here";
  EXPECT_TRUE(holds_in_a_child([] {
    shard::buffer<std::int64_t> wide(1);
    shard::buffer<std::int32_t> narrow(1);
    bystander other([&] {
      return deny(SYS_futex) && deny(futex_waitv) && wide.wait(0, 0) == 1 &&
             narrow.wait(0, 0) == 1 && !narrow.wait_for(0, 1, 5ms) && !wide.wait_for(0, 1, 5ms);
    });
    wait_until_process_asleep(other.pid());
    wide.store(0, 1);
    narrow.store(0, 1);
    return other.succeeded();
  }));
}

// ---- What ends a wait, and what doesn't.

void ignore_it(int) {}

TEST(Wait, IsNotEndedBySignals) {
  struct sigaction before {};
  struct sigaction interrupts {};
  interrupts.sa_handler = ignore_it;  // no SA_RESTART: calls end with EINTR
  ASSERT_EQ(sigaction(SIGUSR1, &interrupts, &before), 0);
  shard::buffer<std::int64_t> wide(1);
  shard::buffer<std::int32_t> narrow(1);
  const auto check = [](auto& some) {
    std::atomic<pid_t> id = 0;
    std::atomic<bool> over = false;
    std::thread waits([&] {
      id = gettid();
      EXPECT_EQ(some.wait(0, 0), 1);
      over = true;
    });
    while (id == 0) std::this_thread::yield();
    for (int k = 0; k < 5; ++k) {
      wait_until_asleep(id);
      pthread_kill(waits.native_handle(), SIGUSR1);
    }
    wait_until_asleep(id);
    some.notify_all(0);  // unchanged: goes on waiting
    wait_until_asleep(id);
    EXPECT_FALSE(over);
    some.store(0, 1);
    some.notify_all(0);
    waits.join();
  };
  check(wide);
  check(narrow);
  sigaction(SIGUSR1, &before, nullptr);
}

// Who is woken spins from then on, and never sleeps.
TEST(Wait, OneOfThemIsWokenByNotifyOneAndAllByNotifyAll) {
  const auto check = [](auto some) {
    std::atomic<bool> done = false;
    std::atomic<pid_t> ids[3] = {};
    std::vector<std::thread> threads;
    for (auto& id : ids) {
      threads.emplace_back([&] {
        id = gettid();
        EXPECT_EQ(some.wait(0, 0), 1);
        while (!done) {
        }
      });
    }
    for (auto& id : ids) {
      while (id == 0) std::this_thread::yield();
      wait_until_asleep(id);
    }
    const auto sleepers = [&] {
      int count = 0;
      for (auto& id : ids) count += is_asleep(id) ? 1 : 0;
      return count;
    };
    some.store(0, 1);
    EXPECT_EQ(sleepers(), 3) << "a store wakes nobody";
    some.notify_one(0);
    EXPECT_EQ(sleepers(), 2);
    some.notify_one(0);
    EXPECT_EQ(sleepers(), 1);
    some.notify_all(0);
    EXPECT_EQ(sleepers(), 0);
    done = true;
    for (auto& each : threads) each.join();
  };
  check(shard::buffer<std::int32_t>(1));
  check(shard::buffer<std::int64_t>(1));
}

TEST(Wait, ForOneElementIsNotDisturbedByAnother) {
  shard::buffer<std::int32_t> some(2);
  std::atomic<pid_t> id = 0;
  std::thread waits([&] {
    id = gettid();
    EXPECT_EQ(some.wait(1, 0), 7);
  });
  while (id == 0) std::this_thread::yield();
  wait_until_asleep(id);
  some.store(0, 3);
  some.notify_all(0);
  EXPECT_TRUE(is_asleep(id));
  some.store(1, 7);
  some.notify_all(1);
  waits.join();
}

TEST(Wait, ForADeadNotifierEndsByItsLimit) {
  shard::buffer<std::int64_t> some(1);
  bystander dies([&] {
    raise(SIGKILL);
    some.store(0, 1);
    return true;
  });
  EXPECT_FALSE(dies.succeeded());
  EXPECT_EQ(some.wait_for(0, 0, 20ms), std::nullopt);
}

// As std::atomic: bits, not values.
TEST(Wait, ComparesBits) {
  shard::buffer<double> some(1);
  some[0] = -0.0;
  EXPECT_EQ(some.wait(0, 0.0), 0.0);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  some[0] = nan;
  EXPECT_EQ(some.wait_for(0, nan, 1ms), std::nullopt);
}

TEST(Wait, SeesWhatWasWrittenBefore) {
  shard::buffer<std::int64_t> some(2);
  std::thread waits([&] {
    EXPECT_EQ(some.wait(0, 0), 1);
    EXPECT_EQ(some[1], 42);
  });
  some[1] = 42;
  some.store(0, 1);
  some.notify_one(0);
  waits.join();
}

// ---- Where else, and where not.

TEST(Wait, HearsOfAKernel) {
  shard::buffer<std::int64_t> some(2);
  bystander other([&] { return some.wait(1, 0) == 7; });
  wait_until_process_asleep(other.pid());
  shard::map(10, shard::shared(some), [](std::size_t i, shard::shared_view<std::int64_t> at) {
    if (i != 5) return;
    at.store(1, 7);
    at.notify_all(1);
    if (at.wait(1, 0) != 7 || at.wait_for(1, 7, 1ms)) std::abort();
    at.notify_one(1);
  });
  EXPECT_TRUE(other.succeeded());
}

TEST(Wait, ForAnElementOfHigherRankTakesAllIndices) {
  shard::buffer<int, 2> some(3, 4);
  some.store({2, 1}, 5);
  EXPECT_EQ(some.wait({2, 1}, 0), 5);
  some.notify_all({2, 1});
  mentions(refusal([&] { some.wait({2, 4}, 0); }), {"found index 4 in dimension 1"});
}

TEST(Wait, RefusesAnIndexOutsideAndAClosedBuffer) {
  shard::buffer<int> some(3);
  mentions(refusal([&] { some.wait(3, 1); }), {"found index 3"});
  mentions(refusal([&] { static_cast<void>(some.wait_for(3, 1, 1ms)); }), {"found index 3"});
  mentions(refusal([&] { some.notify_one(3); }), {"found index 3"});
  mentions(refusal([&] { some.notify_all(3); }), {"found index 3"});
  some.close();
  mentions(refusal([&] { some.wait(0, 1); }), {"found it closed"});
  mentions(refusal([&] { static_cast<void>(some.wait_for(0, 1, 1ms)); }), {"found it closed"});
  mentions(refusal([&] { some.notify_one(0); }), {"found it closed"});
  mentions(refusal([&] { some.notify_all(0); }), {"found it closed"});
}

}  // namespace
