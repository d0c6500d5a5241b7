// Files and memory files, each function one checked system call or a few. All throw call_failed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "os/descriptor.hpp"
#include "os/mapping.hpp"

namespace shard::os {

// What exists under a path; symlinks are followed. Never waits, as a FIFO's open would for a
// writer.
descriptor open(const std::string& path, protection rights);
// The same in a folder, but a symlink is not followed: ELOOP.
descriptor open_at(const descriptor& directory, const std::string& name, protection rights);
// A folder to name files in; it need not be readable.
descriptor open_directory(const std::string& path);
// The same folder for reading, as flush() needs it.
descriptor open_to_flush(const descriptor& directory);
// A new file, for reading and writing. EEXIST where there is anything under that name.
descriptor create_new(const descriptor& directory, const std::string& name);

// Mode 0600: the umask can take rights away even from the owner, and memory files start with all.
void restrict_to_owner(const descriptor& file);

// The same for any mode: exactly that one, whatever the umask.
void set_mode(const descriptor& file, unsigned mode);
// False: this process may not give the file to that group.
[[nodiscard]] bool set_group(const descriptor& file, unsigned group) noexcept;

// The access control list of a file (acl(5)), as the system has it in its extended attribute.
using access_list = std::vector<std::byte>;
// Empty: the file has none besides its mode. Nothing: that can't be known. Needs /proc. Whatever
// the descriptor was opened for.
std::optional<access_list> access_list_of(const descriptor& file);
// Sets the mode as well, as the list says. False: that can't be.
[[nodiscard]] bool set_access_list(const descriptor& file, const access_list& to) noexcept;
// Leaves the mode alone. False: it has one still.
[[nodiscard]] bool drop_access_list(const descriptor& file) noexcept;

// A file in memory, mode 0600, of zeros, `size_bytes` long and sealed to stay so: no one it is
// handed to can shrink it under a mapping. Takes no memory before it is written to.
descriptor memory_file(const std::string& name, std::size_t size_bytes);
// The same in huge pages of the system's default size, which `size_bytes` is rounded up to. Mapping
// it takes as many of those that are reserved, or fails; it can't be written to but by a mapping.
descriptor huge_memory_file(const std::string& name, std::size_t size_bytes);

// A file without a name in `directory`: gone when it is closed, also by a kill, unless
// link_at names it. Returns an empty descriptor where the file system has no such files.
descriptor unnamed_file(const descriptor& directory);

// Makes a file at least `offset + size_bytes` long, with the blocks from `offset` on reserved, so
// that no later write there can find the disk full. Not for memory files, where it would touch
// every page.
void reserve(const descriptor& file, std::size_t size_bytes, std::size_t offset = 0);

// Ends a file there. Whoever has more of it mapped faults.
void cut(const descriptor& file, std::size_t size_bytes);

void write_all(const descriptor& file, std::span<const std::byte> bytes, std::size_t offset);
// Returns how many bytes there were: fewer than asked for at the end of the file.
std::size_t read_some(const descriptor& file, std::span<std::byte> bytes, std::size_t offset);

// Tells files apart, whatever they are called and however often they are open.
struct file_identity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  friend bool operator==(const file_identity&, const file_identity&) = default;
};

struct file_status {
  const char* kind = "";  // "a directory", "a FIFO or pipe", …: for messages
  bool regular = false;
  bool symlink = false;
  std::size_t names = 0;  // 0: it has none, or none any more
  std::size_t size_bytes = 0;
  std::size_t allocated_bytes = 0;
  std::int64_t modified_ns = 0;  // when its content changed last, since 1970
  unsigned mode = 0;             // of the permissions, as chmod takes them
  unsigned group = 0;
  file_identity identity{};
  bool ours = false;  // belongs to this process's effective user
};
file_status status(int descriptor);

// What else can keep a name from being replaced. What the system does not tell is false.
struct name_obstacles {
  bool immutable = false;    // chattr +i
  bool append_only = false;  // chattr +a: of a folder, names can be added and never removed
  bool mounted_on = false;   // a file system, or another file, is mounted here
};
// Of what has that name, itself where it is a symlink; of the folder itself where `name` is empty.
name_obstacles obstacles_at(const descriptor& directory, const std::string& name) noexcept;

// Whether this process may remove other users' files in folders of mode 1777 (CAP_FOWNER).
bool may_remove_others_files() noexcept;

// Of what has that name, itself where it is a symlink; nothing where the name is free.
std::optional<file_status> status_at(const descriptor& directory, const std::string& name);

// What has that name, itself where it is a symlink, to look at and for nothing else. Empty where
// the name is free.
descriptor look_at(const descriptor& directory, const std::string& name);

// When a file was made, in nanoseconds since 1970; 0: its file system doesn't tell.
std::int64_t birth_of(int descriptor) noexcept;

// All names in a folder, but "." and "..".
std::vector<std::string> names_in(const std::string& folder);

// The same file by an open file description of its own, with only these rights. Needs /proc.
descriptor open_again(int descriptor, protection rights);
// The same of another process's descriptor, which this one must be allowed to look at.
descriptor open_again_of(int process, int descriptor, protection rights);
// What /proc says is behind a descriptor: a path, or "/memfd:…".
std::string name_of(int descriptor);

bool open_for_writing(int descriptor);
// Whether this user may write to a file, whatever the descriptor was opened for. Needs /proc.
bool may_write(int descriptor);
// Whether a memory file can neither shrink nor grow.
bool sealed(int descriptor);
// Whether it can't be written to any more, and making it so: EBUSY while anyone maps it writable.
bool sealed_against_writing(int descriptor);
void seal_against_writing(const descriptor& memory_file);

// Gives an unnamed file a name, which must be new.
void link_at(const descriptor& unnamed, const descriptor& directory, const std::string& name);
// Gives a file with a name one more, which must be new.
void link_name_at(const descriptor& directory, const std::string& from, const std::string& to);
void rename_at(const descriptor& directory, const std::string& from, const std::string& to);
// Each gets the other's file, in one step. False: this file system has no such step.
[[nodiscard]] bool exchange_at(const descriptor& directory, const std::string& one,
                               const std::string& other);
void unlink_at(const descriptor& directory, const std::string& name);

// Waits until what was written is on the disk.
void flush(const descriptor& file);
// The same, of its bytes alone, and of what is needed to find them.
void flush_data(int file);

}  // namespace shard::os
