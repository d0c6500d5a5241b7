#include "family/door.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

#include "os/anonymous.hpp"
#include "os/process.hpp"
#include "queue_of_runs.hpp"

namespace {

using namespace std::chrono_literals;
using shard_test::door;
using shard_test::enter;
using shard_test::queue_of_runs;

// Reads the events that were counted.
bool was_told(const queue_of_runs& of) {
  shard::os::watched event{of.event().get()};
  shard::os::wait_ready({&event, 1}, 0ms);
  std::uint64_t count = 0;
  return event.ready && ::read(of.event().get(), &count, sizeof count) == sizeof count;
}

TEST(Door, LetsAWorkerInThatFindsARun) {
  const queue_of_runs queue(2);
  const door& at = queue.entrance();
  at.submit(1);
  EXPECT_EQ(enter(at, 0, 0), 1u);
  EXPECT_EQ(at.inside(0), 1u);
  EXPECT_EQ(at.inside(1), 0u);
  EXPECT_EQ(at.over(), 0u);
}

TEST(Door, EndsARunWhenTheLastLeaves) {
  const queue_of_runs queue(3);
  const door& at = queue.entrance();
  at.submit(1);
  enter(at, 0, 0);
  enter(at, 2, 0);
  at.leave(0, 1);
  EXPECT_EQ(at.over(), 0u);
  at.leave(2, 1);
  EXPECT_EQ(at.over(), 1u);
}

TEST(Door, TurnsAwayWhoComesLateAndLetsItIntoTheNextRun) {
  const queue_of_runs queue(3);
  const door& at = queue.entrance();
  at.submit(1);
  at.submit(2);
  enter(at, 0, 0);
  enter(at, 1, 0);
  at.leave(0, 1);  // that shuts the door, but the run goes on
  std::thread late([&] { EXPECT_EQ(enter(at, 2, 0), 2u); });
  while (!at.sleeps(2)) std::this_thread::yield();
  EXPECT_EQ(at.inside(2), 0u);
  at.leave(1, 1);
  late.join();
  EXPECT_EQ(at.over(), 1u);
}

TEST(Door, LetsOnlyAsManyInAsARunAllows) {
  const queue_of_runs queue(3);
  const door& at = queue.entrance();
  at.submit(1, door::all, door::waker::stays, 1);
  at.submit(2, door::all, door::waker::stays, 2);
  door::run last = 0;
  EXPECT_EQ(at.try_to_enter(2, last), 0u);
  EXPECT_EQ(last, 1u);  // so that it may sleep
  EXPECT_EQ(at.inside(2), 0u);
  EXPECT_EQ(at.over(), 0u);
  enter(at, 0, 0);
  at.leave(0, 1);
  EXPECT_EQ(at.over(), 1u);
  EXPECT_EQ(at.try_to_enter(2, last), 0u);
  EXPECT_EQ(last, 2u);
  last = 0;
  EXPECT_EQ(at.try_to_enter(1, last), 2u);
  at.submit(3);
  at.leave(1, 2);
  last = 2;
  EXPECT_EQ(at.try_to_enter(2, last), 3u);
}

TEST(Door, TellsTheCallerOnceItsRunIsOver) {
  const queue_of_runs queue(1);
  const door& at = queue.entrance();
  at.await(2);
  for (door::run k = 1; k <= 2; ++k) {
    at.submit(k);
    enter(at, 0, k - 1);
    EXPECT_FALSE(was_told(queue)) << k;
    at.leave(0, k);
  }
  EXPECT_TRUE(was_told(queue));
  at.await(0);
  at.submit(3);
  enter(at, 0, 2);
  at.leave(0, 3);
  EXPECT_FALSE(was_told(queue)) << "it waits for nothing";
}

TEST(Door, KeepsTheSlotOfADeadWorkerInsideAsLongAsItHasWork) {
  const queue_of_runs queue(2);
  const door& at = queue.entrance();
  at.submit(1);
  enter(at, 0, 0);
  enter(at, 1, 0);
  at.bury(0, true);
  at.leave(1, 1);
  EXPECT_EQ(at.over(), 0u);
  EXPECT_EQ(at.inside(0), 1u);  // as its next worker finds
  at.leave(0, 1);
  EXPECT_EQ(at.over(), 1u);
}

TEST(Door, EndsARunWhenTheLastInsideDiesWithoutWork) {
  const queue_of_runs queue(2);
  const door& at = queue.entrance();
  at.submit(1);
  at.await(1);
  enter(at, 0, 0);
  enter(at, 1, 0);
  at.leave(1, 1);
  at.bury(0, false);
  EXPECT_EQ(at.over(), 1u);
  EXPECT_TRUE(was_told(queue));
}

// As after a death between the two.
TEST(Door, TellsTheCallerAgainOfARunThatWasOverBeforeADeath) {
  const queue_of_runs queue(1);
  const door& at = queue.entrance();
  at.submit(1);
  enter(at, 0, 0);
  at.leave(0, 1);  // nobody waits for it
  at.await(1);
  EXPECT_FALSE(was_told(queue));
  at.bury(0, false);
  EXPECT_TRUE(was_told(queue));
}

TEST(Door, WakesWhoSleepsSinceItHasLeftWhenTheRunIsOver) {
  const queue_of_runs queue(2);
  const door& at = queue.entrance();
  at.submit(1);
  at.submit(2);
  enter(at, 0, 0);
  enter(at, 1, 0);
  std::thread early([&] {
    at.leave(0, 1);
    EXPECT_EQ(enter(at, 0, 1), 2u);
  });
  while (!at.sleeps(0)) std::this_thread::yield();
  at.leave(1, 1);  // and this one goes no further
  early.join();
}

// As after a death between the two: a door that knows of one slot wakes no other.
TEST(Door, WakesWhoSleepsWhenTheOneThatEndedTheRunHasDied) {
  const shard::os::anonymous_memory memory(door::size_bytes(2), shard::os::sharing::none);
  const door at(memory.base(), 2, -1);
  const door of_the_dead(memory.base(), 1, -1);
  at.submit(1);
  at.submit(2);
  enter(at, 0, 0);
  enter(at, 1, 0);
  std::thread early([&] {
    at.leave(1, 1);
    EXPECT_EQ(enter(at, 1, 1), 2u);
  });
  while (!at.sleeps(1)) std::this_thread::yield();
  of_the_dead.leave(0, 1);
  EXPECT_EQ(at.over(), 1u);
  at.bury(0, false);
  early.join();
}

TEST(Door, StaysOpenIfItsOnlyVisitorDies) {
  const queue_of_runs queue(2);
  const door& at = queue.entrance();
  at.submit(1);
  enter(at, 0, 0);
  at.bury(0, false);
  EXPECT_EQ(at.over(), 0u) << "nobody has found that there is nothing left to do";
  EXPECT_EQ(enter(at, 0, 0), 1u);
}

TEST(Door, EndsAllRunsThatAreGivenUp) {
  const queue_of_runs queue(2);
  const door& at = queue.entrance();
  for (door::run k = 1; k <= 3; ++k) at.submit(k);
  at.await(3);
  enter(at, 0, 0);
  at.give_up(3);
  EXPECT_EQ(at.over(), 3u);
  EXPECT_EQ(at.inside(0), 0u);
  EXPECT_TRUE(was_told(queue));
  at.submit(4);
  EXPECT_EQ(enter(at, 1, 0), 4u);
}

TEST(Door, WakesWhoSleepsWhenThereAreNews) {
  const queue_of_runs queue(2);
  const door& at = queue.entrance();
  std::thread asleep([&] {
    while (at.news() == 0) at.sleep(0, 0, 0);
  });
  while (!at.sleeps(0)) std::this_thread::yield();
  at.tell_news();
  asleep.join();
  at.sleep(1, 0, 0);  // returns at once: these news are not heard yet
}

TEST(Door, SaysWhoHasToldTheCaller) {
  const queue_of_runs queue(2);
  const door& at = queue.entrance();
  at.await(1);
  at.submit(1);
  enter(at, 0, 0);
  enter(at, 1, 0);
  EXPECT_EQ(at.leave(0, 1), door::farewell::others_are_inside);
  EXPECT_EQ(at.leave(1, 1), door::farewell::told);
  EXPECT_TRUE(was_told(queue));
  at.await(0);
  at.submit(2);
  enter(at, 0, 1);
  EXPECT_EQ(at.leave(0, 2), door::farewell::over);
}

// One that sleeps, whatever runs there are, until it hears news; and how often it was woken.
class sleeper {
 public:
  sleeper(const door& at, unsigned slot)
      : thread_([this, &at, slot] {
          constexpr door::run left = 1;
          while (at.news() == 0) {
            at.sleep(slot, left, 0);
            ++woken_;
          }
        }) {
    while (!at.sleeps(slot)) std::this_thread::yield();
  }
  void join() { thread_.join(); }
  int woken() const { return woken_; }

 private:
  std::atomic<int> woken_ = 0;
  std::thread thread_;
};

TEST(Door, WakesNobodyForARunForWhichEnoughAreAwake) {
  const queue_of_runs queue(2);
  const door& at = queue.entrance();
  sleeper other(at, 0);
  at.arrive(1);
  EXPECT_EQ(at.awake().all, 1u);
  at.submit(1, 1);
  EXPECT_EQ(enter(at, 1, 0), 1u);
  at.leave(1, 1);
  at.tell_news();
  other.join();
  EXPECT_EQ(other.woken(), 1) << "by the news";
}

TEST(Door, WakesAnotherForARunThatIsForMoreThanAreAwake) {
  const queue_of_runs queue(2);
  const door& at = queue.entrance();
  sleeper other(at, 0);
  at.arrive(1);
  at.submit(1, 2);
  while (other.woken() == 0) std::this_thread::yield();
  at.tell_news();
  other.join();
}

TEST(Door, WakesSomebodyForAnyRunWhereNobodyIsAwake) {
  for (const door::waker by : {door::waker::makes_room, door::waker::stays}) {
    const queue_of_runs queue(2);
    const door& at = queue.entrance();
    sleeper one(at, 0);
    sleeper other(at, 1);
    at.submit(1, 1, by);
    while (one.woken() + other.woken() == 0) std::this_thread::yield();
    at.tell_news();
    one.join();
    other.join();
  }
}

TEST(Door, WakesWhoSleepsWhenWhoIsAwakeIsBuried) {
  const queue_of_runs queue(2);
  const door& at = queue.entrance();
  sleeper other(at, 0);
  at.arrive(1);
  at.submit(1, 1);  // and that one dies
  at.bury(1, false);
  while (other.woken() == 0) std::this_thread::yield();
  at.tell_news();
  other.join();
}

TEST(Door, CountsWhoIsAwake) {
  const queue_of_runs queue(3);
  const door& at = queue.entrance();
  EXPECT_EQ(at.awake().all, 0u);
  at.arrive(0);
  at.arrive(2);
  EXPECT_EQ(at.awake().all, 2u);
  at.bury(2, false);
  EXPECT_EQ(at.awake().all, 1u);
  at.give_up(0);
  EXPECT_EQ(at.awake().all, 0u);
}

TEST(Door, AddsUpWhatARunTook) {
  const queue_of_runs queue(2);
  const door& at = queue.entrance();
  at.submit(1);
  at.note_time(1, 5us);
  at.note_time(1, 7us);
  EXPECT_EQ(at.time_of(1), 12us);
  at.submit(1 + door::most_ahead);
  EXPECT_EQ(at.time_of(1 + door::most_ahead), 0us);
}

}  // namespace
