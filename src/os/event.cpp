#include "os/event.hpp"

#include <sys/eventfd.h>

#include <cerrno>

#include "os/calls.hpp"

namespace shard::os {

descriptor event_counter() {
  descriptor made(above_standard_streams(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
  if (!made) fail("eventfd");
  return made;
}

void count_event(int counter) noexcept {
  const int before = errno;
  ::eventfd_write(counter, 1);
  errno = before;
}

}  // namespace shard::os
