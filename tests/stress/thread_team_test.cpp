// Threads that wait for runs, as often as they can be kept waiting.
#include "family/thread_team.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <vector>

#include "os/thread_stack.hpp"

namespace {

using namespace std::chrono_literals;
using shard::family::thread_team;
using clock = std::chrono::steady_clock;

class Team : public testing::TestWithParam<std::chrono::nanoseconds> {
 protected:
  static constexpr unsigned threads = 3;
  thread_team team_{threads, shard::os::own_stack_bytes(), GetParam()};
};

TEST_P(Team, DoesEachSlotAtMostOnceWhileItsCallerTakesPart) {
  for (unsigned run = 0; run < 3000; ++run) {
    std::vector<int> done(1 + run % (threads + 1));  // not atomic: each slot is one's own
    const thread_team::work work = [&](unsigned slot) { ++done.at(slot); };
    team_.begin(static_cast<unsigned>(done.size()), work);
    team_.take_part();
    ASSERT_TRUE(team_.wait());
    ASSERT_LE(*std::ranges::max_element(done), 1) << "run " << run;
    ASSERT_GE(*std::ranges::max_element(done), 1) << "run " << run;
  }
}

TEST_P(Team, DoesAllSlotsWhileItsCallerWaits) {
  for (unsigned run = 0; run < 3000; ++run) {
    std::vector<int> done(1 + run % (2 * threads), 0);  // more than threads, too
    const thread_team::work work = [&](unsigned slot) { ++done.at(slot); };
    team_.begin(static_cast<unsigned>(done.size()), work);
    while (!team_.wait(clock::now() + (run % 2 == 0 ? 0ns : 10ms))) {
    }
    ASSERT_EQ(done, std::vector(done.size(), 1)) << "run " << run;
  }
}

TEST_P(Team, BeginsNothingThatIsWithdrawn) {
  for (unsigned run = 0; run < 3000; ++run) {
    std::atomic<bool> withdrawn{false};
    std::atomic<unsigned> begun{0};
    const thread_team::work work = [&](unsigned) {
      ++begun;
      while (!withdrawn) {
      }
    };
    team_.begin(2 * threads, work);
    team_.withdraw();
    withdrawn = true;
    ASSERT_TRUE(team_.wait());
    ASSERT_LE(begun, threads);
  }
}

INSTANTIATE_TEST_SUITE_P(Waiting, Team, testing::Values(0ns, 20us), [](const auto& spin) {
  return spin.param.count() == 0 ? "asleep" : "awake_for_a_while";
});

}  // namespace
