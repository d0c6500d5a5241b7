#include "memory/file_access.hpp"

#include <array>
#include <cstdio>

namespace shard::memory {
namespace {

namespace fs = std::filesystem;

constexpr unsigned of_owner = 0700;
constexpr unsigned of_others = 07;
constexpr unsigned of_everybody = 0777;

std::string octal(fs::perms some) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "0%03o", mode_of(some));
  return text.data();
}

// For a file of another group. Members of the old group count among all others there, and all
// others may be in the new group: so both get what both had.
unsigned without_group(unsigned mode) {
  const unsigned both = mode & (mode >> 3) & of_others;
  return (mode & of_owner) | both << 3 | both;
}

// The file has no list of its own afterwards, or one whose entries are masked.
file_access give_mode(const os::descriptor& file, file_access given) {
  // From the folder: its entries were masked by mode 0600, and any more than that would show them.
  if (!os::drop_access_list(file)) given.mode &= of_owner;
  os::set_mode(file, given.mode);
  given.list = os::access_list{};
  return given;
}

}  // namespace

std::string obstacle_to(asked_permissions asked) {
  if (!asked || (mode_of(*asked) & ~of_everybody) == 0) return {};
  if (*asked == fs::perms::unknown) return "permissions that are not known";
  return "permissions " + octal(*asked);
}

std::string obstacle_to_live(asked_permissions asked) {
  constexpr fs::perms needed = fs::perms::owner_read | fs::perms::owner_write;
  if (!asked || (*asked & needed) == needed) return {};
  return "permissions " + octal(*asked);
}

bool file_access::beyond_owner() const noexcept { return (mode & ~of_owner) != 0; }

file_access access_of(const os::descriptor& file) {
  const os::file_status found = os::status(file.get());
  return {found.mode & of_everybody, found.group, os::access_list_of(file)};
}

file_access give(const os::descriptor& file, const file_access& wanted) {
  file_access given = wanted;
  given.group = os::status(file.get()).group;
  const bool same_group = given.group == wanted.group || os::set_group(file, wanted.group);
  if (same_group) given.group = wanted.group;
  if (wanted.list && wanted.list->empty()) {
    if (!same_group) given.mode = without_group(wanted.mode);
    return give_mode(file, given);
  }
  // A list speaks of its file's group, too.
  if (wanted.list && same_group && os::set_access_list(file, *wanted.list)) return given;
  given.mode &= of_owner;
  return give_mode(file, given);
}

void restrict_to_both(const os::descriptor& file, const file_access& one,
                      const file_access& other) {
  os::set_mode(file, one.mode & other.mode & of_owner);
}

}  // namespace shard::memory
