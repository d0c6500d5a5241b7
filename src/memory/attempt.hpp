// Turns a failed system call into the error that users see.
#pragma once

#include <string>

#include "os/calls.hpp"
#include "shard/error.hpp"

namespace shard::memory {

// Runs `steps`. A call that fails in them is reported as
// "cannot <what>: found '<its errno>' from <its name>, expected <expected>".
template <class Steps>
auto attempt(const std::string& what, const std::string& expected, Steps steps) try {
  return steps();
} catch (const os::call_failed& e) {
  throw error(e.code(), "cannot " + what + ": found '" + e.code().message() + "' from " + e.call() +
                            ", expected " + expected);
}

}  // namespace shard::memory
