#include "os/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <ctime>
#include <limits>
#include <thread>

#include "os/calls.hpp"
#include "os/clock.hpp"

namespace shard::os {

namespace {

static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t));

using deadline = std::optional<std::chrono::steady_clock::time_point>;

// Without FUTEX_PRIVATE_FLAG: the word is mapped by several processes.
void wait_at(const void* word, std::uint32_t expected, deadline until, sleepers as) noexcept {
  timespec moment{};
  if (until) moment = since_start(*until);
  // With a bit set the deadline is absolute.
  if (::syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, until ? &moment : nullptr, nullptr,
                as) == 0 ||
      !is_denial(errno)) {
    return;
  }
  // Nobody can wake us: who waits looks again soon.
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

void wake_at(const void* word, unsigned most, sleepers whom) noexcept {
  constexpr unsigned all = std::numeric_limits<int>::max();
  ::syscall(SYS_futex, word, FUTEX_WAKE_BITSET, std::min(most, all), nullptr, nullptr, whom);
}

// futex_waitv(2), which older headers don't have: Linux 5.16.
constexpr long waitv_number = 449;
constexpr std::uint32_t word_of_32_bits = 2;
struct waiter {
  std::uint64_t expected;
  std::uint64_t address;
  std::uint32_t flags;
  std::uint32_t reserved;
};

// False: this system has no such call, or denies it.
bool wait_at_both(const std::byte* first, std::span<const std::uint32_t> expected,
                  deadline until) noexcept {
  static std::atomic<bool> missing = false;
  if (missing.load(std::memory_order_relaxed)) return false;
  const auto address = reinterpret_cast<std::uintptr_t>(first);
  const std::array<waiter, 2> both{
      waiter{expected[0], address, word_of_32_bits, 0},
      waiter{expected[1], address + sizeof(std::uint32_t), word_of_32_bits, 0}};
  timespec moment{};
  if (until) moment = since_start(*until);
  if (::syscall(waitv_number, both.data(), both.size(), 0, until ? &moment : nullptr,
                CLOCK_MONOTONIC) >= 0 ||
      !is_denial(errno)) {
    return true;
  }
  missing.store(true, std::memory_order_relaxed);
  return false;
}

}  // namespace

void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected, deadline until,
                sleepers as) noexcept {
  wait_at(&word, expected, until, as);
}

void futex_wake(const std::atomic<std::uint32_t>& word, unsigned most, sleepers whom) noexcept {
  wake_at(&word, most, whom);
}

void futex_wake_all(const std::atomic<std::uint32_t>& word) noexcept {
  futex_wake(word, std::numeric_limits<unsigned>::max());
}

// By the first word alone, a change of the second and its wake are missed if both come between the
// caller's look and our sleep: so we look again soon.
void futex_wait_words(const void* first, std::span<const std::uint32_t> expected,
                      deadline until) noexcept {
  constexpr auto soon = std::chrono::milliseconds(10);
  if (expected.size() == 2) {
    if (wait_at_both(static_cast<const std::byte*>(first), expected, until)) return;
    const auto next = std::chrono::steady_clock::now() + soon;
    if (!until || *until > next) until = next;
  }
  wait_at(first, expected.front(), until, everybody);
}

void futex_wake_words(const void* first, unsigned most) noexcept {
  wake_at(first, most, everybody);
}

}  // namespace shard::os
