// The door under threads: what ThreadSanitizer can't see between processes it sees here.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <thread>
#include <vector>

#include "os/process.hpp"
#include "queue_of_runs.hpp"

namespace {

using namespace std::chrono_literals;
using shard_test::door;
using shard_test::queue_of_runs;

void wait_until_over(const queue_of_runs& queue, door::run last) {
  const door& at = queue.entrance();
  at.await(last);
  while (at.over() < last) {
    shard::os::watched event{queue.event().get()};
    shard::os::wait_ready({&event, 1}, std::nullopt);
    std::uint64_t count = 0;
    ASSERT_EQ(::read(queue.event().get(), &count, sizeof count), sizeof count);
  }
  at.await(0);
}

class DoorUnderThreads : public testing::TestWithParam<std::chrono::nanoseconds> {};

TEST_P(DoorUnderThreads, CarriesOutEachRunOnceAndInItsTurn) {
  constexpr unsigned workers = 3;
  constexpr door::run runs = 3000;
  queue_of_runs queue(workers);
  queue.gather_in(runs, workers);  // so that each thread comes to an end
  std::vector<std::thread> threads;
  for (unsigned slot = 0; slot < workers; ++slot) {
    threads.emplace_back([&, slot] { queue.serve(slot, runs, GetParam()); });
  }
  // Half of them queued, as fast as they come, and half one by one.
  door::run next = 1;
  for (; next <= runs / 2; ++next) queue.entrance().submit(next);
  wait_until_over(queue, next - 1);
  EXPECT_TRUE(queue.are_carried_out(next - 1));
  for (; next <= runs; ++next) {
    queue.entrance().submit(next);
    wait_until_over(queue, next);
  }
  for (std::thread& one : threads) one.join();
  EXPECT_TRUE(queue.are_carried_out(runs));
  EXPECT_EQ(queue.out_of_turn(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Waiting, DoorUnderThreads,
                         testing::Values(std::chrono::nanoseconds(0),
                                         std::chrono::nanoseconds(20us)),
                         [](const auto& spin) {
                           return spin.param.count() == 0 ? "asleep" : "awake_for_a_while";
                         });

}  // namespace
