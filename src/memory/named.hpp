// Where named buffers are.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "memory/create.hpp"
#include "os/file.hpp"

namespace shard::memory {

// /dev/shm. Only tests write to it, while one thread runs.
std::filesystem::path& folder_of_names() noexcept;

// Throws shard::error if the name can't be one.
location shared_location(const std::string& name);

// The name under which a file is there, if it is a named buffer. (A file that had no name when it
// was opened is unknown to /proc by the one it was given.) Throws os::call_failed.
std::optional<std::string> name_of_shared(const os::file_status& file);

}  // namespace shard::memory
