// A mutex in memory that processes share, which the kernel hands on when its owner dies
// (pthread_mutexattr_setrobust(3)). Its owner is a thread: no other can unlock it.
#pragma once

#include <pthread.h>

#include <chrono>

namespace shard::os {

class robust_mutex {
 public:
  // With owner_died the mutex is locked, and what it guards may be half changed: mend(), before
  // unlock(). Until then every death hands the same duty on.
  enum class outcome { locked, owner_died, busy };

  robust_mutex() noexcept;
  robust_mutex(const robust_mutex&) = delete;
  robust_mutex& operator=(const robust_mutex&) = delete;

  outcome lock() noexcept { return outcome_of(::pthread_mutex_lock(&mutex_)); }
  outcome try_lock() noexcept { return outcome_of(::pthread_mutex_trylock(&mutex_)); }
  outcome try_lock_until(std::chrono::steady_clock::time_point deadline) noexcept;
  void mend() noexcept;
  void unlock() noexcept { ::pthread_mutex_unlock(&mutex_); }

  // Whether its owner has died, and nobody has mended it since. Only reads, and misses the moment
  // in which the next owner takes it.
  bool abandoned() const noexcept;
  // The same, and misses nothing; but it may also say so if living owners pass the mutex on while
  // it looks: for who finds out about that otherwise.
  bool abandoned_or_passed_on() const noexcept;
  // Whether a living thread holds it. As above.
  bool held() const noexcept;

 private:
  static outcome outcome_of(int error) noexcept {
    return error == 0 ? outcome::locked : outcome_of_failure(error);
  }
  static outcome outcome_of_failure(int error) noexcept;

  pthread_mutex_t mutex_;
};

}  // namespace shard::os
