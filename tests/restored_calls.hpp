// For tests that replace system calls.
#pragma once

#include "os/calls.hpp"

namespace shard_test {

// Puts the table back as it was.
class restored_calls {
 public:
  restored_calls() : before_(shard::os::calls()) {}
  restored_calls(const restored_calls&) = delete;
  restored_calls& operator=(const restored_calls&) = delete;
  ~restored_calls() { shard::os::calls() = before_; }

 private:
  shard::os::call_table before_;
};

}  // namespace shard_test
