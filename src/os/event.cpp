#include "os/event.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <string>

#include "os/calls.hpp"
#include "os/file.hpp"
#include "os/process.hpp"

namespace shard::os {

namespace {

// Both ends of a pipe in one descriptor: what was written to it can be read from it.
descriptor looped_pipe() {
  const pipe_ends made = make_pipe();
  const std::string path = "/proc/self/fd/" + std::to_string(made.read.get());
  descriptor both(above_standard_streams(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC)));
  if (!both) fail("open in /proc/self/fd");
  return both;
}

}  // namespace

descriptor event_counter() {
  descriptor made(above_standard_streams(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
  if (made) return made;
  if (is_denial(errno)) return looped_pipe();
  fail("eventfd");
}

bool count_event(int counter) noexcept {
  const int before = errno;
  const bool counted = ::eventfd_write(counter, 1) == 0 || errno == EAGAIN;
  errno = before;
  return counted;
}

bool count_foreign_event(int counter) noexcept {
  pollfd one{counter, POLLOUT, 0};
  const timespec at_once{};
  const int before = errno;
  const int ready = ::ppoll(&one, 1, &at_once, nullptr);
  errno = before;
  return ready == 0 || count_event(counter);
}

bool is_event_counter(int descriptor) {
  const std::string name = name_of(descriptor);
  // Only one made here is a pipe with both ends in one.
  return name == "anon_inode:[eventfd]" ||
         (name.starts_with("pipe:") && open_for_writing(descriptor));
}

void take_events(const descriptor& counter) noexcept {
  const int before = errno;
  std::array<std::uint64_t, 64> counts;  // of a pipe; an eventfd has one
  static_cast<void>(::read(counter.get(), counts.data(), sizeof counts));
  errno = before;
}

}  // namespace shard::os
