// Eventfds that tell of notifications: in one process, and in processes that share nothing else but
// a socket.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "backings.hpp"
#include "connection.hpp"
#include "process/family.hpp"
#include "refusal.hpp"
#include "shard/buffer.hpp"

namespace {

using namespace std::chrono_literals;
using shard_test::bystander;
using shard_test::connection;
using shard_test::for_each_backing;
using shard_test::holds_in_a_child;
using shard_test::mentions;
using shard_test::open_descriptors;
using shard_test::refusal;

// What an eventfd has counted since it was read last.
std::uint64_t taken(int event) {
  std::uint64_t count = 0;
  return read(event, &count, sizeof count) == 8 ? count : 0;
}

// Waits until it is readable, as an event loop does.
std::uint64_t awaited(int event) {
  pollfd one{event, POLLIN, 0};
  EXPECT_EQ(poll(&one, 1, 60'000), 1);
  return taken(event);
}

class owned_event {
 public:
  explicit owned_event(unsigned value = 0, int flags = EFD_NONBLOCK)
      : number_(eventfd(value, flags | EFD_CLOEXEC)) {}
  owned_event(const owned_event&) = delete;
  owned_event& operator=(const owned_event&) = delete;
  ~owned_event() { close(number_); }
  int get() const { return number_; }

 private:
  int number_;
};

TEST(Event, ThatIsAttachedCountsTheNotificationsOfItsHandle) {
  for_each_backing([](shard::buffer<int> some) {
    const owned_event one;
    const owned_event two;
    some.attach_event(one.get());
    some.notify();
    some.attach_event(two.get());
    some.notify();
    EXPECT_EQ(taken(one.get()), 2u);
    EXPECT_EQ(taken(two.get()), 1u);
    auto other = shard::buffer<int>::reopen(some.descriptor());
    other.notify();
    EXPECT_EQ(taken(one.get()), 0u) << "of another handle";
    EXPECT_TRUE(holds_in_a_child([&] {
      some.notify();
      return true;
    }));
    EXPECT_EQ(taken(one.get()), 1u) << "of its forked copy";
    EXPECT_EQ(some.wait(), 4u) << "all of them are counted in the buffer";
  });
}

TEST(Event, ThatIsAttachedMayBeClosedByItsGiver) {
  shard::buffer<int> some(1);
  const int copy = [&] {
    const owned_event given;
    some.attach_event(given.get());
    return fcntl(given.get(), F_DUPFD_CLOEXEC, 0);
  }();
  some.notify();
  EXPECT_EQ(taken(copy), 1u);
  close(copy);
}

TEST(Event, ThatIsDetachedCountsNoMore) {
  const std::size_t before = open_descriptors();
  {
    const owned_event given;
    shard::buffer<int> some(1);
    const int own = some.event_descriptor();
    some.notify();  // attaches
    EXPECT_EQ(taken(own), 1u);
    const std::size_t descriptors = open_descriptors();
    some.attach_event(given.get());
    some.attach_event(given.get());
    some.notify();
    EXPECT_EQ(taken(given.get()), 2u) << "attached twice";
    some.detach_events();
    some.notify();
    EXPECT_EQ(taken(given.get()), 0u);
    EXPECT_EQ(taken(own), 2u);
    EXPECT_EQ(open_descriptors(), descriptors);
    some.attach_event(given.get());
  }
  EXPECT_EQ(open_descriptors(), before) << "the handle closes what it has";
}

// A counter that blocks, and is full: who notifies goes on.
TEST(Event, ThatIsFullHoldsNobodyUp) {
  for (const int flags : {0, int{EFD_NONBLOCK}, int{EFD_SEMAPHORE}}) {
    shard::buffer<int> some(1);
    const owned_event full(0, flags);
    const std::uint64_t most = UINT64_MAX - 1;
    ASSERT_EQ(write(full.get(), &most, sizeof most), 8);
    some.attach_event(full.get());
    some.notify();
    some.notify();
    EXPECT_NE(taken(full.get()), 0u);
  }
}

TEST(Event, IsNothingElse) {
  shard::buffer<int> some(1);
  int pipe_ends[2];
  ASSERT_EQ(pipe2(pipe_ends, O_CLOEXEC), 0);
  const connection sockets;
  const std::size_t descriptors = open_descriptors();
  for (const int wrong : {pipe_ends[0], pipe_ends[1], sockets.here(), some.descriptor()}) {
    try {
      some.attach_event(wrong);
      ADD_FAILURE() << "attached it";
    } catch (const shard::error& e) {
      EXPECT_EQ(e.code(), std::errc::invalid_argument);
      mentions(e.what(), {"cannot attach an event to memory", "found a", "expected an eventfd"});
    }
  }
  close(pipe_ends[0]);
  for (const int gone : {pipe_ends[0], -1}) {
    try {
      some.attach_event(gone);
      ADD_FAILURE() << "attached it";
    } catch (const shard::error& e) {
      EXPECT_EQ(e.code(), std::errc::bad_file_descriptor);
      mentions(e.what(), {"cannot attach an event to memory", "expected an open eventfd"});
    }
  }
  close(pipe_ends[1]);
  EXPECT_EQ(open_descriptors(), descriptors - 2);
  some.notify();
}

TEST(Event, IsOneOfAtMost250) {
  const owned_event given;
  shard::buffer<int> some(1);
  for (int k = 0; k < 250; ++k) some.attach_event(given.get());
  const std::size_t descriptors = open_descriptors();
  try {
    some.attach_event(given.get());
    ADD_FAILURE() << "attached it";
  } catch (const shard::error& e) {
    EXPECT_EQ(e.code(), std::errc::no_buffer_space);
    mentions(e.what(), {"found 250 attached", "detach_events()"});
  }
  EXPECT_EQ(open_descriptors(), descriptors);
  some.notify();
  EXPECT_EQ(taken(given.get()), 250u);
  // They fit into one message, with the handle's own and the buffer.
  static_cast<void>(some.event_descriptor());
  const connection to;
  some.send_descriptor(to.here());
  mentions(refusal([&] { shard::buffer<int>::receive(to.there()); }), {"found 250 attached"});
}

// ---- To other processes.

// The other process gets the buffer with the event that this one waits for.
TEST(Event, GoesAlongWithTheBufferToAProcessThatNotifies) {
  const connection to;
  bystander other([&] {
    for (int backing = 0; backing < 6; ++backing) {
      auto received = shard::buffer<int>::receive(to.there());
      received[0] = 42;
      received.notify();
      // Until the other has seen it.
      if (received.wait_for(0, 42, 1min) != 43) return false;
    }
    return true;
  });
  for_each_backing([&](shard::buffer<int> some) {
    const int loop = some.event_descriptor();
    some.send_descriptor(to.here());
    EXPECT_EQ(awaited(loop), 1u);
    EXPECT_EQ(some[0], 42);
    some.store(0, 43);
    some.notify_all(0);
  });
  EXPECT_TRUE(other.succeeded());
}

// The other process waits, and hands its event to this one.
TEST(Event, OfAReceiverReachesWhoSentTheBuffer) {
  const connection to;
  bystander other([&] {
    for (int backing = 0; backing < 6; ++backing) {
      auto received = shard::buffer<int>::receive(to.there());
      const int loop = received.event_descriptor();
      received.send_event(to.there());
      if (awaited(loop) != 1 || received[0] != 42) return false;
    }
    return true;
  });
  for_each_backing([&](shard::buffer<int> some) {
    some.send_descriptor(to.here());
    some.receive_event(to.here());
    some[0] = 42;
    some.notify();
  });
  EXPECT_TRUE(other.succeeded());
}

// Each reads the count of its own.
TEST(Event, OfEachOfSeveralReceiversCountsByItself) {
  shard::buffer<int> some(3);
  const connection to[2];
  const auto receive = [&](int c) {
    auto received = shard::buffer<int>::receive(to[c].there());
    received.send_event(to[c].there());
    return awaited(received.event_descriptor()) == 1;
  };
  bystander first([&] { return receive(0); });
  bystander second([&] { return receive(1); });
  for (const connection& each : to) {
    some.send_descriptor(each.here());
    some.receive_event(each.here());
  }
  some.notify();
  EXPECT_TRUE(first.succeeded());
  EXPECT_TRUE(second.succeeded());
}

constexpr const char* socket_of_the_program = "SHARD_TEST_EVENT_SOCKET";

// A program that was started anew: it is this test, with a socket.
TEST(Event, ReachesAnotherProgram) {
  if (const char* const number = std::getenv(socket_of_the_program)) {
    const int socket = std::atoi(number);
    auto received = shard::buffer<int>::receive(socket);
    const int loop = received.event_descriptor();
    received.send_event(socket);
    ASSERT_EQ(awaited(loop), 1u);
    received.notify();
    return;
  }
  const connection to;
  const pid_t child = fork();
  if (child == 0) {
    for (const char* const part : {"GTEST_TOTAL_SHARDS", "GTEST_SHARD_INDEX"}) unsetenv(part);
    fcntl(to.there(), F_SETFD, 0);
    setenv(socket_of_the_program, std::to_string(to.there()).c_str(), 1);
    execl("/proc/self/exe", "events", "--gtest_filter=Event.ReachesAnotherProgram", nullptr);
    _exit(1);
  }
  shard::buffer<int> some(3);
  const int loop = some.event_descriptor();
  some.send_descriptor(to.here());
  some.receive_event(to.here());
  some.notify();
  // Its own and the other's, at once or one by one.
  const std::uint64_t first = awaited(loop);
  EXPECT_EQ(first == 1 ? first + awaited(loop) : first, 2u);
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

// Who only reads can't notify.
TEST(Event, IsNotGivenToWhoOnlyReads) {
  const connection to;
  shard::buffer<int> some(3);
  static_cast<void>(some.event_descriptor());
  const owned_event given;
  some.attach_event(given.get());
  some.send_descriptor(to.here());
  const std::size_t descriptors = open_descriptors();
  {
    const auto received = shard::buffer<const int>::receive(to.there());
    const auto again = shard::buffer<const int>::reopen(received.descriptor());
    EXPECT_EQ(open_descriptors(), descriptors + 2) << "the buffer's alone";
  }
  const shard::buffer<const int> view = std::move(some);
  view.send_descriptor(to.here());
  const std::size_t before = open_descriptors();
  const auto received = shard::buffer<const int>::receive(to.there());
  EXPECT_EQ(open_descriptors(), before + 1);
}

TEST(ReceiveEvent, SaysWhatItReceivedInsteadAndKeepsNoneOfIt) {
  connection to;
  shard::buffer<int> some(3);
  const auto code_of = [&] {
    try {
      some.receive_event(to.there());
    } catch (const shard::error& e) {
      mentions(e.what(), {"cannot receive an event for memory", ": found ", "expected "});
      return e.code();
    }
    return std::error_code();
  };
  const std::size_t descriptors = open_descriptors();
  some.send_descriptor(to.here());
  EXPECT_EQ(code_of(), std::errc::invalid_argument) << "a buffer";
  ASSERT_EQ(send(to.here(), "x", 1, 0), 1);
  EXPECT_EQ(code_of(), std::errc::bad_message) << "no descriptor";
  {
    auto other = shard::buffer<int>::reopen(some.descriptor());
    static_cast<void>(other.event_descriptor());
    other.send_descriptor(to.here());
  }
  EXPECT_EQ(code_of(), std::errc::bad_message) << "a buffer and an event";
  EXPECT_EQ(open_descriptors(), descriptors);
  to.hang_up();
  EXPECT_EQ(code_of(), std::errc::not_connected);
  mentions(refusal([&] { some.receive_event(-1); }), {"Bad file descriptor", "recvmsg"});
  mentions(refusal([&] { some.send_event(-1); }), {"cannot send the event of memory", "sendmsg"});
}

// The message that has no room for all is no half of one.
TEST(ReceiveEvent, SurvivesMoreDescriptorsThanThereIsRoomFor) {
  const connection to;
  shard::buffer<int> some(3);
  const owned_event given;
  for (int k = 0; k < 100; ++k) some.attach_event(given.get());
  some.send_descriptor(to.here());
  EXPECT_TRUE(holds_in_a_child([&] {
    const rlimit few{static_cast<rlim_t>(open_descriptors()) + 20, 1024};
    if (setrlimit(RLIMIT_NOFILE, &few) != 0) return false;
    return mentions(refusal([&] { shard::buffer<int>::receive(to.there()); }),
                    {"more descriptors than this process may open"});
  }));
}

}  // namespace
