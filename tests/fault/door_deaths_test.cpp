// Workers that die, or stop, at every instruction of their way through the door: what the others
// find.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <optional>
#include <span>
#include <vector>

#include "fault/counting.hpp"
#include "os/process.hpp"
#include "process/leftovers.hpp"
#include "queue_of_runs.hpp"

namespace {

using namespace std::chrono_literals;
using shard_test::counting;
using shard_test::door;
using shard_test::moment;
using shard_test::queue_of_runs;

constexpr door::run runs = 3;

// Starts a worker. It gets a signal at `when`, or writes its trace.
struct worker_plan {
  queue_of_runs& queue;
  unsigned slot;
  std::optional<moment> when = {};
  int signal = 0;
  std::span<std::uintptr_t> trace = {};

  void operator()() const { queue.serve(slot, runs); }
};

shard::os::process start(worker_plan plan) {
  return shard::os::start_process(
      shard::os::child_exit::signals_parent,
      [](void* context) {
        const auto& what = *static_cast<worker_plan*>(context);
        sigset_t none;
        sigemptyset(&none);
        shard::os::unblock_signals(none);
        if (!what.trace.empty()) {
          what.trace[0] = counting::record(what, what.trace.subspan(1));
        } else if (what.when) {
          counting::interrupt(what, *what.when, what.signal);
        } else {
          what();
        }
        _exit(0);
      },
      &plan);
}

// Carries out all runs, one by one or queued. The first worker of slot 0 dies at `when`, or is
// recorded; others take the place of the dead. Returns whether it died.
bool carry_out(unsigned slots, bool queued, std::optional<moment> when,
               std::span<std::uintptr_t> trace = {}) {
  queue_of_runs queue(slots);
  const door& at = queue.entrance();
  if (queued) {
    for (door::run k = 1; k <= runs; ++k) at.submit(k);
  }
  std::vector<shard::os::process> workers(slots);
  for (unsigned slot = 0; slot < slots; ++slot) {
    const bool first = slot == 0;
    workers[slot] = start({queue, slot, first ? when : std::nullopt, SIGKILL,
                           first ? trace : std::span<std::uintptr_t>()});
  }
  bool died = false;
  const auto wait_until_over = [&](door::run last) {
    at.await(last);
    while (at.over() < last) {
      std::vector<shard::os::watched> any{{queue.event().get()}};
      for (const shard::os::process& one : workers) any.push_back({one.pidfd()});
      shard::os::wait_ready(any, std::nullopt);
      std::uint64_t count = 0;
      if (any[0].ready) static_cast<void>(::read(queue.event().get(), &count, sizeof count));
      for (unsigned slot = 0; slot < slots; ++slot) {
        if (!any[slot + 1].ready) continue;
        const auto how = workers[slot].reap();
        if (!how) continue;
        workers[slot] = {};
        if (how->signal == 0) {
          EXPECT_EQ(how->exit_status, 0);
          EXPECT_EQ(at.inside(slot), 0u);
          continue;
        }
        died = true;
        at.bury(slot, queue.has_work(slot));
        workers[slot] = start({queue, slot});
      }
    }
    at.await(0);
    EXPECT_TRUE(queue.are_carried_out(last));
  };
  if (!queued) {
    for (door::run k = 1; k <= runs; ++k) {
      at.submit(k);
      wait_until_over(k);
    }
  }
  wait_until_over(runs);
  EXPECT_EQ(queue.out_of_turn(), 0u);
  // The one that is recorded ends by itself, if it has been in the last run; others may sleep.
  for (unsigned slot = 0; slot < slots; ++slot) {
    if (!workers[slot]) continue;
    if (slot != 0 || trace.empty()) workers[slot].kill();
    workers[slot].wait();
  }
  return died;
}

// Whether it has stopped: from now on, it isn't told any more.
bool has_stopped(const shard::os::process& one) {
  siginfo_t found{};
  return waitid(P_PID, static_cast<id_t>(one.pid()), &found, WSTOPPED | WNOHANG) == 0 &&
         found.si_pid != 0;
}

// The first worker stops at `when`. Meanwhile all runs are submitted, and the others do what they
// can; then it goes on. Returns whether it has stopped.
bool carry_out_around_a_stop(unsigned slots, moment when) {
  queue_of_runs queue(slots);
  const door& at = queue.entrance();
  std::vector<shard::os::process> workers;
  workers.push_back(start({queue, 0, when, SIGSTOP}));
  for (unsigned slot = 1; slot < slots; ++slot) workers.push_back(start({queue, slot}));
  const auto all_rest = [&](unsigned from) {
    for (unsigned slot = from; slot < slots; ++slot) {
      shard::os::watched end{workers[slot].pidfd()};
      shard::os::wait_ready({&end, 1}, 0ms);
      if (!end.ready && !at.sleeps(slot)) return false;
    }
    return true;
  };
  bool stopped = false;
  door::run submitted = 0;
  while (!stopped && at.over() < runs) {
    if (at.over() == submitted) at.submit(++submitted);
    shard::os::wait_ready({}, 0ms);
    stopped = has_stopped(workers[0]);
  }
  while (submitted < runs) at.submit(++submitted);
  while (!all_rest(1)) shard::os::wait_ready({}, 0ms);
  if (stopped) ::kill(workers[0].pid(), SIGCONT);
  at.await(runs);
  while (at.over() < runs) {
    shard::os::watched event{queue.event().get()};
    shard::os::wait_ready({&event, 1}, std::nullopt);
    std::uint64_t count = 0;
    static_cast<void>(::read(queue.event().get(), &count, sizeof count));
  }
  // What the first one does late must do no harm. It may stop only now.
  while (!all_rest(0)) {
    if (has_stopped(workers[0])) ::kill(workers[0].pid(), SIGCONT);
    shard::os::wait_ready({}, 0ms);
  }
  EXPECT_TRUE(queue.are_carried_out(runs));
  EXPECT_EQ(queue.out_of_turn(), 0u);
  for (const shard::os::process& one : workers) {
    one.kill();
    one.wait();
  }
  return stopped;
}

class DoorDeaths : public shard_test::leaves_nothing {
 protected:
  void SetUp() override {
    leaves_nothing::SetUp();
    if (!shard_test::can_count) GTEST_SKIP() << "needs the processor's trap flag";
    if (shard_test::sanitized) GTEST_SKIP() << "sanitizers add instructions that no one stretches";
  }

  // Of the only worker, which therefore sees all runs.
  static std::vector<moment> moments(bool queued) {
    constexpr std::size_t most = 100'000;
    constexpr std::size_t bytes = (most + 1) * sizeof(std::uintptr_t);
    void* shared = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const std::span words(static_cast<std::uintptr_t*>(shared), most + 1);
    carry_out(1, queued, {}, words);
    EXPECT_GT(words[0], 100u);
    EXPECT_LE(words[0], most);
    auto all = shard_test::moments_of(words.subspan(1, std::min<std::size_t>(words[0], most)));
    munmap(shared, bytes);
    return all;
  }

  static void kill_everywhere(unsigned slots, bool queued) {
    const std::vector<moment> all = moments(queued);
    std::size_t killed = 0;
    for (std::size_t at = 0; at < all.size() && !HasFailure(); ++at) {
      if (carry_out(slots, queued, all[at])) ++killed;
    }
    std::cout << "  killed at " << killed << " of " << all.size() << " instructions\n";
    EXPECT_GT(killed, slots == 1 ? all.size() / 2 : 20);
  }

  static void stop_everywhere(unsigned slots) {
    const std::vector<moment> all = moments(false);
    std::size_t stopped = 0;
    for (std::size_t at = 0; at < all.size() && !HasFailure(); ++at) {
      if (carry_out_around_a_stop(slots, all[at])) ++stopped;
    }
    std::cout << "  stopped at " << stopped << " of " << all.size() << " instructions\n";
    EXPECT_GT(stopped, slots == 1 ? all.size() / 2 : 20);
  }
};

TEST_F(DoorDeaths, OfTheOnlyWorkerLoseNothingOfAQueue) { kill_everywhere(1, true); }
TEST_F(DoorDeaths, OfTheOnlyWorkerLoseNothingOfRunsOneByOne) { kill_everywhere(1, false); }
TEST_F(DoorDeaths, OfOneOfTwoLoseNothingOfAQueue) { kill_everywhere(2, true); }
TEST_F(DoorDeaths, OfOneOfTwoLoseNothingOfRunsOneByOne) { kill_everywhere(2, false); }

using DoorStops = DoorDeaths;
TEST_F(DoorStops, OfTheOnlyWorkerLoseNoWakeUp) { stop_everywhere(1); }
TEST_F(DoorStops, OfOneOfTwoLoseNoWakeUp) { stop_everywhere(2); }

}  // namespace
