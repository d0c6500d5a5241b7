#include "os/descriptor.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "os/calls.hpp"

namespace shard::os {

// An error of close says that earlier writes may be lost; what must not be lost is written through
// calls that are checked. The descriptor is gone in either case.
descriptor::~descriptor() {
  if (number_ < 0) return;
  const int before = errno;
  calls().close(number_);
  errno = before;
}

descriptor duplicate(int open) {
  descriptor made(::fcntl(open, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!made) fail("fcntl");
  return made;
}

int above_standard_streams(int opened) noexcept {
  if (opened < 0 || opened > STDERR_FILENO) return opened;
  const int moved = ::fcntl(opened, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  const int cause = errno;
  ::close(opened);
  errno = cause;
  return moved;
}

}  // namespace shard::os
