// The names of files that processes share: who may remove one, and when.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "os/byte_lock.hpp"
#include "os/descriptor.hpp"
#include "os/file.hpp"

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

// A name in a folder that is held open: it stays the same folder, wherever the process is led.
struct name_in_folder {
  std::shared_ptr<const os::descriptor> folder;
  os::file_identity folder_identity;
  std::string name;
};
// Throws os::call_failed.
name_in_folder name_at(const std::filesystem::path& path);

// Whether that is a file's name: what is there is this very file. Throws os::call_failed.
bool names(const name_in_folder& at, const os::descriptor& file);

// Removes a file's name, unless it has become another's; says whether it did. Throws
// os::call_failed. Requires: `file` is open for writing; for the second, the file's turn.
bool remove_name(const name_in_folder& at, const os::descriptor& file);
bool remove_name(const name_in_folder& at, const os::descriptor& file, const turn&);

// Keeps a named buffer from being taken for a leftover, until the description is closed by all that
// share it. Throws os::call_failed.
void hold(const os::descriptor& file);

// Removes the name of a named buffer that nobody holds; says whether nobody did. Throws
// os::call_failed. Requires: as above.
bool remove_unheld(const name_in_folder& at, const os::descriptor& file, const turn&);

// What a handle of a named buffer needs at its end. It is opened when the handle is made: at the
// end the process may be able to open nothing more, have no memory, or have become another user's.
struct kept_name {
  name_in_folder at;
  os::descriptor file;  // of a description of its own, for writing, that holds no locks
};
// Throws os::call_failed. Nothing: this user may not write to the file, and so not remove its name.
std::optional<kept_name> keep_name(const std::filesystem::path& path, const os::descriptor& file);

// Ends a hold: removes the name, unless others hold the buffer, or the name is another file's.
// Opens and maps nothing, and takes no memory. Throws os::call_failed. Requires: what held it is
// closed.
void let_go(const kept_name& of);

}  // namespace shard::memory
