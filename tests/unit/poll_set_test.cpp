#include "os/poll_set.hpp"

#include <gtest/gtest.h>

#include <chrono>

#include "os/event.hpp"
#include "os/process.hpp"

namespace {

using namespace std::chrono_literals;
using shard::os::poll_set;

// A limit for tests in which something is ready: without that they would not end.
constexpr auto watchdog = 60s;

TEST(PollSet, TellsByTokensWhichOnesAreReady) {
  const auto quiet = shard::os::event_counter();
  const auto told = shard::os::event_counter();
  ASSERT_TRUE(shard::os::count_event(told.get()));
  poll_set all;
  const auto first = all.add(quiet);
  const auto second = all.add(told);
  all.wake_after(watchdog);
  all.wait();
  EXPECT_FALSE(all.ready(first));
  EXPECT_TRUE(all.ready(second));
}

TEST(PollSet, NeverFindsNoDescriptorReady) {
  poll_set all;
  const auto none = all.add(-1);
  const auto empty = all.add(shard::os::descriptor());
  all.wake_after(0ms);
  all.wait();
  EXPECT_FALSE(all.ready(none));
  EXPECT_FALSE(all.ready(empty));
  EXPECT_FALSE(all.ready(poll_set::token()));
}

TEST(PollSet, TellsWhetherAPipeCanBeWrittenTo) {
  const shard::os::pipe_ends pipe = shard::os::make_pipe();
  poll_set all;
  const auto written = all.add_for_writing(pipe.write.get());
  const auto read = all.add(pipe.read);
  all.wake_after(watchdog);
  all.wait();
  EXPECT_TRUE(all.ready(written));
  EXPECT_FALSE(all.ready(read));
}

// Or the watchdog of all tests ends this one.
TEST(PollSet, WaitsForTheSoonestOfItsLimits) {
  poll_set all;
  all.wake_after(std::chrono::hours(1));
  all.wake_after(1ms);
  all.wake_after(std::chrono::hours(2));
  all.wait();
  EXPECT_FALSE(all.ready(all.add(-1)));
}

}  // namespace
