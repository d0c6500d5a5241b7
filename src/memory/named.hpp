// Where named buffers are.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "memory/location.hpp"
#include "os/file.hpp"

namespace shard::memory {

// /dev/shm. Only tests write to it, while one thread runs.
std::filesystem::path& folder_of_names() noexcept;

// The file of that name; and the same if it can be one, or else shard::error is thrown.
std::filesystem::path shared_path(const std::string& name);
location shared_location(const std::string& name);

// The name under which a file is there, if it is a named buffer. (A file that had no name when it
// was opened is unknown to /proc by the one it was given.) Throws os::call_failed.
std::optional<std::string> name_of_shared(const os::file_status& file);

// Named buffers that nobody holds, as a kill leaves them; looked for, or removed.
struct leftover {
  std::string name;
  std::size_t size_bytes = 0;  // header and all
};
struct leftovers {
  std::vector<leftover> all;
  std::vector<std::string> failures;  // "cannot remove …", of those that should have been
};
leftovers find_leftovers();
leftovers remove_leftovers();

}  // namespace shard::memory
