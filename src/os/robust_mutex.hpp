// A mutex in memory that processes share, which the kernel hands on when its owner dies
// (pthread_mutexattr_setrobust(3)). Its owner is a thread: no other can unlock it.
#pragma once

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <cstdint>

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
  // Orders that it was locked before what is looked at next: of two who lock one mutex each and
  // then ask whether the other's is_free(), at least one is told that it is not.
  static void order_after_lock() noexcept {
#if defined(__x86_64__)
    // The instruction that locks is a full barrier of the processor.
    std::atomic_signal_fence(std::memory_order_seq_cst);
#else
    std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
  }
  outcome try_lock_until(std::chrono::steady_clock::time_point deadline) noexcept;
  void mend() noexcept;
  void unlock() noexcept { ::pthread_mutex_unlock(&mutex_); }

  // Whether its owner has died, and nobody has mended it since. Only reads, and misses the moment
  // in which the next owner takes it.
  bool abandoned() const noexcept;
  // The same, and misses nothing; but it may also say so if living owners pass the mutex on while
  // it looks: for who finds out about that otherwise.
  bool abandoned_or_passed_on() const noexcept;
  // The thread that holds it, by its number in the kernel; 0: none that is alive.
  std::uint32_t owner() const noexcept;
  // Whether nobody holds it, not even somebody dead. Sequentially consistent. Pairs with unlock():
  // who finds it free sees what its last owner did.
  bool is_free() const noexcept;

 private:
  static outcome outcome_of(int error) noexcept {
    return error == 0 ? outcome::locked : outcome_of_failure(error);
  }
  static outcome outcome_of_failure(int error) noexcept;

  pthread_mutex_t mutex_;
};

}  // namespace shard::os
