// Where buffers are, and what they are called.
#pragma once

#include <filesystem>
#include <string>

#include "shard/backing.hpp"

namespace shard::memory {

struct location {
  std::string name;
  std::filesystem::path path;
  backing kind = backing::file;
};

inline std::string label(const location& at) {
  return (at.kind == backing::named ? "named buffer " : "") + at.name;
}

// Of a file. Throws shard::error if no file can have that path.
location file_location(const std::filesystem::path& path);

// Throws os::call_failed if there is no working directory any more.
std::filesystem::path absolute_path(const std::filesystem::path& path);

}  // namespace shard::memory
