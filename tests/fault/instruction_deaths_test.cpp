// Real runs, in which one process dies at each of the instructions that it executes, in turn: a
// worker from its first step to its end; a supervisor from the death of a worker until it is
// replaced and the run is over; a standby that takes over. Each time the run completes by itself,
// and its results are the same bits.
//
// What a process would execute is recorded once, and then it is killed at one moment of that in
// each run, by a breakpoint. Of workers these are all instructions. Supervisor and standby die at
// those of the program itself, the first times that they come to each (looking through /proc has
// long loops, in which nothing of a run changes): between two instructions of the C library nothing
// becomes visible to others but by a system call, and each of those is returned from before the
// next of the program's own.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "fault/following.hpp"
#include "os/symbols.hpp"
#include "process/leftovers.hpp"
#include "shard/shard.hpp"

namespace {

using shard_test::follow_orders;
using shard_test::forks_are_followed;
using shard_test::moment;
using shard_test::moments_of;
using shard_test::next;
using shard_test::orders;
using shard_test::own_of;

// ---- The run ----

constexpr std::size_t indices = 12;
constexpr std::size_t grain = 4;

// Large accumulators are published when it is time, small ones after every chunk.
enum class size { small, large };

struct results {
  shard::report run;
  std::vector<double> out;
  std::vector<std::int64_t> cells;
  std::uint64_t ordered = 0;
  std::int64_t counted = 0;
  std::vector<std::int64_t> bins;
};

// begin() is called when a worker has come to work; at(i) in its kernel.
template <class Begin, class At>
results run(size of, const Begin& begin, const At& at, std::chrono::milliseconds timeout = {}) {
  shard::buffer<double> out(indices);
  shard::buffer<std::int64_t> cells(indices);
  for (std::size_t i = 0; i < indices; ++i) cells[i] = static_cast<std::int64_t>(i);
  shard::ordered_sum<double> sum;
  shard::counter count;
  shard::histogram bins{shard::axis::regular(of == size::small ? 4 : 100, 0.0, 12.0)};
  shard::report done =
      shard::try_map({.workers = 1, .grain = grain, .timeout = timeout}, indices, shard::out(out),
                     shard::inout(cells), shard::reduce(sum), shard::reduce(count),
                     shard::reduce(bins), shard::worker_state([&] {
                       begin();
                       return 0;
                     }),
                     [&](std::size_t i, shard::slice<double> to, shard::slice<std::int64_t> cell,
                         auto& total, auto& hits, auto& bin, int&) {
                       const auto x = static_cast<double>(i);
                       to[i] = x / 3;
                       ++cell[i];
                       total += 1 / (x + 1);
                       ++hits;
                       bin(x);
                       at(i);
                     });
  const auto counts = bins.counts();
  return {std::move(done),
          {out.begin(), out.end()},
          {cells.begin(), cells.end()},
          std::bit_cast<std::uint64_t>(sum.value()),
          count.value(),
          {counts.begin(), counts.end()}};
}

void expect_exact(const results& found, const results& right, std::size_t moment) {
  EXPECT_TRUE(found.run.complete()) << found.run << " at moment " << moment;
  EXPECT_EQ(found.out, right.out) << moment;
  EXPECT_EQ(found.cells, right.cells) << moment;
  EXPECT_EQ(found.ordered, right.ordered) << moment;
  EXPECT_EQ(found.counted, right.counted) << moment;
  EXPECT_EQ(found.bins, right.bins) << moment;
}

// ---- Who dies ----

class InstructionDeaths : public shard_test::leaves_nothing {
 protected:
  void SetUp() override {
    leaves_nothing::SetUp();
    if (!shard_test::can_count) GTEST_SKIP() << "needs the processor's trap flag";
    if (shard_test::sanitized) GTEST_SKIP() << "sanitizers add instructions that no one runs";
  }

  // `once` runs a map, a process of which follows the orders.
  template <class Once>
  void kill_everywhere(const Once& once,
                       std::vector<std::uintptr_t> (*choose)(std::vector<std::uintptr_t>),
                       std::size_t most_visits = static_cast<std::size_t>(-1)) {
    next.what = orders::record;
    once(0);
    std::vector<moment> all = moments_of(choose(trace_.found()));
    std::erase_if(all, [&](const moment& each) { return each.visit > most_visits; });
    std::size_t killed = 0;
    for (std::size_t k = 0; k < all.size() && !HasFailure(); ++k) {
      next = {orders::die, all[k]};
      trace_.forget();
      once(k + 1);
      if (trace_.has_come()) ++killed;
    }
    next.what = orders::nothing;
    std::cout << "             killed at " << killed << " of " << all.size() << " instructions\n";
    EXPECT_GT(killed, 100u) << "too few to have done anything";
    EXPECT_GE(killed, all.size() / 2);
  }

  std::vector<std::uintptr_t> recorded() const { return trace_.found(); }

 private:
  shard_test::trace trace_;
};

std::vector<std::uintptr_t> all_of(std::vector<std::uintptr_t> trace) { return trace; }

void kill_a_worker(size of, std::size_t moment, const results& right) {
  const shard_test::tally begun;
  const auto begin = [&] {
    if (begun[0]++ == 0) follow_orders();
  };
  expect_exact(run(of, begin, [](std::size_t) {}), right, moment);
}

TEST_F(InstructionDeaths, OfAWorkerLoseAndDoubleNothing) {
  const results right = run(
      size::small, [] {}, [](std::size_t) {});
  kill_everywhere([&](std::size_t moment) { kill_a_worker(size::small, moment, right); }, all_of);
}

// With several chunks between two publications.
TEST_F(InstructionDeaths, OfAWorkerWithMuchToPublishLoseAndDoubleNothing) {
  const results right = run(
      size::large, [] {}, [](std::size_t) {});
  kill_everywhere([&](std::size_t moment) { kill_a_worker(size::large, moment, right); }, own_of);
}

// In the spill, too: pieces are taken, filled, linked, and named by the chunk's state. In the
// second round an index has killed its first worker, so that its chunk is walked, and committed
// unit by unit, as the process dies that follows.
TEST_F(InstructionDeaths, OfAWorkerThatCollectsLoseAndDoubleNothing) {
  const auto items_of = [](std::size_t i) {
    std::vector<std::uint64_t> all(i % 4 == 3 ? 9 : i % 4);  // more than a first piece holds
    std::iota(all.begin(), all.end(), 100 * i);
    return all;
  };
  std::vector<std::uint64_t> right;
  for (std::size_t i = 0; i < indices; ++i) {
    const auto some = items_of(i);
    right.insert(right.end(), some.begin(), some.end());
  }
  for (const int killed_before : {0, 1}) {
    kill_everywhere(
        [&](std::size_t moment) {
          const shard_test::tally begun;
          shard::collect<std::uint64_t> items(shard::with_offsets);
          const shard::report done =
              shard::try_map({.workers = 1, .grain = grain, .retries = 2}, indices,
                             shard::reduce(items), shard::worker_state([&] {
                               if (begun[0]++ == killed_before) follow_orders();
                               return 0;
                             }),
                             [&](std::size_t i, auto& to, int&) {
                               const std::vector<std::uint64_t> some = items_of(i);
                               for (std::size_t k = 0; k < some.size() / 2; ++k)
                                 to.push_back(some[k]);
                               if (i == 5 && begun[1]++ < killed_before) raise(SIGKILL);
                               to.append(std::span(some).subspan(some.size() / 2));
                             });
          EXPECT_TRUE(done.complete()) << done << " at moment " << moment;
          EXPECT_TRUE(std::ranges::equal(items.items(), right)) << moment;
          for (std::size_t i = 0; i < indices; ++i) {
            EXPECT_TRUE(std::ranges::equal(items.items_of(i), items_of(i))) << moment;
          }
        },
        own_of);
  }
}

// Stopped for ever, it is killed where it holds the others up: in a kernel, and in a claim, for
// which no chunk is to blame.
TEST_F(InstructionDeaths, OfAWorkerThatStaysInAClaimBlameNoChunk) {
  if (!shard::os::symbols_are_known) GTEST_SKIP() << "claims can't be told from other code";
  constexpr std::chrono::milliseconds timeout{20};
  constexpr std::size_t most = 20;
  const results right = run(
      size::small, [] {}, [](std::size_t) {});
  std::size_t unblamed = 0;
  const auto once = [&](std::size_t moment) {
    const shard_test::tally begun;
    shard_test::bystander waker([&] {  // of one that holds nobody up
      for (int k = 0; k < 20 && begun[2] == 0; ++k) usleep(10'000);
      if (begun[2] == 0) ::kill(begun[1], SIGCONT);
      return true;
    });
    const auto begin = [&] {
      if (begun[0]++ != 0) return;
      begun[1] = getpid();
      follow_orders();
    };
    const results found = run(
        size::small, begin, [](std::size_t) {}, moment == 0 ? std::chrono::hours(1) : timeout);
    begun[2] = 1;
    expect_exact(found, right, moment);
    for (const shard::failure& one : found.run.failures()) {
      EXPECT_EQ(one.kind, "timeout");
      EXPECT_TRUE(one.indices.empty());
      ++unblamed;
    }
  };
  next.what = orders::record;
  next.by = SIGSTOP;
  once(0);
  std::vector<moment> in_claims = moments_of(own_of(recorded()));
  std::erase_if(in_claims, [](const moment& each) {
    return std::ranges::none_of(shard::os::lines_at(each.instruction), [](const auto& line) {
      return line.function.find("owner::claim") != std::string::npos;
    });
  });
  ASSERT_GT(in_claims.size(), most);
  const std::size_t step = in_claims.size() / most;
  for (std::size_t k = 0; k < in_claims.size() && !HasFailure(); k += step) {
    next = {orders::die, in_claims[k], SIGSTOP};
    once(k + 1);
  }
  next = {};
  EXPECT_GT(unblamed, 0u);
  std::cout << "             " << unblamed << " workers were killed in a claim\n";
}

TEST_F(InstructionDeaths, OfASupervisorInARecoveryLoseAndDoubleNothing) {
  const results right = run(
      size::small, [] {}, [](std::size_t) {});
  kill_everywhere(
      [&](std::size_t moment) {
        const shard_test::tally tries;
        const forks_are_followed here(false);
        const results found = run(
            size::small, [] {},
            [&](std::size_t i) {
              if (i == 5 && tries[0]++ == 0) raise(SIGKILL);
            });
        expect_exact(found, right, moment);
      },
      own_of, 3);
}

TEST_F(InstructionDeaths, OfAStandbyThatTakesOverLoseAndDoubleNothing) {
  const results right = run(
      size::small, [] {}, [](std::size_t) {});
  kill_everywhere(
      [&](std::size_t moment) {
        const shard_test::tally tries;
        const forks_are_followed here(true);
        const results found = run(
            size::small, [] {},
            [&](std::size_t i) {
              if (i == 5 && tries[0]++ == 0) ::kill(getppid(), SIGKILL);
              // Killed with its supervisor; until then it must not get to the end.
              while (i == 5 && tries[0] == 1 && tries[1]++ == 0) pause();
            });
        // With its supervisor dead the death of the standby is the end of the run, until it has a
        // standby of its own.
        if (found.run.complete()) return expect_exact(found, right, moment);
        EXPECT_FALSE(found.run.trouble().empty());
        for (const shard::range part : found.run.completed()) {
          for (const std::size_t i : part) {
            EXPECT_EQ(found.out[i], right.out[i]) << moment;
            EXPECT_EQ(found.cells[i], right.cells[i]) << moment;
          }
        }
      },
      own_of, 3);
}

}  // namespace
