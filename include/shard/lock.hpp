// The lock of a buffer. Its operations are members of buffer. Each buffer has one lock for all
// processes, exclusive or shared. It excludes others who lock; it does not exclude accesses and
// transfers. It works with std::unique_lock and std::shared_lock.
//
//   lock try_lock try_lock_for try_lock_until unlock        exclusive
//   lock_shared try_lock_shared … unlock_shared             shared by up to 64 threads
//   abandoned clear_abandoned                               after the death of an exclusive holder
//
// A thread holds the lock; a forked child holds nothing. If a holder dies, by any signal, the next
// thread gets the lock at once.
//
// Throws shard::error(resource_deadlock_would_occur) if the thread holds this lock already,
// exclusively or shared; shard::error(no_lock_available) if the thread holds 1900 other locks;
// shard::error(operation_not_permitted) if the thread unlocks a lock that it does not hold; and
// shard::error(bad_file_descriptor) if the buffer is closed.
// Requires: all processes that write in bulk or lock are in one PID namespace (bulk.hpp).
#pragma once

#include <chrono>
#include <type_traits>

#include "shard/detail/segment.hpp"
#include "shard/detail/sharing.hpp"

namespace shard::detail {

// The operations of an owner of elements. Self has segment& open_owner() const, which throws if
// Self is closed.
template <class Self, class T>
class lockable {
 public:
  void lock()
    requires(!std::is_const_v<T>)
  {
    lock_exclusively(owner(), {});
  }
  bool try_lock()
    requires(!std::is_const_v<T>)
  {
    return lock_exclusively(owner(), std::chrono::steady_clock::time_point::min());
  }
  template <class Rep, class Period>
  bool try_lock_for(std::chrono::duration<Rep, Period> limit)
    requires(!std::is_const_v<T>)
  {
    return lock_exclusively(owner(), deadline_in(limit));
  }
  template <class Clock, class Duration>
  bool try_lock_until(std::chrono::time_point<Clock, Duration> until)
    requires(!std::is_const_v<T>)
  {
    return lock_exclusively(owner(), deadline_at(until));
  }
  void unlock()
    requires(!std::is_const_v<T>)
  {
    unlock_exclusively(owner());
  }

  // Up to 64 threads can share the lock. Further threads wait.
  void lock_shared()
    requires(!std::is_const_v<T>)
  {
    detail::lock_shared(owner(), {});
  }
  bool try_lock_shared()
    requires(!std::is_const_v<T>)
  {
    return detail::lock_shared(owner(), std::chrono::steady_clock::time_point::min());
  }
  template <class Rep, class Period>
  bool try_lock_shared_for(std::chrono::duration<Rep, Period> limit)
    requires(!std::is_const_v<T>)
  {
    return detail::lock_shared(owner(), deadline_in(limit));
  }
  template <class Clock, class Duration>
  bool try_lock_shared_until(std::chrono::time_point<Clock, Duration> until)
    requires(!std::is_const_v<T>)
  {
    return detail::lock_shared(owner(), deadline_at(until));
  }
  void unlock_shared()
    requires(!std::is_const_v<T>)
  {
    detail::unlock_shared(owner());
  }

  // Whether an exclusive holder died. What the holder was changing may be half changed. This stays
  // true until somebody has put that right and calls clear_abandoned().
  bool abandoned() const { return is_abandoned(owner()); }
  void clear_abandoned()
    requires(!std::is_const_v<T>)
  {
    detail::clear_abandoned(owner());
  }

 private:
  segment& owner() const { return static_cast<const Self&>(*this).open_owner(); }
};

}  // namespace shard::detail
