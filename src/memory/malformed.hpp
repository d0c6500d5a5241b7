// What was found instead of an array that can be used, and what was expected.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace shard::memory {

class malformed : public std::runtime_error {
 public:
  malformed(const std::string& found, std::string expected)
      : std::runtime_error(found), expected_(std::move(expected)) {}

  const std::string& expected() const noexcept { return expected_; }

 private:
  std::string expected_;
};

}  // namespace shard::memory
