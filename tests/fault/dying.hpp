// Death at every system call on the way to a file: right before it, and right after it.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "os/calls.hpp"

namespace shard_test {

// Replaces entries by calls that count, all together, and kill this process at one of them. For a
// child that was forked for it.
struct reaper {
  static inline int countdown = 0;
  static inline bool after = false;
  static inline int made = 0;

  template <auto Entry>
  struct at;

  template <auto... Entries>
  static void arm_all(int nth, bool when_done) {
    countdown = nth;
    after = when_done;
    made = 0;
    (at<Entries>::arm(), ...);
  }
  static void arm(int nth, bool when_done) {
    using table = shard::os::call_table;
    arm_all<&table::openat, &table::memfd_create, &table::close, &table::pread, &table::pwrite,
            &table::fstat, &table::fstatat, &table::fstatfs, &table::fchmod, &table::ftruncate,
            &table::fallocate, &table::posix_fallocate, &table::fsync, &table::fdatasync,
            &table::get_flags, &table::get_seals, &table::add_seals, &table::lock_file,
            &table::readlink, &table::linkat, &table::renameat, &table::renameat2, &table::unlinkat,
            &table::mmap, &table::munmap, &table::fchown, &table::getxattr, &table::fsetxattr,
            &table::fremovexattr>(nth, when_done);
  }
};

template <class R, class... A, R (*shard::os::call_table::*Entry)(A...)>
struct reaper::at<Entry> {
  static inline R (*real)(A...) = nullptr;

  static void arm() {
    real = shard::os::calls().*Entry;
    shard::os::calls().*Entry = call;
  }
  static R call(A... arguments) {
    ++made;
    const bool now = --countdown == 0;
    if (now && !after) raise(SIGKILL);
    const R result = real(arguments...);
    if (now) raise(SIGKILL);
    return result;
  }
};

// Kills a child before and after each call that `use` makes there, and calls `look` after each
// death.
inline void die_everywhere(const std::function<void()>& use, const std::function<void()>& look) {
  int deaths = 0;
  for (const bool after : {false, true}) {
    for (int nth = 1;; ++nth) {
      SCOPED_TRACE(std::string(after ? "after" : "before") + " call " + std::to_string(nth));
      const pid_t child = fork();
      if (child == 0) {
        reaper::arm(nth, after);
        try {
          use();
        } catch (...) {
          _exit(1);
        }
        _exit(0);
      }
      int status = 0;
      ASSERT_EQ(waitpid(child, &status, 0), child);
      const bool died = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
      ASSERT_TRUE(died || status == 0) << "the child threw";
      look();
      if (!died) break;
      ++deaths;
      ASSERT_FALSE(testing::Test::HasFailure());
    }
  }
  EXPECT_GT(deaths, 10) << "too few calls to have done anything";
}

}  // namespace shard_test
