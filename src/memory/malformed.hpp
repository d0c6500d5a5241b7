// What was found instead of an array that can be used, and what was expected.
#pragma once

#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

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

}  // namespace shard::memory
