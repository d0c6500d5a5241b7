// The one exception type of shard. A message reads "cannot <verb> <object>: found …, expected …".
#pragma once

#include <string>
#include <system_error>
#include <utility>

namespace shard {

// Why an operation could not be done. code() has the cause. If a system call failed, code() is its
// errno. If shard itself refuses something, code() is a std::errc (invalid_argument,
// file_too_large, …).
class error : public std::system_error {
 public:
  error(std::error_code code, std::string message);
  error(std::errc code, std::string message)
      : error(std::make_error_code(code), std::move(message)) {}

  // The message alone. It already says what code() means.
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string message_;
};

}  // namespace shard
