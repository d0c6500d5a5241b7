// The names of files that processes share: who may remove one, and when.
#pragma once

#include <filesystem>

#include "os/descriptor.hpp"

namespace shard::memory {

// The right to decide about a file's name: one process has it at a time, for a moment. Given back
// explicitly, since a child that was forked meanwhile shares the lock. Throws os::call_failed.
// Requires: `file` is open for writing.
class turn {
 public:
  explicit turn(const os::descriptor& file);
  turn(const turn&) = delete;
  turn& operator=(const turn&) = delete;
  ~turn();

 private:
  const os::descriptor& file_;
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
