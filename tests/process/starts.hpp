// A program that has a job, and its starts: each start is a process of its own.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "process/family.hpp"
#include "process/leftovers.hpp"
#include "refusal.hpp"
#include "shard/job.hpp"

namespace shard_test {

inline std::string content_of(const std::filesystem::path& file) {
  std::ifstream from(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(from), {}};
}

class starts : public leaves_nothing {
 protected:
  // Returns the pid of a start. Its exit status is 0 if `steps` return true.
  template <class Steps>
  static pid_t start(Steps steps) {
    const pid_t child = fork();
    if (child != 0) return child;
    int status = 3;
    try {
      status = steps() ? 0 : 1;
    } catch (const std::exception& e) {
      std::cerr << e.what() << '\n';
    }
    _exit(status);
  }
  static int status_of(pid_t child) {
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return status;
  }
  template <class Steps>
  static void must_succeed(Steps steps) {
    EXPECT_EQ(status_of(start(steps)), 0);
  }

  // The message of the shard::error that ends a start; empty if there is none.
  template <class Steps>
  std::string refusal_of_a_start(Steps steps) const {
    const std::filesystem::path note = here_ / "refusal";
    std::filesystem::remove(note);
    must_succeed([&] {
      std::ofstream(note) << refusal(steps);
      return true;
    });
    return content_of(note);
  }

  folder here_;
  const std::filesystem::path place_ = here_ / "results";
  tally seen_;
};

}  // namespace shard_test
