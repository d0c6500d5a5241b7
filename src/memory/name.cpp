#include "memory/name.hpp"

#include "memory/control.hpp"
#include "os/file.hpp"

namespace shard::memory {
namespace {

os::descriptor folder_of(const std::filesystem::path& path) {
  return os::open_directory(path.parent_path().string());
}

bool names(const os::descriptor& folder, const std::string& name, const os::descriptor& file) {
  const auto found = os::status_at(folder, name);
  return found && found->identity == os::status(file.get()).identity;
}

}  // namespace

turn::turn(const os::descriptor& file) : released_(file, attaching_byte) {
  os::lock_byte(file, attaching_byte, os::hold::exclusive);
}

bool names(const std::filesystem::path& path, const os::descriptor& file) {
  return names(folder_of(path), path.filename(), file);
}

bool remove_name(const std::filesystem::path& path, const os::descriptor& file) {
  const turn mine(file);
  return remove_name(path, file, mine);
}

bool remove_name(const std::filesystem::path& path, const os::descriptor& file, const turn&) {
  const os::descriptor folder = folder_of(path);
  if (!names(folder, path.filename(), file)) return false;
  os::unlink_at(folder, path.filename());
  return true;
}

void hold(const os::descriptor& file) { os::lock_byte(file, named_byte, os::hold::shared); }

bool remove_unheld(const std::filesystem::path& path, const os::descriptor& file,
                   const turn& mine) {
  // Exclusive under the turn only: so whoever has the turn and can't get it knows of a true holder.
  const os::byte_release released(file, named_byte);
  if (!os::try_lock_byte(file, named_byte, os::hold::exclusive)) return false;
  remove_name(path, file, mine);
  return true;
}

}  // namespace shard::memory
