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

  outcome lock() noexcept;
  outcome try_lock() noexcept;
  outcome try_lock_until(std::chrono::steady_clock::time_point deadline) noexcept;
  void mend() noexcept;
  void unlock() noexcept;

  // Whether its owner has died, and nobody has locked it since. Only reads, and so may miss a
  // change that is just being made.
  bool abandoned() const noexcept;

 private:
  pthread_mutex_t mutex_;
};

}  // namespace shard::os
