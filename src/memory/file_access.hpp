// Who may use a file that shard makes: what the program asks for, or what the file had that it
// replaces.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "os/descriptor.hpp"
#include "os/file.hpp"
#include "shard/detail/segment.hpp"

namespace shard::memory {

using detail::asked_permissions;

// Empty, or why no file can have these: what was found.
std::string obstacle_to(asked_permissions asked);
// The same for a file that others open while it is being filled.
std::string obstacle_to_live(asked_permissions asked);

inline unsigned mode_of(std::filesystem::perms asked) { return static_cast<unsigned>(asked); }

// All that decides who may use a file, but its owner.
struct file_access {
  unsigned mode = 0;
  unsigned group = 0;
  std::optional<os::access_list> list;  // nothing: not known
  friend bool operator==(const file_access&, const file_access&) = default;

  // Others than the owner may use it.
  bool beyond_owner() const noexcept;
};

// Throws os::call_failed. `file` may be open to look at only.
file_access access_of(const os::descriptor& file);

// Gives a new file, mode 0600, the access of another one, in steps of which none lets anybody use
// it who could not use the other. Where this process can't give it all, it leaves out the rest.
// Says what it has given. Throws os::call_failed.
file_access give(const os::descriptor& file, const file_access& wanted);

// Leaves only what both let the owner do. Throws os::call_failed.
void restrict_to_both(const os::descriptor& file, const file_access& one, const file_access& other);

}  // namespace shard::memory
