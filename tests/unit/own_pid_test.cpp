// Which process this is, as the system says it: in every kind of child, too.

#include "os/own_pid.hpp"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <iterator>

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

// From now on, for all programs of this process, the system answers such an advice with an error,
// or with 0 as if it took it.
bool answer(int advice, std::uint32_t error) {
  constexpr std::size_t which = offsetof(seccomp_data, args) + 2 * sizeof(std::uint64_t);
  sock_filter steps[]{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, which),  // its lower half: little-endian
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(advice), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{static_cast<unsigned short>(std::size(steps)), steps};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

constexpr int no_filters = 77;

// The exit status of the tests of children, in a program in which madvise(2) was answered so from
// the beginning.
int tests_where(std::initializer_list<int> advices, std::uint32_t error) {
  const pid_t child = ::fork();
  if (child == 0) {
    for (const int advice : advices)
      if (!answer(advice, error)) ::_exit(no_filters);
    for (const char* const part : {"GTEST_TOTAL_SHARDS", "GTEST_SHARD_INDEX"}) ::unsetenv(part);
    ::execl("/proc/self/exe", "own_pid", "--gtest_filter=OwnPid.Is*Children*", nullptr);
    ::_exit(1);
  }
  int status = -1;
  return ::waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(OwnPid, IsTheSystemsInForkedChildrenAndInTheirs) { EXPECT_TRUE(holds_in_a_child(forked, 3)); }

TEST(OwnPid, IsTheSystemsInClonedChildrenAndInTheirs) { EXPECT_TRUE(holds_in_a_child(cloned, 3)); }

TEST(OwnPid, HoldsWhereTheSystemDeniesToClearMemory) {
  const int status = tests_where({MADV_WIPEONFORK}, EINVAL);
  if (status == no_filters) GTEST_SKIP() << "this system takes no filters of calls (seccomp)";
  EXPECT_EQ(status, 0);
}

// As an emulator does.
TEST(OwnPid, HoldsWhereTheSystemTakesAnyAdviceAndFollowsNone) {
  const int status = tests_where({MADV_WIPEONFORK, -1}, 0);
  if (status == no_filters) GTEST_SKIP() << "this system takes no filters of calls (seccomp)";
  EXPECT_EQ(status, 0);
}

}  // namespace
