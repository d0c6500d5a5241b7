// The names of files that processes share: who may remove one, and when.
#pragma once

#include <filesystem>

#include "os/byte_lock.hpp"
#include "os/descriptor.hpp"

namespace shard::memory {

// The right to decide about a file's name, and about its control area: one process has it at a
// time, for a moment. Throws os::call_failed. Requires: `file` is open for writing, and outlives
// it.
class turn {
 public:
  explicit turn(const os::descriptor& file);

 private:
  os::byte_release released_;
};

// Whether that is a file's name: what is there is this very file. Throws os::call_failed.
bool names(const std::filesystem::path& path, const os::descriptor& file);

// Removes a file's name, unless it has become another's; says whether it did. Throws
// os::call_failed. Requires: `file` is open for writing; for the second, the file's turn.
bool remove_name(const std::filesystem::path& path, const os::descriptor& file);
bool remove_name(const std::filesystem::path& path, const os::descriptor& file, const turn&);

// Keeps a named buffer from being taken for a leftover, until the description is closed by all that
// share it. Throws os::call_failed.
void hold(const os::descriptor& file);

// Removes the name of a named buffer that nobody holds; says whether somebody does. Throws
// os::call_failed. Requires: as above.
bool remove_unheld(const std::filesystem::path& path, const os::descriptor& file, const turn&);

}  // namespace shard::memory
