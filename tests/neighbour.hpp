// Processes beside the test that hold something, and die of it.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <utility>

#include "shard/buffer.hpp"

namespace shard_test {

// A process that runs `steps`, and then stays until it is killed or told to end.
class neighbour {
 public:
  template <class Steps>
  explicit neighbour(Steps steps) {
    int ready[2];
    int end[2];
    if (pipe(ready) != 0 || pipe(end) != 0) throw std::runtime_error("no pipes");
    pid_ = fork();
    if (pid_ == 0) {
      close(ready[0]);
      close(end[1]);
      try {
        [[maybe_unused]] const auto kept = steps();
        char byte = 0;
        if (write(ready[1], &byte, 1) != 1) _exit(1);
        _exit(read(end[0], &byte, 1) == 1 ? 0 : 1);
      } catch (...) {
        _exit(2);
      }
    }
    close(ready[1]);
    close(end[0]);
    end_ = end[1];
    char byte = 0;
    EXPECT_EQ(read(ready[0], &byte, 1), 1) << "it ended before it was ready";
    close(ready[0]);
  }
  neighbour(const neighbour&) = delete;
  neighbour& operator=(const neighbour&) = delete;
  ~neighbour() { leave(); }

  pid_t pid() const { return pid_; }
  void leave() {
    // Not by closing the pipe: later neighbours have it, too.
    if (pid_ > 0) {
      const char byte = 0;
      EXPECT_EQ(write(end_, &byte, 1), 1);
    }
    wait();
  }
  void die() {
    kill(pid_, SIGKILL);
    wait();
  }

 private:
  void wait() {
    if (pid_ > 0) waitpid(std::exchange(pid_, -1), nullptr, 0);
    if (end_ >= 0) close(std::exchange(end_, -1));
  }

  pid_t pid_ = -1;
  int end_ = -1;
};

// Dies in the middle of writing elements [0, 1024): the second half of what it copies can't be
// read.
inline void tear(shard::buffer<int>& some) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);  // a sanitizer's handler would tell of it at length
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t half = std::max<std::size_t>(page, 2048);
    auto* const from = static_cast<std::byte*>(
        mmap(nullptr, 2 * half, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(from + half, half, PROT_NONE);
    some.write({0, 1024}, {reinterpret_cast<const int*>(from + half - 2048), 1024});
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
}

}  // namespace shard_test
