#include "memory/location.hpp"

#include <cstddef>
#include <system_error>

#include "os/calls.hpp"
#include "shard/error.hpp"

namespace shard::memory {

location file_location(const std::filesystem::path& path) {
  const std::string name = path.string();
  const std::size_t end = name.find('\0');
  if (name.empty() || end != std::string::npos) {
    throw error(std::errc::invalid_argument, "cannot name a file: found '" + name.substr(0, end) +
                                                 "' of " + std::to_string(name.size()) +
                                                 " bytes, expected 1 or more without a NUL");
  }
  return {name, path, backing::file};
}

std::filesystem::path absolute_path(const std::filesystem::path& path) {
  std::error_code failed;
  std::filesystem::path found = std::filesystem::absolute(path, failed);
  if (failed) throw os::call_failed(failed.value(), "getcwd");
  return found;
}

}  // namespace shard::memory
