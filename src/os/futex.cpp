#include "os/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <thread>

#include "os/calls.hpp"
#include "os/clock.hpp"

namespace shard::os {

static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t));

// Without FUTEX_PRIVATE_FLAG: the word is mapped by several processes.
void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::optional<std::chrono::steady_clock::time_point> until, sleepers as) noexcept {
  timespec deadline{};
  if (until) deadline = since_start(*until);
  // With a bit set the deadline is absolute.
  if (::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, expected, until ? &deadline : nullptr, nullptr,
                as) == 0 ||
      !is_denial(errno)) {
    return;
  }
  // Nobody can wake us: who waits looks again soon.
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

void futex_wake(const std::atomic<std::uint32_t>& word, unsigned most, sleepers whom) noexcept {
  constexpr unsigned all = std::numeric_limits<int>::max();
  ::syscall(SYS_futex, &word, FUTEX_WAKE_BITSET, std::min(most, all), nullptr, nullptr, whom);
}

void futex_wake_all(const std::atomic<std::uint32_t>& word) noexcept {
  futex_wake(word, std::numeric_limits<unsigned>::max());
}

}  // namespace shard::os
