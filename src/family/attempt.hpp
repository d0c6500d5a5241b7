// Turns a system call that failed for a family into the error that users see.
#pragma once

#include "os/calls.hpp"

namespace shard::family {

// Throws shard::error "cannot <what the call was for>: found '<its errno>', expected <…>". Nothing
// is expected where nobody knows what would help.
[[noreturn]] void refuse_call(const os::call_failed& why);

// Runs `steps`. A call that fails in them is thrown as that error.
template <class Steps>
auto attempt(Steps steps) try {
  return steps();
} catch (const os::call_failed& why) {
  refuse_call(why);
}

}  // namespace shard::family
