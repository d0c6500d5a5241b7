// What this process and its workers print, put where a test can look at it.
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>

#include "refusal.hpp"

namespace shard_test {

// While it lives, a standard stream leads into a file, as a batch job's does; or to where it is
// told.
class printed {
 public:
  explicit printed(int stream = STDOUT_FILENO) : stream_(stream), kept_(dup(stream)) {
    const int file = open((folder_ / "it").c_str(), O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
    lead_to(file);
    close(file);
  }
  printed(const printed&) = delete;
  printed& operator=(const printed&) = delete;
  ~printed() { restore(); }

  void lead_to(int descriptor) {
    fflush(nullptr);
    dup2(descriptor, stream_);
  }

  void restore() {
    if (kept_ < 0) return;
    fflush(nullptr);
    dup2(kept_, stream_);
    close(kept_);
    kept_ = -1;
  }

  // What is in the file.
  std::string text() {
    restore();
    std::ifstream file(folder_ / "it", std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::multiset<std::string> lines() {
    std::istringstream all(text());
    std::multiset<std::string> found;
    for (std::string line; std::getline(all, line);) found.insert(line);
    return found;
  }

 private:
  folder folder_;
  int stream_;
  int kept_;
};

}  // namespace shard_test
