#include "memory/name.hpp"

#include <utility>

#include "memory/control.hpp"
#include "os/calls.hpp"

namespace shard::memory {

turn::turn(const os::descriptor& file) : released_(file, attaching_byte) {
  os::lock_byte(file, attaching_byte, os::hold::exclusive);
}

name_in_folder name_at(const std::filesystem::path& path) {
  auto folder = std::make_shared<os::descriptor>(os::open_directory(path.parent_path().string()));
  const os::file_identity identity = os::status(folder->get()).identity;
  return {std::move(folder), identity, path.filename().string()};
}

bool names(const name_in_folder& at, const os::descriptor& file) {
  const auto found = os::status_at(*at.folder, at.name);
  return found && found->identity == os::status(file.get()).identity;
}

bool remove_name(const name_in_folder& at, const os::descriptor& file) {
  const turn mine(file);
  return remove_name(at, file, mine);
}

bool remove_name(const name_in_folder& at, const os::descriptor& file, const turn&) try {
  if (!names(at, file)) return false;
  os::unlink_at(*at.folder, at.name);
  return true;
} catch (const os::call_failed& e) {
  if (e.code() != std::errc::no_such_file_or_directory) throw;
  return false;  // somebody who asks for no turn was quicker
}

void hold(const os::descriptor& file) { os::join_byte(file, named_byte); }

bool remove_unheld(const name_in_folder& at, const os::descriptor& file, const turn& mine) {
  // Exclusive under the turn only: so whoever has the turn and can't get it knows of a true holder.
  const os::byte_release released(file, named_byte);
  if (!os::try_lock_byte(file, named_byte, os::hold::exclusive)) return false;
  remove_name(at, file, mine);
  return true;
}

std::optional<kept_name> keep_name(const std::filesystem::path& path,
                                   const os::descriptor& file) try {
  return kept_name{name_at(path), os::open_again(file.get(), os::protection::write)};
} catch (const os::call_failed& e) {
  if (e.code() != std::errc::permission_denied && e.code() != std::errc::read_only_file_system) {
    throw;
  }
  return std::nullopt;
}

void let_go(const kept_name& of) {
  const turn mine(of.file);
  if (names(of.at, of.file)) remove_unheld(of.at, of.file, mine);
}

}  // namespace shard::memory
