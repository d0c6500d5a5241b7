// The lock of a buffer between threads.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <latch>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "asleep.hpp"
#include "memory/control.hpp"
#include "memory/segment.hpp"
#include "process/family.hpp"
#include "refusal.hpp"
#include "shard/buffer.hpp"

namespace {

using namespace std::chrono_literals;
using shard_test::holds_in_a_child;
using shard_test::mentions;
using shard_test::refusal;

// What another thread finds.
template <class Steps>
auto elsewhere(Steps steps) {
  decltype(steps()) found{};
  std::thread([&] { found = steps(); }).join();
  return found;
}

bool free_for_all(shard::buffer<int>& of) {
  return elsewhere([&] {
    if (!of.try_lock()) return false;
    of.unlock();
    return true;
  });
}
bool free_to_share(shard::buffer<int>& of) {
  return elsewhere([&] {
    if (!of.try_lock_shared()) return false;
    of.unlock_shared();
    return true;
  });
}

TEST(Lock, ExcludesEverybodyElse) {
  shard::buffer<int> some(1);
  {
    const std::unique_lock held(some);
    EXPECT_FALSE(free_for_all(some));
    EXPECT_FALSE(free_to_share(some));
  }
  EXPECT_TRUE(free_for_all(some));
  EXPECT_FALSE(some.abandoned());
}

TEST(Lock, IsSharedByMany) {
  shard::buffer<int> some(1);
  {
    const std::shared_lock held(some);
    EXPECT_TRUE(free_to_share(some));
    EXPECT_FALSE(free_for_all(some));
  }
  EXPECT_TRUE(free_for_all(some));
}

TEST(Lock, IsOneForAllHandles) {
  shard::buffer<int> some(1);
  auto other = shard::buffer<int>::reopen(some.descriptor());
  const std::unique_lock held(some);
  EXPECT_FALSE(free_for_all(other));
}

TEST(Lock, TellsAThreadThatHoldsItAlready) {
  shard::buffer<int> some(1);
  auto other = shard::buffer<int>::reopen(some.descriptor());
  const auto asks = [](auto& handle) {
    mentions(refusal([&] { handle.lock(); }), {"cannot lock", "this thread already"});
    mentions(refusal([&] { handle.lock_shared(); }), {"this thread already"});
    mentions(refusal([&] { static_cast<void>(handle.try_lock()); }), {"this thread already"});
  };
  some.lock();
  asks(some);
  asks(other);
  some.unlock();
  some.lock_shared();
  asks(some);
  asks(other);
  some.unlock_shared();
  EXPECT_TRUE(free_for_all(some));
}

TEST(Lock, IsUnlockedByItsHolderAlone) {
  shard::buffer<int> some(1);
  mentions(refusal([&] { some.unlock(); }), {"cannot unlock", "not locked by this thread"});
  mentions(refusal([&] { some.unlock_shared(); }), {"cannot unlock"});
  some.lock();
  mentions(refusal([&] { some.unlock_shared(); }), {"cannot unlock"});
  EXPECT_TRUE(elsewhere([&] { return !refusal([&] { some.unlock(); }).empty(); }));
  EXPECT_FALSE(free_for_all(some));
  some.unlock();
}

TEST(Lock, OutlivesAHandleThatAnotherThreadCloses) {
  for (const bool shared : {false, true}) {
    auto some = std::make_unique<shard::buffer<int>>(10);
    auto other = shard::buffer<int>::reopen(some->descriptor());
    std::atomic<int> step = 0;
    std::thread holder([&] {
      shared ? some->lock_shared() : some->lock();
      step = 1;
      step.notify_one();
      step.wait(1);
      // What the thread does next goes through the list of all that it holds.
      shard::buffer<int> next(3);
      for (int i = 0; i < 3; ++i) {
        const std::unique_lock held(next);
        next.write({0, 3}, std::vector<int>{i, i, i});
      }
      EXPECT_FALSE(free_for_all(other));
    });
    step.wait(0);
    some.reset();
    step = 2;
    step.notify_one();
    holder.join();
    EXPECT_TRUE(free_for_all(other)) << "the end of the thread is that of its lock";
    EXPECT_EQ(other.abandoned(), !shared);
  }
}

// What is kept for the holder is the words by which it locked, and those for no longer than needed.
TEST(Lock, KeepsOfClosedHandlesOnlyTheHoldersAndUntilItEnds) {
  for (const bool shared : {false, true}) {
    auto one = std::make_unique<shard::buffer<int>>(10);
    auto two = std::make_unique<shard::buffer<int>>(shard::buffer<int>::reopen(one->descriptor()));
    auto other = shard::buffer<int>::reopen(one->descriptor());
    for (auto* each : {one.get(), two.get(), &other}) each->write({0, 1}, std::vector<int>{1});
    EXPECT_EQ(other.stats().writers, 3u);
    std::atomic<int> step = 0;
    std::thread holder([&] {
      shared ? one->lock_shared() : one->lock();
      step = 1;
      step.notify_one();
      step.wait(1);
    });
    step.wait(0);
    two.reset();
    EXPECT_EQ(other.stats().writers, 2u) << "the lock was not taken by it";
    one.reset();
    EXPECT_EQ(other.stats().writers, 2u) << "the words are still mapped";
    step = 2;
    step.notify_one();
    holder.join();
    EXPECT_EQ(other.stats().writers, 1u);
  }
}

// Statics are destroyed after what is local to the main thread.
TEST(Lock, MayBeTakenInDestructorsOfStaticVariables) {
  const pid_t child = fork();
  if (child == 0) {
    static shard::buffer<int> some(10);
    some.lock();
    some.unlock();
    some.lock_shared();
    std::atexit([] {
      const std::vector<int> mine(6, 7);  // where what the thread knew of its locks has been
      some.unlock_shared();
      some.lock();
      some.unlock();
      if (mine != std::vector<int>(6, 7)) _exit(1);
    });
    std::exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

// They are destroyed in the reverse order of their making, which may be before the first lock.
TEST(Lock, MayBeHeldByThreadLocalVariables) {
  for (const bool locks : {true, false}) {
    EXPECT_TRUE(holds_in_a_child([locks] {
      static shard::buffer<int> some(10);
      static shard::buffer<int> another(10);
      std::thread([locks] {
        thread_local std::unique_lock<shard::buffer<int>> lasting(some, std::defer_lock);
        thread_local std::shared_lock<shard::buffer<int>> lasting_too(another, std::defer_lock);
        thread_local auto handle = shard::buffer<int>::reopen(some.descriptor());
        if (locks) {
          lasting.lock();
          lasting_too.lock();
        } else {
          handle.lock();
        }
      }).join();
      return free_for_all(some) && free_for_all(another) && !some.abandoned();
    }));
  }
}

TEST(Lock, IsRefusedToAThreadThatHoldsAsManyAsCanBeHandedOn) {
  if (shard_test::thread_sanitizer) GTEST_SKIP() << "ThreadSanitizer has no room for so many";
  EXPECT_TRUE(holds_in_a_child([] {
    rlimit descriptors{};
    getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = descriptors.rlim_max;
    setrlimit(RLIMIT_NOFILE, &descriptors);
    std::deque<shard::buffer<int>> many;
    std::string refused;
    while (refused.empty() && many.size() < 3000) {
      if (!refusal([&] { many.emplace_back(1); }).empty()) return true;  // for want of descriptors
      refused = refusal([&] { many.back().lock(); });
    }
    return refused.find("1900 locks held by this thread") != std::string::npos ||
           refused.find("ulimit -n") != std::string::npos;
  }));
}

TEST(Lock, GivesUpAtItsDeadline) {
  shard::buffer<int> some(1);
  some.lock();
  EXPECT_FALSE(elsewhere([&] { return some.try_lock_for(2ms); }));
  EXPECT_FALSE(elsewhere([&] { return some.try_lock_shared_for(2ms); }));
  EXPECT_FALSE(
      elsewhere([&] { return some.try_lock_until(std::chrono::system_clock::now() - 1h); }));
  some.unlock();
  some.lock_shared();
  EXPECT_FALSE(elsewhere([&] { return some.try_lock_for(2ms); }));
  some.unlock_shared();
  // One that gave up leaves nothing that others would wait for.
  EXPECT_TRUE(free_to_share(some));
  EXPECT_TRUE(free_for_all(some));
  EXPECT_TRUE(elsewhere([&] {
    const bool got = some.try_lock_for(std::chrono::hours::max());
    some.unlock();
    return got;
  }));
}

// As far away as numbers go: differences from now would overflow.
TEST(Lock, IsNotWaitedForUntilWhatIsLongPast) {
  using std::chrono::hours;
  using std::chrono::steady_clock;
  using std::chrono::system_clock;
  using std::filesystem::file_time_type;
  shard::buffer<int> some(1);
  const auto gives_up = [&](auto until) {
    return elsewhere(
        [&] { return !some.try_lock_until(until) && !some.try_lock_shared_until(until); });
  };
  const auto gives_up_after = [&](auto limit) {
    return elsewhere([&] { return !some.try_lock_for(limit) && !some.try_lock_shared_for(limit); });
  };
  some.lock();
  EXPECT_TRUE(gives_up(steady_clock::time_point::min()));
  EXPECT_TRUE(gives_up(system_clock::time_point::min()));
  EXPECT_TRUE(gives_up(file_time_type::min()));
  EXPECT_TRUE(gives_up(std::chrono::time_point<system_clock, hours>::min()));
  EXPECT_TRUE(gives_up(steady_clock::now() - 1ns));
  EXPECT_TRUE(gives_up_after(hours(-3'000'000)));
  EXPECT_TRUE(gives_up_after(hours::min()));
  EXPECT_TRUE(gives_up_after(-std::chrono::duration<double>(HUGE_VAL)));
  EXPECT_TRUE(gives_up_after(std::chrono::duration<double>(std::nan(""))));
  some.unlock();
  EXPECT_EQ(some.wait_for(std::chrono::seconds(-10'000'000'000)), 0u);
  EXPECT_EQ(some.wait_for(std::chrono::seconds::min()), 0u);
}

TEST(Lock, IsWaitedForUntilTheFarFuture) {
  using std::chrono::hours;
  using std::chrono::steady_clock;
  using std::chrono::system_clock;
  using std::filesystem::file_time_type;
  shard::buffer<int> some(1);
  const auto gets_it = [&](auto ask) {
    some.lock();
    std::atomic<bool> asks = false;
    bool got = false;
    std::thread waits([&] {
      asks = true;
      got = ask();
      if (got) some.unlock();
    });
    while (!asks) std::this_thread::yield();
    some.unlock();
    waits.join();
    return got;
  };
  const auto by = [&](auto until) { return [&some, until] { return some.try_lock_until(until); }; };
  EXPECT_TRUE(gets_it(by(steady_clock::time_point::max())));
  EXPECT_TRUE(gets_it(by(system_clock::time_point::max())));
  EXPECT_TRUE(gets_it(by(file_time_type::max())));
  EXPECT_TRUE(gets_it(by(std::chrono::time_point<system_clock, hours>::max())));
  EXPECT_TRUE(gets_it(by(system_clock::now() + 1h)));
  EXPECT_TRUE(gets_it([&] { return some.try_lock_for(hours::max()); }));
  EXPECT_TRUE(gets_it([&] { return some.try_lock_for(std::chrono::duration<double>(HUGE_VAL)); }));
  some.notify();
  EXPECT_EQ(some.wait_for(hours::max()), 1u);
}

TEST(Lock, IsHandedToWhoWaits) {
  shard::buffer<int> some(1);
  some.lock();
  std::thread exclusive([&] {
    const std::unique_lock held(some);
    ++some[0];
  });
  std::thread shared([&] { const std::shared_lock held(some); });
  std::thread timed([&] {
    ASSERT_TRUE(some.try_lock_for(1h));
    ++some[0];
    some.unlock();
  });
  some.unlock();
  exclusive.join();
  shared.join();
  timed.join();
  EXPECT_EQ(some[0], 2);
}

// Plain increments and plain reads: ThreadSanitizer watches, too.
TEST(Lock, GuardsPlainAccesses) {
  shard::buffer<int> some(2);
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        const std::unique_lock held(some);
        ++some[0];
        ++some[1];
      }
    });
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        const std::shared_lock held(some);
        if (some[0] != some[1]) ++wrong;
      }
    });
  }
  for (auto& each : threads) each.join();
  EXPECT_EQ(some[0], 1500);
  EXPECT_EQ(wrong, 0);
}

TEST(Lock, HasRoomForMoreSharersThanSlots) {
  constexpr std::size_t many = shard::memory::shared_slots + 6;
  shard::buffer<int> some(1);
  std::atomic<std::size_t> through = 0;
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < many; ++t) {
    threads.emplace_back([&] {
      const std::shared_lock held(some);
      ++through;
    });
  }
  for (auto& each : threads) each.join();
  EXPECT_EQ(through, many);
  EXPECT_TRUE(free_for_all(some));
}

// The holder that stays has the slot that every thread begins with, and waits for the last thread.
TEST(Lock, IsSharedOnceAnySlotIsFree) {
  constexpr std::ptrdiff_t others = shard::memory::shared_slots - 1;
  shard::buffer<int> some(1);
  some.lock_shared();
  std::latch others_have_shared(others);
  std::latch others_may_go(1);
  std::vector<std::thread> holders;
  for (std::ptrdiff_t t = 0; t < others; ++t) {
    holders.emplace_back([&] {
      const std::shared_lock held(some);
      others_have_shared.count_down();
      others_may_go.wait();
    });
  }
  others_have_shared.wait();
  EXPECT_FALSE(free_to_share(some));
  EXPECT_FALSE(elsewhere([&] { return some.try_lock_shared_for(2ms); }));
  std::atomic<pid_t> waiting = 0;
  std::thread last([&] {
    waiting = gettid();
    const std::shared_lock held(some);
  });
  while (waiting == 0) std::this_thread::yield();
  shard_test::wait_until_asleep(waiting);
  others_may_go.count_down();
  last.join();
  some.unlock_shared();
  for (auto& each : holders) each.join();
  EXPECT_TRUE(free_for_all(some));
}

TEST(Lock, IsLetGoWhenItsHandleIsClosed) {
  shard::buffer<int> stays(1);
  {
    auto goes = shard::buffer<int>::reopen(stays.descriptor());
    goes.lock();
    EXPECT_FALSE(free_for_all(stays));
  }
  EXPECT_TRUE(free_for_all(stays));
  EXPECT_FALSE(stays.abandoned()) << "it was closed, not killed";
  {
    auto goes = shard::buffer<int>::reopen(stays.descriptor());
    goes.lock_shared();
  }
  EXPECT_TRUE(free_for_all(stays));
}

TEST(Lock, IsNotHeldByAForkedChild) {
  shard::buffer<int> some(1);
  some.lock();
  EXPECT_TRUE(holds_in_a_child([&] {
    return !some.try_lock() && !refusal([&] { some.unlock(); }).empty() && !some.try_lock_for(1ms);
  }));
  EXPECT_FALSE(free_for_all(some)) << "the child has unlocked it";
  some.unlock();
  EXPECT_TRUE(holds_in_a_child([&] {
    some.lock();
    some.unlock();
    return true;
  }));
}

TEST(Lock, LetsItsHolderTransfer) {
  shard::buffer<int> some(1000);
  const std::unique_lock held(some);
  std::vector<int> values(1000, 3);
  some.write({0, 1000}, values);
  some.add({0, 1000}, values);
  some.read({0, 1000}, values);
  EXPECT_EQ(values, std::vector<int>(1000, 6));
}

TEST(Notice, CountsWhatThisHandleHasNotSeen) {
  shard::buffer<int> some(1);
  auto other = shard::buffer<int>::reopen(some.descriptor());
  EXPECT_EQ(some.wait_for(0s), 0u);
  other.notify();
  other.notify();
  EXPECT_EQ(some.wait(), 2u);
  EXPECT_EQ(some.wait_for(1ms), 0u);
  EXPECT_EQ(other.wait(), 2u) << "each handle counts by itself";
}

TEST(Notice, IsCountedByOneOfTheThreadsThatShareAHandle) {
  constexpr std::size_t many = 500;
  shard::buffer<int> some(1);
  std::atomic<bool> done = false;
  std::atomic<std::size_t> counted = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (;;) {
        const bool last = done;
        const std::size_t found = some.wait_for(last ? 0ms : 1ms);
        counted += found;
        if (last && found == 0) return;
      }
    });
  }
  for (std::size_t i = 0; i < many; ++i) {
    some.notify();
    while (counted <= i) std::this_thread::yield();
  }
  done = true;
  for (auto& each : threads) each.join();
  EXPECT_EQ(counted, many);
  EXPECT_EQ(some.wait_for(0s), 0u);
}

TEST(Notice, CarriesWhatWasWrittenBefore) {
  shard::buffer<int> some(1);
  std::thread waits([&] {
    EXPECT_EQ(some.wait(), 1u);
    EXPECT_EQ(some[0], 42);
  });
  some[0] = 42;
  some.notify();
  waits.join();
}

TEST(Notice, IsReadableInEventLoops) {
  shard::buffer<int> some(1);
  const int event = some.event_descriptor();
  EXPECT_EQ(event, some.event_descriptor());
  std::uint64_t count = 0;
  EXPECT_EQ(read(event, &count, sizeof count), -1);
  some.notify();
  EXPECT_TRUE(holds_in_a_child([&] {
    some.notify();
    return true;
  }));
  ASSERT_EQ(read(event, &count, sizeof count), 8);
  EXPECT_EQ(count, 2u);
}

}  // namespace
