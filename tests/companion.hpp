// A process beside the test that does something of its own meanwhile.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <utility>

namespace shard_test {

// Runs `steps` in a forked child, which is over when they return.
class companion {
 public:
  template <class Steps>
  explicit companion(Steps steps) : pid_(fork()) {
    if (pid_ != 0) return;
    bool fine = false;
    try {
      fine = steps();
    } catch (...) {
    }
    _exit(fine ? 0 : 1);
  }
  companion(const companion&) = delete;
  companion& operator=(const companion&) = delete;
  ~companion() {
    if (pid_ > 0) succeeded();
  }

  pid_t pid() const { return pid_; }

  // Waits for its end; whether `steps` returned true.
  bool succeeded() {
    int status = 0;
    const pid_t waited = waitpid(std::exchange(pid_, -1), &status, 0);
    return waited > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

 private:
  pid_t pid_;
};

}  // namespace shard_test
