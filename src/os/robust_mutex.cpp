#include "os/robust_mutex.hpp"

#include <linux/futex.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>

#include "os/clock.hpp"
#include "os/sanitizers.hpp"

namespace shard::os {
namespace {

// Any other answer means that someone has written over the mutex: whatever it guards is lost.
robust_mutex::outcome outcome_of(int error) noexcept {
  switch (error) {
    case 0: return robust_mutex::outcome::locked;
    case EOWNERDEAD: return robust_mutex::outcome::owner_died;
    case EBUSY:
    case ETIMEDOUT: return robust_mutex::outcome::busy;
    default: std::abort();
  }
}

}  // namespace

robust_mutex::robust_mutex() noexcept : mutex_() {
  pthread_mutexattr_t kind;
  ::pthread_mutexattr_init(&kind);
  ::pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
  ::pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
  ::pthread_mutex_init(&mutex_, &kind);
  ::pthread_mutexattr_destroy(&kind);
}

robust_mutex::outcome robust_mutex::lock() noexcept {
  return outcome_of(::pthread_mutex_lock(&mutex_));
}

robust_mutex::outcome robust_mutex::try_lock() noexcept {
  return outcome_of(::pthread_mutex_trylock(&mutex_));
}

robust_mutex::outcome robust_mutex::try_lock_until(
    std::chrono::steady_clock::time_point deadline) noexcept {
  if constexpr (thread_sanitizer) {
    // It doesn't know of locking by another clock than this.
    const auto left = deadline - std::chrono::steady_clock::now();
    const timespec until = since_start(std::chrono::system_clock::now() + left);
    return outcome_of(::pthread_mutex_timedlock(&mutex_, &until));
  }
  const timespec until = since_start(deadline);
  return outcome_of(::pthread_mutex_clocklock(&mutex_, CLOCK_MONOTONIC, &until));
}

void robust_mutex::mend() noexcept { ::pthread_mutex_consistent(&mutex_); }

void robust_mutex::unlock() noexcept { ::pthread_mutex_unlock(&mutex_); }

bool robust_mutex::abandoned() const noexcept {
  // The kernel's mark is in the futex word, which is the mutex's first on Linux.
  const auto* word = reinterpret_cast<const std::uint32_t*>(&mutex_);
  return (__atomic_load_n(word, __ATOMIC_ACQUIRE) & FUTEX_OWNER_DIED) != 0;
}

}  // namespace shard::os
