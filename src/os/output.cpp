#include "os/output.hpp"

#include <fcntl.h>
#include <poll.h>
#include <stdio_ext.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <string>

namespace shard::os {
namespace {

bool full_now(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

// Which file it is, and of what kind. Where a sandbox denies fstat(2), by a newer call.
bool look_at(int number, struct stat& found) noexcept {
  if (::fstat(number, &found) == 0) return true;
  struct statx told {};
  if (errno == EBADF || ::statx(number, "", AT_EMPTY_PATH, STATX_TYPE | STATX_INO, &told) != 0) {
    return false;
  }
  found.st_dev = ::makedev(told.stx_dev_major, told.stx_dev_minor);
  found.st_ino = told.stx_ino;
  found.st_mode = told.stx_mode;
  return true;
}

// As poll(2), for one event and without waiting.
int poll_now(int number, short event) noexcept {
  pollfd one{number, event, 0};
  const timespec at_once{};
  const int found = ::ppoll(&one, 1, &at_once, nullptr);
  return found >= 0 ? found : ::poll(&one, 1, 0);
}

// The same file by an open file description of its own. Needs /proc.
descriptor open_anew(int number, int how) noexcept {
  char path[32];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", number);
  return descriptor(above_standard_streams(::open(path, how | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)));
}

// Of either end. Where a sandbox denies ioctl, a reader is opened that sees whether there is
// anything.
std::optional<std::size_t> unread_in(int pipe) noexcept {
  constexpr std::size_t all_of_a_pipe = std::size_t{1} << 20;  // or more than there is
  int bytes = 0;
  if (::ioctl(pipe, FIONREAD, &bytes) == 0) return static_cast<std::size_t>(bytes);
  const descriptor reader = open_anew(pipe, O_RDONLY);
  const int found = reader ? poll_now(reader.get(), POLLIN) : -1;
  if (found < 0) return std::nullopt;
  return found == 0 ? 0 : all_of_a_pipe;
}

}  // namespace

sigset_t without_signals_of_writing(sigset_t mask) noexcept {
  ::sigaddset(&mask, SIGPIPE);
  ::sigaddset(&mask, SIGXFSZ);
  return mask;
}

output::output(standard_stream which) noexcept : number_(static_cast<int>(which)) {
  struct stat found {};
  if (!look_at(number_, found)) return;
  device_ = found.st_dev;
  inode_ = found.st_ino;
  kind_ = kind::other;
  if (S_ISSOCK(found.st_mode)) kind_ = kind::socket;
  if (S_ISFIFO(found.st_mode)) kind_ = kind::pipe;
  if (S_ISCHR(found.st_mode) && ::isatty(number_) == 1) kind_ = kind::terminal;
  if (kind_ != kind::pipe && kind_ != kind::terminal) return;
  own_ = open_anew(number_, O_WRONLY);
}

std::optional<std::size_t> output::write_now(std::string_view text) const noexcept {
  if (kind_ == kind::closed) return std::nullopt;
  ssize_t written = 0;
  if (kind_ == kind::socket) {
    written = ::send(number_, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  } else if (own_ || kind_ == kind::other) {
    written = ::write(polled(), text.data(), text.size());
  } else {
    // Somebody else's, who lets us write but not open it. A pipe that has room takes this much
    // at once; if another process is quicker, we wait for its reader.
    if (poll_now(number_, POLLOUT) <= 0) return 0;
    written = ::write(number_, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
  }
  if (written >= 0) return static_cast<std::size_t>(written);
  if (full_now(errno)) return 0;
  return std::nullopt;
}

bool output::same_as(const output& other) const noexcept {
  return kind_ != kind::closed && other.kind_ != kind::closed && device_ == other.device_ &&
         inode_ == other.inode_;
}

std::optional<std::size_t> columns_of_terminal(standard_stream which) noexcept {
  constexpr std::size_t usual = 80;
  const int error_before = errno;
  std::optional<std::size_t> found;
  winsize size{};
  if (::ioctl(static_cast<int>(which), TIOCGWINSZ, &size) == 0) {
    found = size.ws_col == 0 ? usual : std::size_t{size.ws_col};
  }
  errno = error_before;
  return found;
}

void print_error(std::string_view text) noexcept {
  const int error_before = errno;
  sigset_t nothing{};
  sigset_t pending{};
  sigset_t mask{};
  ::sigemptyset(&nothing);
  sigset_t raised = without_signals_of_writing(nothing);
  ::pthread_sigmask(SIG_BLOCK, &raised, &mask);
  ::sigpending(&pending);
  output(standard_stream::errors).write_now(text);
  // Takes back what writing has raised. A signal that was pending before is the program's own.
  for (const int one : {SIGPIPE, SIGXFSZ}) {
    if (::sigismember(&pending, one) == 1) ::sigdelset(&raised, one);
  }
  const timespec at_once{};
  while (::sigtimedwait(&raised, nullptr, &at_once) > 0 || errno == EINTR) {
  }
  ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  errno = error_before;
}

bool never_wait(const descriptor& pipe) noexcept {
  const int flags = ::fcntl(pipe.get(), F_GETFL);
  return flags >= 0 && ::fcntl(pipe.get(), F_SETFL, flags | O_NONBLOCK) == 0;
}

std::optional<std::size_t> read_now(const descriptor& pipe, std::span<char> room) noexcept {
  const ssize_t found = ::read(pipe.get(), room.data(), room.size());
  if (found < 0) return full_now(errno) ? std::nullopt : std::optional<std::size_t>(0);
  return static_cast<std::size_t>(found);
}

std::optional<std::size_t> unread_bytes(const descriptor& pipe) noexcept {
  return unread_in(pipe.get());
}

writing_end::writing_end(const descriptor& pipe) noexcept : number_(pipe.get()) {
  struct stat found {};
  if (!look_at(number_, found)) return;
  device_ = found.st_dev;
  inode_ = found.st_ino;
}

std::optional<std::size_t> writing_end::unread_bytes() const noexcept {
  int bytes = 0;
  // Nothing, as nearly always: then it doesn't matter whether it still is that pipe.
  if (::ioctl(number_, FIONREAD, &bytes) == 0 && bytes == 0) return 0;
  struct stat found {};
  const bool asked = look_at(number_, found);
  if (!asked && errno == EBADF) return 0;
  if (!asked || inode_ == 0) return std::nullopt;
  if (found.st_dev != device_ || found.st_ino != inode_) return 0;
  return unread_in(number_);
}

bool become(standard_stream which, const descriptor& pipe) noexcept {
  const int number = static_cast<int>(which);
  // Some sandboxes know only the newer of the two calls, or only the older.
  if (::dup2(pipe.get(), number) < 0 && ::dup3(pipe.get(), number, 0) < 0) return false;
  if (which != standard_stream::output) return true;
  // With a buffer of its own: without, what a fully buffered stream has prepared stays as it is.
  static char room[BUFSIZ];
  std::setvbuf(stdout, room, _IOLBF, sizeof room);
  return true;
}

void flush_unfinished_output() noexcept {
  if (::__fpending(stdout) != 0) std::fflush(stdout);
}

void flush_standard_output() {
  std::cout.flush();
  std::clog.flush();
  std::fflush(stdout);
}

bool is_terminal(int descriptor) noexcept { return ::isatty(descriptor) == 1; }

}  // namespace shard::os
