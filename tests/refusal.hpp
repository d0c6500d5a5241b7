// How tests look at what shard refuses, and at what it leaves behind.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <initializer_list>
#include <set>
#include <string>
#include <system_error>

#include "shard/error.hpp"

namespace shard_test {

// The message of the shard::error that `steps` throw; empty if there is none.
template <class Steps>
std::string refusal(Steps steps) {
  try {
    steps();
  } catch (const shard::error& e) {
    return e.what();
  }
  return {};
}

inline bool mentions(const std::string& message, std::initializer_list<const char*> parts) {
  for (const char* part : parts) {
    if (message.find(part) != std::string::npos) continue;
    ADD_FAILURE() << '"' << message << "\" does not mention \"" << part << '"';
    return false;
  }
  return true;
}

// Runs `steps` in a forked child; true if they returned true there.
template <class Steps>
bool holds_in_a_child(Steps steps) {
  const pid_t child = fork();
  if (child == 0) {
    try {
      _exit(steps() ? 0 : 1);
    } catch (...) {
      _exit(2);
    }
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// An empty folder, removed at the end.
class folder {
 public:
  folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "shard-test-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) {
      throw std::system_error(errno, std::generic_category(), pattern);
    }
    path_ = pattern;
  }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  ~folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

  // Hidden names too.
  std::set<std::string> names() const {
    std::set<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      found.insert(entry.path().filename().string());
    }
    return found;
  }

 private:
  std::filesystem::path path_;
};

// How many descriptors this process has open.
inline std::size_t open_descriptors() {
  std::size_t found = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++found;
  }
  return found;
}

}  // namespace shard_test
