// Where named buffers are.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "memory/location.hpp"
#include "shard/error.hpp"

namespace shard::memory {

// /dev/shm. Only tests write to it, while one thread runs.
std::filesystem::path& folder_of_names() noexcept;

// The file of that name; and the same if it can be one, or else shard::error is thrown.
std::filesystem::path shared_path(const std::string& name);
location shared_location(const std::string& name);

// The name of an open file, if the file is a named buffer. Throws os::call_failed. Needs /proc.
// Reads the whole folder only if /proc does not tell the name: if the file had no name when it was
// opened, or has several names.
std::optional<std::string> name_of_shared(int descriptor);

// The named buffers of this user.
struct found_name {
  std::string name;
  std::size_t size_bytes = 0;  // header and all
  bool held = false;
};
struct found_names {
  std::vector<found_name> all;
  std::vector<error> failures;  // what could not be looked at
};
// Throws shard::error where the names can't be read.
found_names find_names();

// Those that nobody holds, as a kill leaves them; looked for, or removed.
struct leftover {
  std::string name;
  std::size_t size_bytes = 0;  // header and all
};
struct leftovers {
  std::vector<leftover> all;
  std::vector<error> failures;  // what could not be looked at, or removed
};
// Throw shard::error where the names can't be read.
leftovers find_leftovers();
leftovers remove_leftovers();

}  // namespace shard::memory
