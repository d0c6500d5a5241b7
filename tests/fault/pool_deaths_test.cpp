// Pools in which one process dies at one of the instructions that it executes: a worker on its way
// from one run through the next; a supervisor while it mends what workers leave that die in a run
// and between two; a standby that takes over in each of these; the caller. Each time the runs give
// the same results, and the next one does; or, of the caller, nobody is left.
//
// There are thousands of such moments, and each costs some milliseconds: a test takes a few
// hundred, others every day, so that all come in turn. With EVERY_DEATH=1 it takes all.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fault/following.hpp"
#include "process/family.hpp"
#include "process/leftovers.hpp"
#include "shard/shard.hpp"

namespace {

using shard_test::counting;
using shard_test::eventually;
using shard_test::follow;
using shard_test::follow_orders;
using shard_test::forks_are_followed;
using shard_test::moment;
using shard_test::next;
using shard_test::orders;
using shard_test::own_of;
using shard_test::tally;

constexpr std::size_t indices = 12;
constexpr std::size_t grain = 4;

// Where kernels of a pool and the caller meet: kernels capture nothing, but they see variables as
// they were when the pool was made.
enum : std::size_t {
  worker,  // pids
  supervisor,
  follower,
  follows,  // its worker, at the end of the next run, what it is told
  dies,     // in the next run
  kills_its_supervisor,
  begun  // runs, that is, their first indices
};
const tally* seen = nullptr;
orders* told = nullptr;  // to a worker, in shared memory

// What kernels do beside their work: what the test has asked for, once.
void act(std::size_t i) {
  const tally& at = *seen;
  at[worker] = ::getpid();
  at[supervisor] = ::getppid();
  if (i == 0 && ++at[begun] == 3 && told->what == orders::record) {
    counting::pause_recording();
    told->what = orders::nothing;
  }
  if (i == indices - 1 && at[follows].exchange(0) != 0) {
    at[follower] = ::getpid();
    follow(*told);
  }
  if (i == 5 && at[dies].exchange(0) != 0) ::raise(SIGKILL);
  if (i == 5 && at[kills_its_supervisor].exchange(0) != 0) {
    ::kill(::getppid(), SIGKILL);
    for (;;) ::pause();  // killed with it; until then it must not get to the end
  }
}

// Runs of a pool, each of which adds one to all cells.
class runs {
 public:
  explicit runs(unsigned workers) : pool_({.workers = workers, .grain = grain, .retries = 3}) {}

  // By itself. False: nobody was left to complete it, and it says so.
  bool map(std::size_t at) {
    ++made_;
    shard::counter count;
    const shard::report run = pool_.try_map(indices, shard::out(out_), shard::inout(cells_),
                                            shard::reduce(count), shard::value(made_), kernel);
    if (!run.complete() && run.trouble().find("supervisor") != std::string::npos) {
      EXPECT_NE(at, 0u) << "nobody was to be lost where it is recorded";
      accept(run, at);
      return false;
    }
    EXPECT_TRUE(run.complete()) << run << "; " << run.trouble() << "; at moment " << at;
    EXPECT_EQ(count.value(), static_cast<std::int64_t>(indices)) << at;
    expect_exact(at);
    return true;
  }

  // One that changes nothing in place: for that, /proc is looked through first.
  void fill() {
    pool_.map(out_, shard::value(++made_), [](std::size_t i, int by) {
      act(i);
      return static_cast<int>(i) + by;
    });
  }
  void queue_fills(int how_many) {
    for (int k = 0; k < how_many; ++k) {
      pool_.queue(out_, [](std::size_t i) { return static_cast<int>(i); });
    }
    pool_.wait();
  }

  void queue(int how_many, std::size_t at) {
    std::vector<shard::counter> counts(static_cast<std::size_t>(how_many));
    for (shard::counter& each : counts) {
      pool_.queue(indices, shard::out(out_), shard::inout(cells_), shard::reduce(each),
                  shard::value(++made_), kernel);
    }
    try {
      pool_.wait();
    } catch (const shard::map_error& failed) {
      ADD_FAILURE() << failed.what() << " at moment " << at;
    }
    for (const shard::counter& each : counts) {
      EXPECT_EQ(each.value(), static_cast<std::int64_t>(indices)) << at;
    }
    expect_exact(at);
  }

 private:
  static constexpr auto kernel = [](std::size_t i, shard::slice<int> to, shard::slice<int> cell,
                                    shard::counter::accumulator& hits, int run) {
    ++cell[i];
    ++hits;
    act(i);
    to[i] = static_cast<int>(i) + run;
  };

  void expect_exact(std::size_t at) const {
    for (std::size_t i = 0; i < indices; ++i) {
      EXPECT_EQ(std::as_const(cells_)[i], made_ - lost_[i]) << i << " at moment " << at;
      EXPECT_EQ(std::as_const(out_)[i], static_cast<int>(i) + made_) << i << " at moment " << at;
    }
  }

  // What isn't completed is as it was.
  void accept(const shard::report& run, std::size_t at) {
    std::vector<bool> done(indices);
    for (const shard::range part : run.completed()) {
      for (const std::size_t i : part) done[i] = true;
    }
    for (std::size_t i = 0; i < indices; ++i) {
      if (!done[i]) ++lost_[i];
      EXPECT_EQ(std::as_const(cells_)[i], made_ - lost_[i]) << i << " at moment " << at;
    }
  }

  shard::pool pool_;
  shard::buffer<int> out_{indices};
  shard::buffer<int> cells_{indices};
  std::vector<int> lost_ = std::vector<int>(indices);  // runs that an index was not completed in
  int made_ = 0;
};

class PoolDeaths : public shard_test::leaves_nothing {
 protected:
  void SetUp() override {
    leaves_nothing::SetUp();
    if (!shard_test::can_count) GTEST_SKIP() << "needs the processor's trap flag";
    if (shard_test::sanitized) GTEST_SKIP() << "sanitizers add instructions that no one runs";
    void* const memory =
        mmap(nullptr, sizeof(orders), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    told = new (memory) orders;
    seen = &tally_;
  }
  void TearDown() override {
    leaves_nothing::TearDown();
    if (told != nullptr) munmap(told, sizeof(orders));
    told = nullptr;
    seen = nullptr;
  }

  const tally& at() const { return tally_; }
  const shard_test::trace& recorder() const { return trace_; }

  // Of the program's own instructions, the first times that they come: in between there are loops
  // that wait, and look through /proc.
  std::vector<moment> moments() const {
    constexpr std::size_t most_visits = 3;
    std::vector<moment> all = shard_test::moments_of(own_of(trace_.found()));
    std::erase_if(all, [&](const moment& each) { return each.visit > most_visits; });
    return all;
  }

  // Calls once(moment, its number) for about so many of them. Counts those that came.
  template <class Once>
  void at_some_of(const std::vector<moment>& all, std::size_t most, const Once& once) const {
    using days = std::chrono::duration<std::size_t, std::ratio<86'400>>;
    const auto today =
        std::chrono::duration_cast<days>(std::chrono::system_clock::now().time_since_epoch());
    const std::size_t step =
        std::getenv("EVERY_DEATH") != nullptr ? 1 : std::max<std::size_t>(all.size() / most, 1);
    std::size_t tried = 0;
    std::size_t killed = 0;
    for (std::size_t k = today.count() % step; k < all.size() && !HasFailure(); k += step) {
      trace_.forget();
      once(all[k], k + 1);
      ++tried;
      if (trace_.has_come()) ++killed;
    }
    std::cout << "             killed at " << killed << " of " << tried << " instructions, of "
              << all.size() << "\n";
    EXPECT_GT(all.size(), 100u) << "too few to have done anything";
    EXPECT_GT(killed, tried / 3);
  }

  // ---- A worker: from the end of a run through the next one to the beginning of the one behind.

  template <class Runs>
  void kill_a_worker(unsigned workers, std::size_t most, const Runs& three) {
    *told = {};
    told->what = orders::record;
    {
      runs alone(1);
      rehearse(alone, three, 0);
    }
    const std::vector<moment> all = moments();
    runs each(workers);
    at_some_of(all, most, [&](const moment& when, std::size_t number) {
      *told = {orders::die, when};
      rehearse(each, three, number);
      told->what = orders::nothing;
      if (recorder().has_come()) return;
      kill_the(follower);  // its moment must not come in one of the next
      each.map(number);
    });
  }

  // ---- Supervisors and standbys.

  // Each in a pool of its own. `script` is what happens to it.
  template <class Script>
  void kill_a_leader(bool standby, std::size_t most, const Script& script) {
    const auto once = [&](std::size_t number) {
      std::optional<runs> each;
      {
        const forks_are_followed here(standby);
        each.emplace(1);
      }
      next.what = orders::nothing;
      script(*each, number);
    };
    next = {};
    next.what = orders::record;
    once(0);
    at_some_of(moments(), most, [&](const moment& when, std::size_t number) {
      next = {orders::die, when};
      once(number);
    });
  }

  // Kills who has been seen there, and waits until it is dead.
  void kill_the(std::size_t who) const {
    const pid_t pid = at()[who];
    if (::kill(pid, SIGKILL) != 0) return;
    EXPECT_TRUE(eventually([&] {
      const auto found = shard_test::process_of(std::to_string(pid));
      return !found || found->dead();
    }));
  }

 private:
  template <class Runs>
  void rehearse(runs& of, const Runs& three, std::size_t number) const {
    at()[begun] = 0;
    at()[follows] = 1;
    three(of, number);
  }

  tally tally_;
  shard_test::trace trace_;
};

void map_three(runs& of, std::size_t number) {
  for (int k = 0; k < 3; ++k) EXPECT_TRUE(of.map(number));
}
void queue_three(runs& of, std::size_t number) { of.queue(3, number); }

TEST_F(PoolDeaths, OfTheOnlyWorkerFromRunToRunLoseAndDoubleNothing) {
  kill_a_worker(1, 400, map_three);
}
TEST_F(PoolDeaths, OfOneOfTwoWorkersFromRunToRunLoseAndDoubleNothing) {
  kill_a_worker(2, 400, map_three);
}
TEST_F(PoolDeaths, OfTheOnlyWorkerInAQueueLoseAndDoubleNothing) {
  kill_a_worker(1, 400, queue_three);
}
TEST_F(PoolDeaths, OfOneOfTwoWorkersInAQueueLoseAndDoubleNothing) {
  kill_a_worker(2, 400, queue_three);
}

TEST_F(PoolDeaths, OfASupervisorThatMendsARunLoseAndDoubleNothing) {
  kill_a_leader(false, 200, [&](runs& of, std::size_t number) {
    at()[dies] = 1;
    EXPECT_TRUE(of.map(number));
    EXPECT_TRUE(of.map(number));
  });
}
TEST_F(PoolDeaths, OfASupervisorThatMendsBetweenRunsLoseAndDoubleNothing) {
  kill_a_leader(false, 200, [&](runs& of, std::size_t number) {
    EXPECT_TRUE(of.map(number));
    kill_the(worker);
    EXPECT_TRUE(of.map(number));
    EXPECT_TRUE(of.map(number));
  });
}

// With its supervisor dead the death of the standby is the end of the family, until it has a
// standby of its own. Then the next map has another one.
TEST_F(PoolDeaths, OfAStandbyThatTakesOverBetweenRunsLoseAndDoubleNothing) {
  kill_a_leader(true, 200, [&](runs& of, std::size_t number) {
    EXPECT_TRUE(of.map(number));
    kill_the(supervisor);
    EXPECT_TRUE(of.map(number) || of.map(number));
    EXPECT_TRUE(of.map(number) || of.map(number));
  });
}
TEST_F(PoolDeaths, OfAStandbyThatTakesOverInARunLoseAndDoubleNothing) {
  kill_a_leader(true, 200, [&](runs& of, std::size_t number) {
    EXPECT_TRUE(of.map(number));
    at()[kills_its_supervisor] = 1;
    EXPECT_TRUE(of.map(number) || of.map(number));
    EXPECT_TRUE(of.map(number) || of.map(number));
    at()[kills_its_supervisor] = 0;
  });
}

// A caller: by itself, since it dies. From where its pool is made until the pool is dropped.
TEST_F(PoolDeaths, OfTheCallerLeaveNobody) {
  const auto once = [&] {
    const pid_t caller = ::fork();
    if (caller == 0) {
      {
        runs own(2);
        follow_orders();
        own.fill();
        own.fill();
        own.queue_fills(2);
      }
      ::_exit(HasFailure() ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(caller, &status, 0), caller);
    EXPECT_TRUE(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    EXPECT_TRUE(eventually([&] { return relatives().living().empty(); }));
  };
  next = {};
  next.what = orders::record;
  once();
  at_some_of(moments(), 300, [&](const moment& when, std::size_t) {
    next = {orders::die, when};
    once();
  });
  next = {};
}

}  // namespace
