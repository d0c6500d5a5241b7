// The names of files that processes share: which process may remove a name, and when.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "os/byte_lock.hpp"
#include "os/descriptor.hpp"
#include "os/file.hpp"

namespace shard::memory {

// The right to decide about the name of a file, and about its control area. Only one process at a
// time has the turn, for a moment. Throws os::call_failed. Requires: `file` is open for writing,
// and outlives the turn.
class turn {
 public:
  explicit turn(const os::descriptor& file);

 private:
  os::byte_release released_;
};

// A name in a folder. The folder is held open: it stays the same folder if somebody moves it, or if
// the process changes its root or its mounts.
struct name_in_folder {
  std::shared_ptr<const os::descriptor> folder;
  os::file_identity folder_identity;
  std::string name;
};
// Throws os::call_failed.
name_in_folder name_at(const std::filesystem::path& path);

// Whether the name leads to this very file. Throws os::call_failed.
bool names(const name_in_folder& at, const os::descriptor& file);

// Remove the name of a file, unless the name now leads to another file; say whether they did. Throw
// os::call_failed. Requires: `file` is open for writing. The second one also requires the turn.
bool remove_name(const name_in_folder& at, const os::descriptor& file);
bool remove_name(const name_in_folder& at, const os::descriptor& file, const turn&);

// Keeps a named buffer from being taken for a leftover, until all processes that share the open
// file description have closed it. Throws os::call_failed.
void hold(const os::descriptor& file);

// If nobody holds the named buffer, removes its name and returns true. Throws os::call_failed.
// Requires: `file` is open for writing, and the turn.
bool remove_unheld(const name_in_folder& at, const os::descriptor& file, const turn&);

// What a handle of a named buffer needs at its end. shard opens it when the handle is made, because
// at the end the process may have no descriptors or no memory left, or may run as another user.
struct kept_name {
  name_in_folder at;
  os::descriptor file;  // an open file description of its own, for writing, without locks
};
// Throws os::call_failed. Returns nothing if this user may not write to the file: this user cannot
// remove the name either.
std::optional<kept_name> keep_name(const std::filesystem::path& path, const os::descriptor& file);

// Ends a hold: removes the name, unless others hold the buffer, or the name leads to another file.
// Opens nothing, maps nothing and takes no memory. Throws os::call_failed. Requires: the
// description that held the buffer is closed.
void let_go(const kept_name& of);

}  // namespace shard::memory
