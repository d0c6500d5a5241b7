// What was found instead of an array that can be used, and what was expected.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include "memory/attempt.hpp"
#include "shard/error.hpp"

namespace shard::memory {

class malformed : public std::runtime_error {
 public:
  malformed(const std::string& found, std::string expected,
            std::errc code = std::errc::invalid_argument)
      : std::runtime_error(found), expected_(std::move(expected)), code_(code) {}

  const std::string& expected() const noexcept { return expected_; }
  std::errc code() const noexcept { return code_; }

 private:
  std::string expected_;
  std::errc code_;
};

// Runs `steps`, with a failed call, and what is malformed, as an error.
template <class Steps>
auto checked(const std::string& what, const std::string& expected, Steps steps) try {
  return attempt(what, expected, steps);
} catch (const malformed& e) {
  throw error(e.code(), "cannot " + what + ": found " + e.what() + ", expected " + e.expected());
}

}  // namespace shard::memory
