// A new file of zeros, complete but for its name.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "shard/backing.hpp"
#include "shard/detail/segment.hpp"

namespace shard::memory {

// Where a buffer is found, and what it is called in messages.
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

// segment::finish or segment::publish names it; until then nothing is left of it, whatever happens.
// A named one is held already. Throws shard::error.
detail::array unpublished(const location& at, const detail::element_type& type,
                          std::span<const std::size_t> shape);

}  // namespace shard::memory
