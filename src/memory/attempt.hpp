// Turns a failed system call, and what is malformed, into the error that users see.
#pragma once

#include <string>
#include <string_view>

#include "memory/malformed.hpp"
#include "os/calls.hpp"
#include "shard/error.hpp"

namespace shard::memory {

// Runs `steps`. A call that fails in them is reported as
// "cannot <what>: found '<its errno>' from <its name>, expected <expected>", unless its errno says
// by itself what to expect. What is malformed says it, too.
template <class Steps>
auto attempt(const std::string& what, const std::string& expected, Steps steps) try {
  return steps();
} catch (const os::call_failed& e) {
  const std::string_view remedy = os::remedy_for(e.code().value(), e.call());
  throw error(e.code(), "cannot " + what + ": found '" + e.code().message() + "' from " + e.call() +
                            ", expected " + (remedy.empty() ? expected : std::string(remedy)));
} catch (const malformed& e) {
  throw error(e.code(), "cannot " + what + ": found " + e.what() + ", expected " + e.expected());
}

}  // namespace shard::memory
