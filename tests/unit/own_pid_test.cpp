// Which process this is, as the system says it: in every kind of child, too.

#include "os/own_pid.hpp"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace {

using shard::os::own_pid;

pid_t forked() { return ::fork(); }

// Nothing that was asked for around a fork(2) is called around that.
pid_t cloned() {
  return static_cast<pid_t>(::syscall(SYS_clone, long{SIGCHLD}, nullptr, nullptr, nullptr, 0L));
}

bool holds_in_a_child(pid_t (*start)(), int generations) {
  const pid_t parent = own_pid();
  if (parent != ::getpid()) return false;
  if (generations == 0) return true;
  const pid_t child = start();
  if (child == 0) {
    const bool holds =
        own_pid() != parent && own_pid() == ::getpid() && holds_in_a_child(start, generations - 1);
    ::_exit(holds ? 0 : 1);
  }
  int status = -1;
  return ::waitpid(child, &status, 0) == child && status == 0 && own_pid() == parent;
}

TEST(OwnPid, IsTheSystemsInForkedChildrenAndInTheirs) { EXPECT_TRUE(holds_in_a_child(forked, 3)); }

TEST(OwnPid, IsTheSystemsInClonedChildrenAndInTheirs) { EXPECT_TRUE(holds_in_a_child(cloned, 3)); }

}  // namespace
