#include "os/program.hpp"

// g++ and clang have vfork(2) in any mode; the library asks for a macro that C++20 leaves unset.
#define BOOST_POSIX_HAS_VFORK 1

#include <boost/version.hpp>
#if BOOST_VERSION < 108600
#include <boost/process/args.hpp>
#include <boost/process/child.hpp>
#include <boost/process/exe.hpp>
#include <boost/process/extend.hpp>
#include <boost/process/posix.hpp>
#else  // its second version came into that place
#include <boost/process/v1/args.hpp>
#include <boost/process/v1/child.hpp>
#include <boost/process/v1/exe.hpp>
#include <boost/process/v1/extend.hpp>
#include <boost/process/v1/posix.hpp>
#endif

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "os/calls.hpp"

namespace shard::os {
namespace {

#if BOOST_VERSION < 108600
namespace start = boost::process;
#else
namespace start = boost::process::v1;
#endif

// As execve(2) takes them.
std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (const std::string& each : texts) all.push_back(const_cast<char*>(each.c_str()));
  all.push_back(nullptr);
  return all;
}

// The others are closed when the program begins.
void hand_down_no_more(unsigned first) noexcept {
  constexpr unsigned close_on_exec = 4;  // CLOSE_RANGE_CLOEXEC, which older headers don't have
  if (::syscall(SYS_close_range, first, ~0U, close_on_exec) == 0) return;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = 1024;
  constexpr rlim_t enough = 1 << 20;
  const auto last = static_cast<int>(std::min(limit.rlim_cur, enough));
  for (int each = static_cast<int>(first); each < last; ++each) ::fcntl(each, F_SETFD, FD_CLOEXEC);
}

// What the library doesn't know how to do.
struct preparation : start::extend::handler {
  const program* what = nullptr;
  char** arguments = nullptr;
  char** environment = nullptr;

  template <class Executor>
  void on_setup(Executor& with) const {
    with.cmd_line = arguments;
    with.env = environment;
  }
  // In the child, which has our memory until the program begins: system calls only.
  template <class Executor>
  void on_exec_setup(Executor&) const {
    int next = first_handed_down;
    for (const int each : what->descriptors) ::dup2(each, next++);
    hand_down_no_more(static_cast<unsigned>(next));
    constexpr int not_to_be_started = 126;  // as shells say it
    if (what->directory >= 0 && ::fchdir(what->directory) != 0) ::_exit(not_to_be_started);
  }
};

}  // namespace

descriptor above_handed_down(int descriptor) {
  const int moved = ::fcntl(descriptor, F_DUPFD_CLOEXEC, first_handed_down + most_handed_down);
  if (moved < 0 && errno == EINVAL) errno = EMFILE;  // no number above can be had at all
  if (moved < 0) fail("dup");
  return os::descriptor(moved);
}

descriptor take_handed_down(int number) {
  if (::fcntl(number, F_SETFD, FD_CLOEXEC) != 0) fail("fcntl");
  return descriptor(number);
}

process start_program(const program& what) {
  std::vector<char*> arguments = pointers_to(what.arguments);
  std::vector<char*> environment = pointers_to(what.environment);
  preparation prepare;
  prepare.what = &what;
  prepare.arguments = arguments.data();
  prepare.environment = environment.data();
  std::error_code failure;
  start::child started;
  {
    const signals_blocked quiet;
    started = start::child(start::exe = what.path, prepare, start::posix::use_vfork, failure);
  }
  if (failure) throw call_failed(failure.value(), "execve");
  const pid_t pid = started.id();
  started.detach();  // its end is heard of by its pidfd
  try {
    return watch_child(pid);
  } catch (const call_failed& why) {
    if (why.code() != std::errc::no_such_process) throw;
    return {pid, {}};  // it has ended, and was not ours to reap
  }
}

}  // namespace shard::os
