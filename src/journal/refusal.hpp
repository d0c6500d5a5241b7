// How a job says that it does not do something.
#pragma once

#include <string>
#include <system_error>

#include "shard/error.hpp"

namespace shard::journal {

[[noreturn]] inline void refuse(std::errc code, const std::string& what, const std::string& found,
                                const std::string& expected) {
  throw error(code, "cannot " + what + ": found " + found + ", expected " + expected);
}

}  // namespace shard::journal
