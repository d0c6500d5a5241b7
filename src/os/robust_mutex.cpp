#include "os/robust_mutex.hpp"

#include <linux/futex.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>

#include "os/clock.hpp"
#include "os/sanitizers.hpp"

namespace shard::os {
namespace {

// The kernel's word: who owns it, and whether that has died. It is the mutex's first on Linux.
std::uint32_t word_of(const pthread_mutex_t& mutex) noexcept {
  const auto* word = reinterpret_cast<const std::uint32_t*>(&mutex);
  return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

// The C library's own note of the owner: written once the word is the owner's, and 0 before the
// word is given back. glibc's is a number that no thread has from owner_died until mend().
constexpr std::uint32_t inconsistent = 0x7fff'ffff;

std::uint32_t noted_owner_of(const pthread_mutex_t& mutex) noexcept {
  const auto* owner = reinterpret_cast<const std::uint32_t*>(&mutex.__data.__owner);
  return __atomic_load_n(owner, __ATOMIC_ACQUIRE);
}

}  // namespace

// Any other answer means that someone has written over the mutex: whatever it guards is lost.
robust_mutex::outcome robust_mutex::outcome_of_failure(int error) noexcept {
  switch (error) {
    case EOWNERDEAD: return outcome::owner_died;
    case EBUSY:
    case ETIMEDOUT: return outcome::busy;
    default: std::abort();
  }
}

robust_mutex::robust_mutex() noexcept : mutex_() {
  pthread_mutexattr_t kind;
  ::pthread_mutexattr_init(&kind);
  ::pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
  ::pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
  ::pthread_mutex_init(&mutex_, &kind);
  ::pthread_mutexattr_destroy(&kind);
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

void robust_mutex::mend() noexcept {
  // Release: pairs with the acquire in noted_owner_of(); who sees it mended sees what was put
  // right.
  std::atomic_thread_fence(std::memory_order_release);
  ::pthread_mutex_consistent(&mutex_);
}

bool robust_mutex::abandoned() const noexcept {
  return (word_of(mutex_) & FUTEX_OWNER_DIED) != 0 || noted_owner_of(mutex_) == inconsistent;
}

// The next owner takes the word before it notes that: meanwhile the dead one is still noted.
bool robust_mutex::abandoned_or_passed_on() const noexcept {
  const std::uint32_t word = word_of(mutex_);
  if ((word & FUTEX_OWNER_DIED) != 0) return true;
  const std::uint32_t owner = noted_owner_of(mutex_);
  return owner != 0 && owner != (word & FUTEX_TID_MASK);
}

std::uint32_t robust_mutex::owner() const noexcept {
  const std::uint32_t word = word_of(mutex_);
  return (word & FUTEX_OWNER_DIED) != 0 ? 0 : word & FUTEX_TID_MASK;
}

bool robust_mutex::is_free() const noexcept {
  const auto* word = reinterpret_cast<const std::uint32_t*>(&mutex_);
  return __atomic_load_n(word, __ATOMIC_SEQ_CST) == 0;
}

}  // namespace shard::os
