// Processes that use one buffer at the same time, in everything that can be behind one.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "backings.hpp"
#include "process/leftovers.hpp"
#include "refusal.hpp"
#include "shard/text.hpp"

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using shard::range;
using shard_test::bystander;
using shard_test::for_each_backing;
using shard_test::holds_in_a_child;
using shard_test::holds_in_children;

using cells = shard::buffer<std::int64_t>;

class Sharing : public shard_test::leaves_nothing {};

// ---- Nothing is lost.

TEST_F(Sharing, LosesNoIncrementOfTwoProcesses) {
  for_each_backing<std::int64_t>(
      [](cells some) {
        EXPECT_TRUE(holds_in_children(2, [&](int) {
          for (int i = 0; i < 1000; ++i) {
            some.fetch_add(0, 1);
            std::int64_t old = some.load(1);
            while (!some.compare_exchange(1, old, old + 1)) {
            }
          }
          return true;
        }));
        EXPECT_EQ(some[0], 2000);
        EXPECT_EQ(some[1], 2000);
      },
      2);
}

// Additions of many elements, by handles of each process's own, and single ones into the same.
TEST_F(Sharing, LosesNoAdditionOfTwoProcesses) {
  for_each_backing<std::int64_t>(
      [](const cells& some) {
        EXPECT_TRUE(holds_in_children(2, [&](int c) {
          auto own = cells::reopen(some.descriptor());
          const std::vector<std::int64_t> ones{1, 1, 1};
          for (int i = 0; i < 1000; ++i) {
            own.add({511, 514}, ones);  // across the border of two stripes
            own.fetch_add(511 + c, 1);
          }
          return true;
        }));
        EXPECT_EQ(some[511], 3000);
        EXPECT_EQ(some[512], 3000);
        EXPECT_EQ(some[513], 2000);
      },
      2048);
}

// ---- Nothing is mixed.

using word = shard::text<24>;  // lies across the borders of stripes

template <class T>
shard::buffer<T> handle_of(const shard::buffer<word>& some) {
  return shard::buffer<T>::reopen(some.descriptor());
}

// Two writers write whole strings, each one string everywhere; readers, with and without the right
// to write, see one of them.
TEST_F(Sharing, OfStringsThatTwoWriteShowsNoMixture) {
  constexpr std::size_t count = 400;
  for_each_backing<word>(
      [](const shard::buffer<word>& some) {
        const shard::buffer<int> over(1);
        const std::atomic_ref ended(const_cast<int&>(over[0]));
        const auto see = [&](const auto& own) {
          std::vector<word> seen(count);
          int wrong = 0;
          do {
            if (own.try_read({0, count}, seen)) {
              wrong += std::ranges::count(seen, seen[0]) != std::ssize(seen) ? 1 : 0;
            }
          } while (ended.load() < 2);
          return wrong == 0;
        };
        EXPECT_TRUE(holds_in_children(4, [&](int c) {
          if (c == 2) return see(handle_of<const word>(some));
          if (c == 3) return see(handle_of<word>(some));
          auto own = handle_of<word>(some);
          const word mine(std::string(24, static_cast<char>('a' + c)));
          const std::vector<word> all(count, mine);
          for (int k = 0; k < 500; ++k) {
            k % 2 == 0 ? own.write({0, count}, all) : own.fill({0, count}, mine);
          }
          ended.fetch_add(1);
          return true;
        }));
      },
      count);
}

// ---- Notifications.

TEST_F(Sharing, CarriesWhatAnotherProcessWroteBeforeItNotified) {
  for_each_backing<std::int64_t>(
      [](cells some) {
        EXPECT_EQ(some.wait_for(0s), 0u) << "no notifier";
        bystander other([&] {
          auto own = cells::reopen(some.descriptor());
          own[1] = 42;
          own.notify();
          own[2] = 43;
          own.notify();
          return own.wait_for(0s) == 2;
        });
        std::size_t notices = some.wait();
        EXPECT_EQ(some[1], 42);
        while (notices < 2) notices += some.wait();
        EXPECT_EQ(notices, 2u);
        EXPECT_EQ(some[2], 43);
        EXPECT_EQ(some.wait_for(0s), 0u) << "each is counted once";
        EXPECT_TRUE(other.succeeded());
      },
      3);
}

// ---- What is left to others.

// Not by its number, and not by any other: neither of the elements nor of what they share.
TEST_F(Sharing, LeavesNoDescriptorToAProgramThatIsExecuted) {
  for_each_backing<std::int64_t>(
      [](cells some) {
        some.fill({0, 3}, 1);
        some.lock();
        some.attach_event(some.event_descriptor());
        const auto watching = some.read_only();
        std::vector<std::int64_t> seen(3);
        watching.read({0, 3}, seen);
        const std::string own = "/proc/self/fd/" + std::to_string(some.descriptor());
        ASSERT_TRUE(fs::exists(fs::symlink_status(own)));
        const pid_t child = fork();
        if (child == 0) {
          execl("/bin/sh", "sh", "-c",
                "for each in /proc/$$/fd/*; do case $(readlink $each) in "
                "*memfd:shard*|*/shard-test-*|*eventfd*) exit 1;; esac; done",
                nullptr);
          _exit(2);
        }
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
        some.unlock();
      },
      3);
}

// A killed holder's child, which has all its mappings and descriptors, keeps nobody out.
TEST_F(Sharing, DoesNotWaitForTheChildrenOfAKilledHolder) {
  for_each_backing<std::int64_t>(
      [](cells some) {
        for (const bool exclusively : {true, false}) {
          int ready[2];
          int go[2];
          ASSERT_EQ(pipe2(ready, O_CLOEXEC) | pipe2(go, O_CLOEXEC), 0);
          const pid_t holder = fork();
          if (holder == 0) {
            close(go[1]);
            exclusively ? some.lock() : some.lock_shared();
            const pid_t heir = fork();
            char byte = static_cast<char>(heir == 0);
            if (write(ready[1], &byte, 1) != 1) _exit(1);
            if (heir != 0) raise(SIGKILL);
            // Lives until the test has seen what it came to see.
            _exit(read(go[0], &byte, 1) == 0 ? 0 : 1);
          }
          close(ready[1]);
          close(go[0]);
          char byte = 0;
          ASSERT_EQ(read(ready[0], &byte, 1), 1);
          ASSERT_EQ(read(ready[0], &byte, 1), 1);
          int status = 0;
          ASSERT_EQ(waitpid(holder, &status, 0), holder);
          ASSERT_TRUE(WIFSIGNALED(status));
          EXPECT_TRUE(some.try_lock_for(1min));
          EXPECT_EQ(some.abandoned(), exclusively);
          some.clear_abandoned();
          some.unlock();
          close(go[1]);
          // Nobody's child any more: its end is the end of the pipe.
          EXPECT_EQ(read(ready[0], &byte, 1), 0);
          close(ready[0]);
        }
      },
      3);
}

}  // namespace
