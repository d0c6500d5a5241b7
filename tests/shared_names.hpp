// Named buffers in a folder of the test's own.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "memory/named.hpp"
#include "refusal.hpp"

namespace shard_test {

class shared_names {
 public:
  shared_names() : before_(std::exchange(shard::memory::folder_of_names(), in_.path())) {}
  shared_names(const shared_names&) = delete;
  shared_names& operator=(const shared_names&) = delete;
  ~shared_names() { shard::memory::folder_of_names() = before_; }

  const folder& in() const { return in_; }
  std::filesystem::path operator/(const std::string& name) const { return in_ / name; }

 private:
  folder in_;
  std::filesystem::path before_;
};

// Runs `steps` in a forked child, and then kills it with all it holds.
template <class Steps>
void in_a_child_that_is_killed(Steps steps) {
  const pid_t child = fork();
  if (child == 0) {
    [[maybe_unused]] const auto held = steps();
    raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

// Runs `steps(c)` in each of so many forked children at once; true if all returned true there.
template <class Steps>
bool holds_in_children(int count, Steps steps) {
  int gate[2];
  if (pipe(gate) != 0) return false;
  std::vector<pid_t> children;
  for (int c = 0; c < count; ++c) {
    const pid_t child = fork();
    if (child == 0) {
      close(gate[1]);
      char byte = 0;
      [[maybe_unused]] const ssize_t opened = read(gate[0], &byte, 1);  // until all are there
      try {
        _exit(steps(c) ? 0 : 1);
      } catch (const std::exception& e) {
        std::fprintf(stderr, "child %d: %s\n", c, e.what());
        _exit(2);
      }
    }
    children.push_back(child);
  }
  close(gate[0]);
  close(gate[1]);
  bool held = true;
  for (const pid_t child : children) {
    int status = 0;
    held = waitpid(child, &status, 0) == child && status == 0 && held;
  }
  return held;
}

}  // namespace shard_test
