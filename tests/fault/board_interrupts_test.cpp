// What others do at any instruction of an owner that waits, or of who reads: a signal handler does
// it, at each instruction in turn.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include "board/owner.hpp"
#include "fault/counting.hpp"
#include "ledger.hpp"
#include "os/process.hpp"
#include "process/family.hpp"

namespace {

using namespace std::chrono_literals;
using shard_test::counting;
using shard_test::ledger;
using shard_test::moment;

constexpr std::size_t most_instructions = 100'000;

// Shared with children: the trace of a recorded run behind its length, or whether a moment came.
class shared_words {
 public:
  shared_words()
      : memory_((most_instructions + 1) * sizeof(std::uintptr_t),
                shard::os::sharing::with_children) {}
  std::span<std::uintptr_t> all() const {
    return {reinterpret_cast<std::uintptr_t*>(memory_.base()), most_instructions + 1};
  }
  volatile std::uintptr_t& first() const { return all()[0]; }

 private:
  shard::os::anonymous_memory memory_;
};

// Runs `steps` in a child, which ends with what they return.
template <class Steps>
shard::os::process in_a_child(const Steps& steps) {
  return shard::os::start_process(
      shard::os::child_exit::signals_parent,
      [](void* context) {
        sigset_t none;
        sigemptyset(&none);
        shard::os::unblock_signals(none);
        _exit((*static_cast<const Steps*>(context))() ? 0 : 1);
      },
      const_cast<Steps*>(&steps));
}

class BoardInterrupts : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!shard_test::can_count) GTEST_SKIP() << "needs the processor's trap flag";
    if (shard_test::sanitized) GTEST_SKIP() << "sanitizers add instructions that no one stretches";
  }

  std::vector<moment> recorded() const {
    const std::uintptr_t count = words_.first();
    EXPECT_GT(count, 20u);
    EXPECT_LE(count, most_instructions);
    return shard_test::moments_of(
        words_.all().subspan(1, std::min<std::size_t>(count, most_instructions)));
  }

  shared_words words_;
};

// ---- Waiting

const ledger* raised_on = nullptr;
void raise_done(int) { raised_on->board().raise(shard::board::done); }

bool is_asleep(pid_t process) {
  std::string stat;
  std::getline(std::ifstream("/proc/" + std::to_string(process) + "/stat"), stat);
  return stat.at(stat.rfind(')') + 2) == 'S';
}

// Until the child has ended. If it sleeps, and not since its moment, it is woken.
void see_through(const ledger& on, const shard::os::process& child,
                 const volatile std::uintptr_t* came) {
  for (;;) {
    shard::os::watched end{child.pidfd()};
    shard::os::wait_ready({&end, 1}, 0ms);
    if (end.ready) break;
    if ((came == nullptr || *came == 0) && is_asleep(child.pid())) raise_done(0);
  }
  const shard::os::ending how = child.wait();
  EXPECT_EQ(how.signal, 0);
  EXPECT_EQ(how.exit_status, 0);
  EXPECT_NE(on.board().controls() & shard::board::done, 0u);
}

TEST_F(BoardInterrupts, OfAWaitLoseNoWakeUp) {
  {
    const ledger on({.chunks = 1});
    raised_on = &on;
    see_through(on, in_a_child([&] {
                  words_.first() = counting::record([&] { on.board().wait_for_controls(); },
                                                    words_.all().subspan(1));
                  return true;
                }),
                nullptr);
  }
  std::size_t interrupted = 0;
  for (const moment& when : recorded()) {
    const ledger on({.chunks = 1});
    raised_on = &on;
    words_.first() = 0;
    see_through(on, in_a_child([&] {
                  ::signal(SIGUSR1, raise_done);
                  counting::interrupt_from_here(when, SIGUSR1, words_.all().data());
                  on.board().wait_for_controls();
                  return true;
                }),
                &words_.first());
    if (words_.first() != 0) ++interrupted;
    if (HasFailure()) return;
  }
  std::cout << "  interrupted at " << interrupted << " instructions\n";
  EXPECT_GT(interrupted, 20u);
}

// ---- Reading

constexpr std::size_t sums = 8;

// Each chunk adds one to each sum: what is published has no two different ones.
shard::board::task add_one_to_each() {
  return {[](const void*, const shard::board::piece&, std::byte*, std::byte* accumulators,
             shard::board::description*) noexcept {
            for (std::size_t k = 0; k < sums; ++k) {
              ++reinterpret_cast<std::uint64_t*>(accumulators)[k];
            }
            return true;
          },
          [](const void*, std::byte*) {},
          [](const void*, std::size_t) { return std::size_t{1}; },
          [](const void*, std::size_t chunk) { return chunk; },
          nullptr,
          {}};
}

shard::board::owner* publisher = nullptr;
void publish_twice(int) {
  for (int k = 0; k < 2; ++k) {
    publisher->claim();
    publisher->run();
    publisher->publish();
  }
}

// A run of which one publication is read. True: it was a whole one.
template <class Look>
bool read_one(const Look& look) {
  const shard::board::dimensions size{100, 1, 0, sums * sizeof(std::uint64_t)};
  const shard::os::anonymous_memory memory(shard::board::board::size_bytes(size),
                                           shard::os::sharing::none);
  const shard::board::board on(memory.base(), size);
  std::vector<std::uint64_t> accumulators(sums), seen(sums);
  shard::board::workplace here;
  shard::board::owner owner(on, 0, add_one_to_each(), {},
                            reinterpret_cast<std::byte*>(accumulators.data()), here);
  owner.resume();
  publisher = &owner;
  publish_twice(0);
  shard::board::publication found;
  look([&] { found = on.snapshot(0, seen); });
  return seen == std::vector<std::uint64_t>(sums, found.covered);
}

TEST_F(BoardInterrupts, OfAReaderByTwoPublicationsTearNothing) {
  const shard::os::process recording = in_a_child([&] {
    return read_one([&](const auto& snapshot) {
      words_.first() = counting::record(snapshot, words_.all().subspan(1));
    });
  });
  EXPECT_EQ(recording.wait().exit_status, 0);
  std::size_t interrupted = 0;
  for (const moment& when : recorded()) {
    words_.first() = 0;
    const shard::os::process reading = in_a_child([&] {
      ::signal(SIGUSR1, publish_twice);
      return read_one([&](const auto& snapshot) {
        counting::interrupt_from_here(when, SIGUSR1, words_.all().data());
        snapshot();
      });
    });
    const shard::os::ending how = reading.wait();
    if (words_.first() != 0) ++interrupted;
    ASSERT_EQ(how.signal, 0) << "at instruction " << interrupted;
    ASSERT_EQ(how.exit_status, 0) << "torn at instruction " << interrupted;
  }
  std::cout << "  interrupted at " << interrupted << " instructions\n";
  EXPECT_GT(interrupted, 20u);
}

}  // namespace
