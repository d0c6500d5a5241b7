// Notifications between all processes that have a buffer. The operations are members of buffer:
//
//   notify wait wait_for event_descriptor
//
// Whoever returns from a wait() that counts a notify() sees everything that was written before that
// notify(). All throw shard::error(bad_file_descriptor) if the buffer is closed.
#pragma once

#include <chrono>
#include <cstddef>
#include <type_traits>

#include "shard/detail/segment.hpp"
#include "shard/detail/sharing.hpp"

namespace shard::detail {

// The operations of an owner of elements. Self has segment& open_owner() const, which throws if
// Self is closed.
template <class Self, class T>
class notifiable {
 public:
  void notify()
    requires(!std::is_const_v<T>)
  {
    detail::notify(owner());
  }
  // Waits for a notification, and returns how many there were since this handle last waited. (The
  // first wait of a handle counts all since the control words were made.) wait_for() returns 0 if
  // there is none within `limit`. If several threads wait on one handle, one of them gets each
  // notification, and the others go on waiting.
  std::size_t wait()
    requires(!std::is_const_v<T>)
  {
    return wait_for_notice(owner(), {});
  }
  template <class Rep, class Period>
  std::size_t wait_for(std::chrono::duration<Rep, Period> limit)
    requires(!std::is_const_v<T>)
  {
    return wait_for_notice(owner(), deadline_in(limit));
  }
  // An eventfd for event loops. The first call makes it. It becomes readable after a notify() by
  // this handle, or by the copy of this handle in a forked child. The handle closes it.
  int event_descriptor()
    requires(!std::is_const_v<T>)
  {
    return detail::event_descriptor(owner());
  }

 private:
  segment& owner() const { return static_cast<const Self&>(*this).open_owner(); }
};

}  // namespace shard::detail
