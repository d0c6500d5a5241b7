// Notifications between all processes that have a buffer. The operations are members of buffer:
//
//   notify wait wait_for                                              counts
//   event_descriptor attach_event detach_events send_event receive_event   for event loops
//
// Whoever returns from a wait() that counts a notify() sees everything that was written before that
// notify(). All throw shard::error(bad_file_descriptor) if the buffer is closed. (wait() with an
// index waits for an element: atomics.hpp.)
//
// Event loops wait for descriptors. Each handle can have an eventfd of its own to wait for, and any
// number of others that its notify() counts. The kernel ties an eventfd to no file: so whoever
// waits hands its own one to those who notify.
//
//   int loop = own.event_descriptor();   // process A waits for this one
//   own.send_event(socket);              // and hands it to process B
//   other.receive_event(socket);         // process B: from now on other.notify() counts it
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
  // this handle, by its copy in a forked child, and by any handle, in any process, to which it was
  // attached. The handle closes it. Reading it takes the count: two loops that wait for one eventfd
  // take it from each other, so each has its own.
  int event_descriptor()
    requires(!std::is_const_v<T>)
  {
    return detail::event_descriptor(owner());
  }

  // From now on, notify() of this handle also counts `eventfd`, which may come from anywhere. shard
  // duplicates it: the caller keeps it. One that is attached twice is counted twice. notify() never
  // waits for a full counter. Nobody learns when the process that waits has died; its eventfd costs
  // a descriptor and a system call for each notify() until detach_events(), or the end of the
  // handle. Throws shard::error(invalid_argument) if `eventfd` is something else,
  // (bad_file_descriptor) if it is closed, (too_many_files_open), and (no_buffer_space) if 250 are
  // attached.
  void attach_event(int eventfd)
    requires(!std::is_const_v<T>)
  {
    detail::attach_event(owner(), eventfd);
  }
  // Drops all that were attached, and keeps that of event_descriptor().
  void detach_events()
    requires(!std::is_const_v<T>)
  {
    detail::detach_events(owner());
  }

  // send_event() sends event_descriptor() over a connected Unix domain socket. receive_event()
  // takes the next message, and attaches the eventfd in it. Both wait. receive_event() throws what
  // buffer::receive() throws, and what attach_event() throws.
  void send_event(int socket)
    requires(!std::is_const_v<T>)
  {
    detail::send_event(owner(), socket);
  }
  void receive_event(int socket)
    requires(!std::is_const_v<T>)
  {
    detail::receive_event(owner(), socket);
  }

 private:
  segment& owner() const { return static_cast<const Self&>(*this).open_owner(); }
};

}  // namespace shard::detail
