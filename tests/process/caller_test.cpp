// The program that calls map: it gets no signal, keeps its own children, and takes everything with
// it when it dies.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <cerrno>
#include <condition_variable>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <numeric>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "asleep.hpp"
#include "os/affinity.hpp"
#include "os/cpu.hpp"
#include "process/leftovers.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using shard_test::bystander;
using shard_test::cast;
using shard_test::eventually;
using shard_test::family;
using shard_test::holds_in_a_child;
using shard_test::mentions;
using shard_test::refusal;
using shard_test::tally;
using testing::Each;

using Caller = shard_test::leaves_nothing;

// A handler for as long as it lives; counts what it handles.
class handler {
 public:
  explicit handler(
      int signal, void (*handle)(int) = [](int) { handled = handled + 1; })
      : signal_(signal) {
    handled = 0;
    struct sigaction action {};
    action.sa_handler = handle;
    sigaction(signal_, &action, &before_);
  }
  handler(const handler&) = delete;
  handler& operator=(const handler&) = delete;
  ~handler() { sigaction(signal_, &before_, nullptr); }

  static inline volatile sig_atomic_t handled = 0;

 private:
  int signal_;
  struct sigaction before_ {};
};

// A map in which a worker dies, is replaced, and is right.
bool maps_well(shard::options how = {}) {
  const tally tries;
  how.workers = 2;
  how.grain = 1;
  shard::buffer<int> out(20);
  const shard::report run = shard::map(how, out, [&](std::size_t i) {
    if (i == 7 && tries[0]++ == 0) std::abort();
    return static_cast<int>(i);
  });
  for (std::size_t i = 0; i < 20; ++i) {
    if (out[i] != static_cast<int>(i)) return false;
  }
  return run.complete() && run.counts().deaths == 1 && run.failures().size() == 1 &&
         run.failures()[0].kind == "signal";
}

TEST_F(Caller, GetsNoSignalOfChildrenThatEnd) {
  if (shard_test::thread_sanitizer)
    GTEST_SKIP() << "there the supervisor is started by plain fork()";
  const handler children(SIGCHLD);
  EXPECT_TRUE(maps_well());
  EXPECT_EQ(handler::handled, 0);
}

TEST_F(Caller, MayReapAnyChildInItsHandler) {
  const handler children(SIGCHLD, [](int) {
    const int kept = errno;
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    errno = kept;
  });
  EXPECT_TRUE(maps_well());
  bystander child([] { return true; });
  EXPECT_TRUE(maps_well());
  child.succeeded();  // whoever reaps it
}

TEST_F(Caller, MayIgnoreItsChildren) {
  const handler ignored(SIGCHLD, SIG_IGN);
  EXPECT_TRUE(maps_well());
}

TEST_F(Caller, MayLeaveItsChildrenToTheSystem) {
  struct sigaction before {};
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  action.sa_flags = SA_NOCLDWAIT;
  sigaction(SIGCHLD, &action, &before);
  EXPECT_TRUE(maps_well());
  EXPECT_TRUE(maps_well({.allow_threads = true}));
  sigaction(SIGCHLD, &before, nullptr);
}

TEST_F(Caller, MayReapAnyChildOfAnyKindInItsHandler) {
  // As a program that is everybody's init might do: what the supervisor's end was is lost then.
  const handler children(SIGCHLD, [](int) {
    const int kept = errno;
    while (waitpid(-1, nullptr, WNOHANG | __WALL) > 0) {
    }
    errno = kept;
  });
  EXPECT_TRUE(maps_well());
}

TEST_F(Caller, KeepsItsOwnChildren) {
  bystander dead([] { return true; });
  EXPECT_TRUE(eventually([&] {
    siginfo_t ended{};
    return waitid(P_PID, static_cast<id_t>(dead.pid()), &ended, WEXITED | WNOWAIT) == 0;
  }));
  const tally over;
  bystander alive([&] { return eventually([&] { return over[0] != 0; }); });
  EXPECT_TRUE(maps_well());
  over[0] = 1;
  EXPECT_TRUE(dead.succeeded());
  EXPECT_TRUE(alive.succeeded());
}

// ---- Threads ----

// A thread that is there until the end of the block. It waits: one that still begins allocates, and
// a sanitizer's heap stays locked across a fork then.
class other_thread {
 public:
  other_thread()
      : thread_([this] {
          std::unique_lock lock(mutex_);
          id_ = gettid();
          over_.wait(lock, [this] { return done_; });
        }) {
    while (id_ == 0) std::this_thread::yield();
    shard_test::wait_until_asleep(id_);
  }
  other_thread(const other_thread&) = delete;
  other_thread& operator=(const other_thread&) = delete;
  ~other_thread() {
    {
      const std::scoped_lock lock(mutex_);
      done_ = true;
    }
    over_.notify_all();
    thread_.join();
  }

 private:
  std::mutex mutex_;
  std::condition_variable over_;
  bool done_ = false;
  std::atomic<pid_t> id_ = 0;
  std::thread thread_;
};

TEST_F(Caller, WithOtherThreadsIsRefusedAndToldTheWaysOut) {
  if (shard_test::thread_sanitizer) GTEST_SKIP() << "its own background thread would be counted";
  const other_thread first;
  const other_thread second;
  EXPECT_TRUE(mentions(
      refusal([] { maps_well(); }),
      {"cannot fork workers", "found 2 other threads", "executor::threads", "allow_threads"}));
}

TEST_F(Caller, WithOtherThreadsMapsInThreadsOrInline) {
  const other_thread one;
  for (const shard::executor where : {shard::executor::threads, shard::executor::serial}) {
    shard::buffer<int> out(100);
    shard::map({.workers = 2, .run_on = where}, out, [](std::size_t) { return 1; });
    EXPECT_THAT(std::vector<int>(out.begin(), out.end()), Each(1));
  }
}

TEST_F(Caller, WithOtherThreadsMapsIfToldTo) {
  const other_thread one;
  EXPECT_TRUE(maps_well({.allow_threads = true}));
}

// The C library unlocks its heap in the child of a fork. That of a sanitizer stays locked for ever
// if another thread had just locked it.
constexpr const char* heap_stays_locked = "a sanitizer's heap stays locked across a fork";

// Their locks in the heap must not stay locked in the workers.
TEST_F(Caller, WithThreadsThatAllocateLeavesWorkersAHeap) {
  if (shard_test::sanitized) GTEST_SKIP() << heap_stays_locked;
  std::atomic<bool> over{false};
  std::vector<std::thread> busy;
  for (int k = 0; k < 2; ++k) {
    busy.emplace_back([&] {
      while (!over) std::vector<std::string>(20, std::string(300, 'x')).clear();
    });
  }
  for (int run = 0; run < 20; ++run) {
    shard::buffer<std::size_t> out(20);
    shard::map({.workers = 2, .grain = 1, .allow_threads = true}, out, [](std::size_t i) {
      return std::vector<std::string>(i, std::string(300, 'y')).size();
    });
    EXPECT_EQ(out[19], 19u);
  }
  over = true;
  for (std::thread& one : busy) one.join();
}

TEST_F(Caller, MapsInProcessesAfterItHasMappedInThreads) {
  shard::buffer<int> out(100);
  shard::map({.workers = 3, .run_on = shard::executor::threads}, out,
             [](std::size_t) { return 1; });
  EXPECT_TRUE(maps_well());
}

// The threads that run one map's kernels, all of them: each waits for the others.
std::set<pid_t> threads_of_a_map(unsigned workers) {
  std::vector<pid_t> seen(workers);
  std::barrier together(workers);
  shard::buffer<int> out(workers);
  shard::map({.workers = workers, .grain = 1, .run_on = shard::executor::threads}, out,
             [&](std::size_t i) {
               together.arrive_and_wait();
               seen[i] = gettid();
               return 1;
             });
  return {seen.begin(), seen.end()};
}

TEST_F(Caller, KeepsItsThreadsBetweenMapsUntilItForks) {
  const std::set<pid_t> first = threads_of_a_map(4);
  EXPECT_EQ(first.size(), 4u);
  EXPECT_TRUE(first.contains(gettid()));
  EXPECT_EQ(threads_of_a_map(4), first);
  EXPECT_THAT(first, testing::IsSupersetOf(threads_of_a_map(2)));
  EXPECT_EQ(shard::os::other_threads(), 3u);
  EXPECT_TRUE(maps_well());
  EXPECT_EQ(shard::os::other_threads(), 0u);
  EXPECT_EQ(threads_of_a_map(4).size(), 4u);
}

TEST_F(Caller, KeepsItsThreadsWhereItMayRunItself) {
  const auto before = shard::os::own_processors();
  ASSERT_TRUE(before);
  if (before->size() < 2) GTEST_SKIP() << "needs two processors";
  const auto places = [] {
    std::barrier together(4);
    shard::buffer<unsigned> found(4);
    shard::map({.workers = 4, .grain = 1, .run_on = shard::executor::threads}, found,
               [&](std::size_t) {
                 together.arrive_and_wait();
                 return shard::os::own_processors()->size();
               });
    return std::vector<unsigned>(found.begin(), found.end());
  };
  EXPECT_EQ(places(), std::vector<unsigned>(4, before->size()));
  shard::os::processors one;
  unsigned number = 0;
  while (!before->contains(number)) ++number;
  one.insert(number);
  ASSERT_TRUE(shard::os::keep_to(one));
  EXPECT_EQ(places(), std::vector<unsigned>(4, 1));
  ASSERT_TRUE(shard::os::keep_to(*before));
  EXPECT_EQ(places(), std::vector<unsigned>(4, before->size()));
}

// They wait for the next map with all signals blocked: none is theirs.
TEST_F(Caller, KeepsNoThreadThatASignalCouldComeTo) {
  threads_of_a_map(4);
  sigset_t one;
  sigset_t before;
  sigemptyset(&one);
  sigaddset(&one, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &one, &before);
  kill(getpid(), SIGUSR1);  // would end whoever has it unblocked
  const timespec long_enough{60, 0};
  EXPECT_EQ(sigtimedwait(&one, nullptr, &long_enough), SIGUSR1);
  // In a kernel they block what their caller blocks.
  std::barrier together(4);
  shard::buffer<int> blocks(4);
  shard::map({.workers = 4, .grain = 1, .run_on = shard::executor::threads}, blocks,
             [&](std::size_t) {
               together.arrive_and_wait();
               sigset_t mask;
               pthread_sigmask(SIG_SETMASK, nullptr, &mask);
               return sigismember(&mask, SIGUSR1) + 2 * sigismember(&mask, SIGUSR2);
             });
  EXPECT_THAT(std::vector<int>(blocks.begin(), blocks.end()), Each(1));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_F(Caller, ForksWhileItsOtherThreadsMapOnThreads) {
  if (shard_test::sanitized) GTEST_SKIP() << heap_stays_locked;
  std::atomic<bool> over{false};
  std::vector<std::thread> callers;
  for (int k = 0; k < 2; ++k) {
    callers.emplace_back([&] {
      while (!over) EXPECT_EQ(threads_of_a_map(3).size(), 3u);
    });
  }
  for (int k = 0; k < 20; ++k) {
    EXPECT_TRUE(holds_in_a_child([] { return threads_of_a_map(2).size() == 2; }));
  }
  over = true;
  for (std::thread& one : callers) one.join();
}

// A child of the program does not have its threads.
TEST_F(Caller, MapsOnThreadsInAChildAfterItHasMappedOnThreads) {
  if (shard_test::thread_sanitizer) GTEST_SKIP() << "it can't follow threads of a child";
  const auto map = [](unsigned workers) {
    shard::buffer<int> out(100);
    shard::map({.workers = workers, .grain = 1, .run_on = shard::executor::threads}, out,
               [](std::size_t i) { return static_cast<int>(i); });
    return out[99] == 99;
  };
  for (const unsigned workers : {3u, 1u, 2u, 4u}) {
    ASSERT_TRUE(map(workers));
    const pid_t child = fork();
    if (child == 0) _exit(map(workers) && map(5) ? 0 : 1);
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_TRUE(map(workers)) << "in the parent, after that";
  }
  EXPECT_TRUE(maps_well());
}

TEST_F(Caller, MapsOnThreadsFromSeveralThreadsAtOnce) {
  std::vector<std::thread> callers;
  std::atomic<int> right{0};
  for (unsigned k = 0; k < 4; ++k) {
    callers.emplace_back([&right, k] {
      for (int round = 0; round < 20; ++round) {
        shard::buffer<int> out(64);
        shard::map({.workers = 1 + k, .grain = 1, .run_on = shard::executor::threads}, out,
                   [](std::size_t i) { return static_cast<int>(i) + 1; });
        right += std::accumulate(out.begin(), out.end(), 0) == 64 * 65 / 2 ? 1 : 0;
      }
    });
  }
  for (std::thread& one : callers) one.join();
  EXPECT_EQ(right, 80);
}

// Each ends when its own work is done, and not with the other.
TEST_F(Caller, MapsInTwoThreadsAtOnce) {
  if (shard_test::sanitized) GTEST_SKIP() << heap_stays_locked;
  for (int round = 0; round < 20; ++round) {
    const tally done;
    std::barrier together(2);
    const auto map = [&](int first) {
      shard::buffer<int> out(4);
      together.arrive_and_wait();
      shard::map({.workers = 2, .grain = 1, .allow_threads = true}, out, [&](std::size_t) {
        return first != 0 || eventually([&] { return done[0] != 0; }) ? 1 : -1;
      });
      if (first != 0) ++done[0];
      EXPECT_EQ(out[3], 1);
    };
    std::thread other(map, 0);
    map(1);
    other.join();
  }
}

TEST_F(Caller, MapsWhileAnotherThreadMakesAndDropsBuffers) {
  if (shard_test::sanitized) GTEST_SKIP() << heap_stays_locked;
  std::atomic<bool> over{false};
  std::thread other([&] {
    while (!over) shard::buffer<int>{10};
  });
  for (int round = 0; round < 100; ++round) {
    shard::buffer<int> out(10);
    const shard::report run =
        shard::map({.workers = 1, .allow_threads = true}, out, [](std::size_t) { return 1; });
    EXPECT_EQ(run.counts().deaths, 0u) << run;
  }
  over = true;
  other.join();
}

// ---- Death of the caller ----

// A caller in a child of the test, in a run that never ends. True once `workers` kernels run.
bool is_caught_in_a_map(const tally& running, int workers) {
  return eventually([&] { return running[0] == workers; });
}

void map_for_ever(const tally& running, const shard::options& how) {
  shard::buffer<int> out(100);
  shard::map(how, out, [&](std::size_t) -> int {
    ++running[0];
    for (;;) pause();
  });
}

// What it creates there is that child's, and the same results.
TEST_F(Caller, MayBeAForkedChild) {
  shard::buffer<int> shared(100);
  EXPECT_TRUE(holds_in_a_child([&] {
    shard::sum<int> sum;
    const shard::report run =
        shard::map({.workers = 2}, shared, shard::reduce(sum), [](std::size_t i, auto& to) {
          to += static_cast<int>(i);
          return static_cast<int>(i);
        });
    return run.complete() && sum.value() == 4950;
  }));
  for (std::size_t i = 0; i < shared.size(); ++i) EXPECT_EQ(shared[i], static_cast<int>(i));
}

// It could not give the file its name in the end.
TEST_F(Caller, IsRefusedAnOutputThatAnotherProcessCreatedBeforeAnythingRuns) {
  const shard_test::folder here;
  auto out = shard::create<int>((here / "out.npy").c_str(), 100);
  const tally ran;
  EXPECT_TRUE(holds_in_a_child([&] {
    const std::string said =
        refusal([&] { shard::map({.workers = 2}, out, [&](std::size_t) { return ++ran[0]; }); });
    const std::string creator = "expected " + std::to_string(getppid());
    return mentions(said, {"cannot map to", "out.npy", creator.c_str(), "which created it"});
  }));
  EXPECT_EQ(ran[0], 0);
}

// Not by fork(), before which the threads would have ended.
TEST_F(Caller, MayForkInAChildThatWasClonedBesideKeptThreads) {
  EXPECT_TRUE(holds_in_a_child([] {
    shard::buffer<double> out(100'000);
    shard::map({.workers = 2, .run_on = shard::executor::threads}, out,
               [](std::size_t i) { return static_cast<double>(i); });
    const auto child = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    if (child == 0) {
      const pid_t grandchild = fork();
      if (grandchild == 0) _exit(0);
      waitpid(grandchild, nullptr, 0);
      _exit(7);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 7;
  }));
}

// In ps and top.
TEST_F(Caller, HasProcessesThatSayWhatTheyAre) {
  const std::multiset<std::string> expected{"shard sup", "shard standby", "shard wk 0",
                                            "shard wk 1"};
  const pid_t caller = getpid();
  shard::counter seen;
  shard::for_each({.workers = 2, .grain = 1}, 2, shard::reduce(seen), [&](std::size_t, auto& sees) {
    const bool all_there = eventually([&] {
      std::multiset<std::string> names;
      for (const shard_test::relative& one : relatives().living()) {
        if (one.pid != caller) names.insert(one.name);
      }
      std::array<char, 16> own{};
      prctl(PR_GET_NAME, own.data());
      names.insert(own.data());
      return names == expected;
    });
    if (all_there) ++sees;
  });
  EXPECT_EQ(seen.value(), 2);
}

TEST_F(Caller, KilledTakesEveryProcessWithIt) {
  for (const bool threads_allowed : {false, true}) {
    const tally running;
    const pid_t caller = fork();
    if (caller == 0) {
      map_for_ever(running, {.workers = 3, .grain = 1, .allow_threads = threads_allowed});
      _exit(0);
    }
    EXPECT_TRUE(is_caught_in_a_map(running, 3));
    // Caller, supervisor, standby, three workers.
    EXPECT_TRUE(eventually([&] { return relatives().living().size() >= 6; }));
    kill(caller, SIGKILL);
    waitpid(caller, nullptr, 0);
    EXPECT_TRUE(eventually([&] { return relatives().living().empty(); }));
  }
}

TEST_F(Caller, KilledWhileKernelsHaveChildrenTakesThemWithIt) {
  const tally running;
  const pid_t caller = fork();
  if (caller == 0) {
    shard::buffer<int> out(100);
    shard::map({.workers = 2, .grain = 1}, out, [&](std::size_t) -> int {
      if (fork() == 0) setsid();
      ++running[0];
      for (;;) pause();
    });
    _exit(0);
  }
  EXPECT_TRUE(is_caught_in_a_map(running, 4));
  kill(caller, SIGKILL);
  waitpid(caller, nullptr, 0);
  EXPECT_TRUE(eventually([&] { return relatives().living().empty(); }));
}

TEST_F(Caller, KilledTogetherWithItsSupervisorTakesTheRestWithIt) {
  const tally running;
  const pid_t caller = fork();
  if (caller == 0) {
    map_for_ever(running, {.workers = 3, .grain = 1});
    _exit(0);
  }
  EXPECT_TRUE(is_caught_in_a_map(running, 3));
  cast run({});
  EXPECT_TRUE(eventually([&] { return (run = cast(relatives().living())).supervisor != 0; }));
  kill(run.supervisor, SIGSTOP);
  kill(caller, SIGKILL);
  kill(run.supervisor, SIGKILL);
  waitpid(caller, nullptr, 0);
  EXPECT_TRUE(eventually([&] { return relatives().living().empty(); }));
}

TEST_F(Caller, EndedByItsOwnSignalTakesEveryProcessWithIt) {
  const tally running;
  const pid_t caller = fork();
  if (caller == 0) {
    map_for_ever(running, {.workers = 2, .grain = 1});
    _exit(0);
  }
  EXPECT_TRUE(is_caught_in_a_map(running, 2));
  kill(caller, SIGTERM);
  int status = 0;
  waitpid(caller, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
  EXPECT_TRUE(eventually([&] { return relatives().living().empty(); }));
}

// ---- Unusual callers ----

TEST_F(Caller, MayAdoptOrphans) {
  EXPECT_TRUE(holds_in_a_child([] {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    return maps_well() && waitpid(-1, nullptr, WNOHANG | __WALL) == -1 && errno == ECHILD;
  }));
}

// As in a container: what is orphaned becomes its child, and nobody else is there to reap it.
TEST_F(Caller, MayBeTheFirstProcessOfAContainer) {
  constexpr int not_here = 77;
  for (const bool own_proc : {false, true}) {
    const pid_t outside = fork();
    if (outside == 0) {
      if (unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS) != 0) _exit(not_here);
      const pid_t first = fork();
      if (first == 0) {
        if (own_proc && mount("proc", "/proc", "proc", 0, nullptr) != 0) _exit(not_here);
        bool well = getpid() == 1 && maps_well();
        // One that is killed before it has a standby is followed by another: that is no takeover.
        std::size_t takeovers = 0;
        for (int round = 0; well && takeovers == 0 && round < 20; ++round) {
          const tally tries;
          shard::buffer<int> out(20);
          const shard::report run = shard::map({.workers = 2, .grain = 1}, out, [&](std::size_t i) {
            if (i % 5 == 0 && fork() == 0) _exit(0);  // never waited for
            if (i == 7 && tries[0]++ == 0) {
              usleep(5000u << std::min(round, 5));
              kill(getppid(), SIGKILL);
            }
            return static_cast<int>(i);
          });
          takeovers = run.counts().takeovers;
          well = out[19] == 19;
        }
        well = well && takeovers == 1 && maps_well();
        _exit(well && waitpid(-1, nullptr, WNOHANG | __WALL) == -1 && errno == ECHILD ? 0 : 1);
      }
      int status = 0;
      waitpid(first, &status, 0);
      _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 2);
    }
    int status = 0;
    waitpid(outside, &status, 0);
    ASSERT_TRUE(WIFEXITED(status));
    if (WEXITSTATUS(status) == not_here) {
      GTEST_SKIP() << (own_proc ? "no /proc can be mounted here" : "no pid namespaces here");
    }
    EXPECT_EQ(WEXITSTATUS(status), 0) << "own /proc: " << own_proc;
  }
}

TEST_F(Caller, MayHaveNoStandardStreams) {
  EXPECT_TRUE(holds_in_a_child([] {
    close_range(0, 2, 0);
    return maps_well();
  }));
}

TEST_F(Caller, MayBlockEverySignal) {
  sigset_t every;
  sigset_t before;
  sigfillset(&every);
  sigprocmask(SIG_SETMASK, &every, &before);
  EXPECT_TRUE(maps_well());
  sigset_t after;
  sigprocmask(SIG_SETMASK, &before, &after);
  EXPECT_EQ(sigismember(&after, SIGTERM), 1);
}

TEST_F(Caller, HasItsSignalMaskInItsKernels) {
  sigset_t some;
  sigset_t before;
  sigemptyset(&some);
  sigaddset(&some, SIGUSR2);
  sigprocmask(SIG_SETMASK, &some, &before);
  shard::buffer<int> blocked(2);
  shard::map(blocked, [](std::size_t i) {
    sigset_t mask;
    sigprocmask(SIG_SETMASK, nullptr, &mask);
    return sigismember(&mask, i == 0 ? SIGUSR1 : SIGUSR2);
  });
  sigset_t after;
  sigprocmask(SIG_SETMASK, &before, &after);
  EXPECT_EQ(blocked[0], 0);
  EXPECT_EQ(blocked[1], 1);
  EXPECT_EQ(sigismember(&after, SIGUSR2), 1);
  EXPECT_EQ(sigismember(&after, SIGUSR1), 0);
}

TEST_F(Caller, KeepsItsHandlersToItself) {
  const handler users(SIGUSR1);
  shard::buffer<int> out(10);
  const shard::report run =
      shard::try_map({.workers = 1, .retries = 0}, out, [](std::size_t) -> int {
        raise(SIGUSR1);
        return 1;
      });
  ASSERT_FALSE(run.failures().empty());
  EXPECT_EQ(run.failures()[0].signal, SIGUSR1);
  EXPECT_EQ(handler::handled, 0);
}

TEST_F(Caller, MayHandleSignalsDuringTheRun) {
  const handler users(SIGUSR1);
  const tally signals;
  const pid_t caller = getpid();
  constexpr int sent = 200;
  bystander sender([&] {
    for (int k = 0; k < sent; ++k) {
      if (kill(caller, SIGUSR1) != 0) return false;
      ++signals[0];
      sched_yield();
    }
    return true;
  });
  shard::buffer<int> out(100);
  const shard::report run = shard::map({.workers = 2, .grain = 1}, out, [&](std::size_t i) {
    if (i >= 98) static_cast<void>(eventually([&] { return signals[0] == sent; }));
    return static_cast<int>(i);
  });
  EXPECT_TRUE(sender.succeeded());
  EXPECT_TRUE(run.complete());
  EXPECT_GT(handler::handled, 0);
  EXPECT_EQ(out[99], 99);
}

TEST_F(Caller, MayHaveATimerThatInterruptsEverySystemCall) {
  const handler alarms(SIGALRM);
  const itimerval often{{0, 500}, {0, 500}};
  const itimerval never{};
  setitimer(ITIMER_REAL, &often, nullptr);
  bool well = true;
  for (int run = 0; run < 20; ++run) well = maps_well() && well;
  setitimer(ITIMER_REAL, &never, nullptr);
  EXPECT_TRUE(well);
}

TEST_F(Caller, WithFewerDescriptorsThanWorkersIsServedByThoseItCanWatch) {
  EXPECT_TRUE(holds_in_a_child([] {
    shard::buffer<int> out(2000);
    const int lowest = dup(STDERR_FILENO);
    close(lowest);
    const rlimit few{static_cast<rlim_t>(lowest) + 16, static_cast<rlim_t>(lowest) + 16};
    setrlimit(RLIMIT_NOFILE, &few);
    const shard::report run =
        shard::map({.workers = 63, .grain = 1}, out, [](std::size_t) { return 1; });
    return run.counts().takeovers == 0 && out[1999] == 1;
  }));
}

TEST_F(Caller, WhoseProgressThrowsAfterATakeoverLeavesAtOnce) {
  shard::buffer<int> out(4);
  shard::buffer<int> killed(1);
  const auto run = [&] {
    shard::map({.workers = 1,
                .grain = 1,
                .on_progress =
                    [&](const shard::progress&) {
                      if (killed[0] == 2) throw std::runtime_error("enough");
                    }},
               out, shard::shared(killed), [](std::size_t, auto& state) {
                 if (state.exchange(0, 1) == 0) kill(getppid(), SIGKILL);
                 state.store(0, 2);
                 for (;;) pause();  // what nobody ends goes on for ever
                 return 1;
               });
  };
  EXPECT_THROW(run(), std::runtime_error);
}

TEST_F(Caller, ThatIgnoresASignalHasWorkersThatDo) {
  signal(SIGPIPE, SIG_IGN);
  shard::buffer<int> out(10);
  EXPECT_NO_THROW(shard::map(out, [](std::size_t) {
    raise(SIGPIPE);
    return 1;
  }));
  signal(SIGPIPE, SIG_DFL);
}

TEST_F(Caller, WhoHasJustJoinedAThreadMaps) {
  shard::buffer<int> out(2);
  for (int round = 0; round < 200; ++round) {
    std::thread([] {}).join();
    ASSERT_NO_THROW(shard::map(out, [](std::size_t) { return 1; }));
  }
}

// Its processes are no job of the shell's: a read would stop them, and nobody could continue them.
TEST_F(Caller, AtARealTerminalIsNotStoppedByAKernelThatReadsIt) {
  int terminal = -1;
  const pid_t program = forkpty(&terminal, nullptr, nullptr, nullptr);
  if (program < 0) GTEST_SKIP() << "there are no terminals here: " << std::strerror(errno);
  if (program == 0) {
    signal(SIGTTIN, SIG_DFL);
    shard::buffer<int> errors(10);
    shard::map({.workers = 2, .grain = 1}, errors, [](std::size_t) {
      const int tty = open("/dev/tty", O_RDONLY | O_CLOEXEC);
      char key = 0;
      const bool refused = tty >= 0 && read(tty, &key, 1) < 0;
      const int error = errno;
      close(tty);
      return refused ? error : 0;
    });
    _exit(std::ranges::count(errors, EIO) == 10 ? 0 : 1);
  }
  siginfo_t ended{};
  EXPECT_TRUE(eventually([&] {
    return waitid(P_PID, static_cast<id_t>(program), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           ended.si_pid == program;
  }));
  if (ended.si_pid != program) kill(program, SIGKILL);
  int status = 0;
  waitpid(program, &status, 0);
  close(terminal);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
}

TEST_F(Caller, WithFewDescriptorsMapsOrIsTold) {
  for (rlim_t spare = 0; spare < 16; ++spare) {
    SCOPED_TRACE("spare descriptors " + std::to_string(spare));
    EXPECT_TRUE(holds_in_a_child([&] {
      shard::buffer<int> out(20);
      // The lowest free number is where the limit begins to bite.
      const int lowest = dup(STDERR_FILENO);
      close(lowest);
      const rlimit few{static_cast<rlim_t>(lowest) + spare, static_cast<rlim_t>(lowest) + spare};
      setrlimit(RLIMIT_NOFILE, &few);
      bool fine = true;
      const std::string message = refusal([&] {
        shard::map({.workers = 2, .grain = 1}, out,
                   [](std::size_t i) { return static_cast<int>(i); });
        fine = out[19] == 19;
      });
      return fine && (message.empty() || mentions(message, {"cannot ", "ulimit -n"})) &&
             waitpid(-1, nullptr, WNOHANG | __WALL) == -1;
    }));
    EXPECT_TRUE(eventually([&] { return relatives().living().empty(); }));
  }
}

}  // namespace
