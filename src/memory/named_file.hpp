// The file that has a name now, which others may give to another file at any time.
#pragma once

#include "memory/location.hpp"
#include "memory/name.hpp"
#include "os/descriptor.hpp"
#include "os/mapping.hpp"
#include "shard/backing.hpp"

namespace shard::memory {

// What has the name, no symlink followed; empty where the name is free. Throws os::call_failed, and
// malformed if it is a named buffer of another user.
os::descriptor open_name(const name_in_folder& at, backing kind, os::protection rights);

// Nothing else is locked, mapped or removed. Throws malformed and os::call_failed.
void require_array(const location& at, const os::descriptor& file);

// Whether anyone holds the named buffer. Throws os::call_failed.
bool is_held(const os::descriptor& file);

// Calls use(name, file, turn) if the location's name is there and is still that file's once it is
// this process's turn. Says whether there is anything of the name.
template <class Use>
bool with_turn(const location& at, Use use) {
  const name_in_folder name = name_at(at.path);
  const os::descriptor file = open_name(name, at.kind, os::protection::write);
  if (!file) return false;
  require_array(at, file);
  const turn mine(file);
  if (names(name, file)) use(name, file, mine);
  return true;
}

}  // namespace shard::memory
