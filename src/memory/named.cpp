// Files that appear under their names at once, for whoever opens them: live ones, and named
// buffers. A name is given by linking, which never replaces anything, and taken away, or given to
// another file, under the turn of the file that it names. So each round of a loop here either ends
// it, or fails because another process got on.

#include "memory/named.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "memory/control.hpp"
#include "memory/create.hpp"
#include "memory/dtype.hpp"
#include "memory/name.hpp"
#include "memory/npy_header.hpp"
#include "memory/open.hpp"
#include "memory/segment.hpp"
#include "os/byte_lock.hpp"
#include "shard/named.hpp"

namespace shard::memory {
namespace {

namespace fs = std::filesystem;
using detail::array;
using detail::element_type;

constexpr std::string_view prefix = "shard.";
constexpr int most_rounds = 1000;

[[noreturn]] void refuse_another_users() {
  throw malformed("another user's file", "one of this user's", std::errc::permission_denied);
}

// What has a name now, no symlink followed; empty where the name is free.
os::descriptor open_name(const name_in_folder& at, backing kind, os::protection rights) {
  try {
    return os::open_at(*at.folder, at.name, rights);
  } catch (const os::call_failed& e) {
    if (e.code() == std::errc::no_such_file_or_directory) return {};
    if (kind == backing::named && e.code() == std::errc::permission_denied) {
      const auto found = os::status_at(*at.folder, at.name);
      if (found && !found->ours) refuse_another_users();
    }
    throw;
  }
}

// Nothing else is locked, mapped or removed.
void require_array(const location& at, const os::descriptor& file) {
  const os::file_status found = os::status(file.get());
  if (!found.regular) throw malformed(found.kind, "a regular file");
  if (at.kind != backing::named) return;
  if (!found.ours) refuse_another_users();
  std::array<std::byte, longest_prologue_bytes> first{};
  read_prologue(std::span(first).first(os::read_some(file, first, 0)));
}

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

// Requires: the file's turn.
array hold_and_map(const location& at, const os::descriptor& file, const wanted& want) {
  os::descriptor own = os::open_again(file.get(), want.protection());
  if (at.kind == backing::named) hold(own);
  return mapped(at, std::move(own), want);
}

[[noreturn]] void refuse_rounds(const std::string& what) {
  throw error(std::errc::resource_unavailable_try_again,
              "cannot " + what + ": found its name taken and free again " +
                  std::to_string(most_rounds) + " times, expected one or the other");
}

bool give_name(const array& made, const std::string& what) {
  return attempt(what, "a folder that can be written to, and /proc mounted",
                 [&] { return made.owner->publish(); });
}

// Opens what is there under the name, and says whether it is what is asked for; if not, it is to be
// replaced. Requires: its turn. `found` outlives that: the last handle of a named buffer takes a
// turn of its own.
bool open_usable(std::optional<array>& found, const location& at, const os::descriptor& file,
                 on_mismatch then, const element_type& type,
                 std::span<const std::size_t> shape) try {
  found = hold_and_map(at, file, {type, shape.size(), detail::access::write});
  if (then == on_mismatch::take_stored || std::ranges::equal(found->shape, shape)) return true;
  throw malformed("shape " + tuple(found->shape),
                  tuple(shape) + "; on_mismatch::take_stored opens it as it is");
} catch (const malformed&) {
  if (then != on_mismatch::replace) throw;
  return false;
}

array open_or_publish(const location& at, on_mismatch then, const element_type& type,
                      std::span<const std::size_t> shape) {
  const std::string what = "open or create " + label(at);
  array made;
  for (int round = 0; round < most_rounds; ++round) {
    std::optional<array> found;
    bool obsolete = false;
    bool replaced = false;
    attempt(what, "a file that can be written to, and is no symlink", [&] {
      with_turn(at, [&](const name_in_folder& name, const os::descriptor& file, const turn& mine) {
        if (at.kind == backing::named && remove_unheld(name, file, mine)) return;
        obsolete = !open_usable(found, at, file, then, type, shape);
        if (!obsolete || !made.owner) return;
        // A file in one step: a kill leaves the old one or the new. That takes a temporary name,
        // under which a kill could leave memory that no one reclaims.
        if (at.kind == backing::named) {
          remove_name(name, file, mine);
        } else {
          naming(what, what_naming_needs(durability::memory), [&] { made.owner->replace(); });
          replaced = true;
        }
      });
    });
    if (replaced) return made;
    if (found && !obsolete) return std::move(*found);
    found.reset();
    // Before anything is removed for it: there may be no room.
    const bool first = !made.owner;
    if (first) made = unpublished(at, type, shape, taking::must_be_free);
    if (first && obsolete) continue;
    if (give_name(made, what)) return made;
  }
  refuse_rounds(what);
}

[[noreturn]] void refuse_taken(const location& at, const std::string& found) {
  throw error(std::errc::file_exists,
              "cannot create " + label(at) + ": found " + found + ", expected a free name");
}

[[noreturn]] void refuse_missing() {
  throw malformed("no such name", "one that somebody holds", std::errc::no_such_file_or_directory);
}

[[noreturn]] void refuse_leftover() {
  throw malformed("that nobody holds it, since its owner was killed",
                  "one that somebody holds; create and open_or_create take it over",
                  std::errc::owner_dead);
}

bool is_name(std::string_view text) {
  constexpr std::string_view allowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return !text.empty() && text.size() <= 200 &&
         text.find_first_not_of(allowed) == std::string_view::npos;
}

// The names there are, whoever owns them. A system without the folder has none. Throws
// os::call_failed.
std::vector<std::string> all_names() try {
  std::vector<std::string> found;
  for (const std::string& file : os::names_in(folder_of_names().string())) {
    if (!file.starts_with(prefix)) continue;
    if (std::string name = file.substr(prefix.size()); is_name(name)) {
      found.push_back(std::move(name));
    }
  }
  std::ranges::sort(found);
  return found;
} catch (const os::call_failed& e) {
  if (e.code() != std::errc::no_such_file_or_directory) throw;
  return {};
}

// What has the name, open for reading, if it is a named buffer of this user's. Empty: it is none,
// or is there no more. Throws os::call_failed where that can't be found out.
os::descriptor open_if_buffer(const location& at, const name_in_folder& name) try {
  const auto found = os::status_at(*name.folder, name.name);
  if (!found || !found->regular || !found->ours) return {};
  os::descriptor file = open_name(name, at.kind, os::protection::read);
  if (file) require_array(at, file);
  return file;
} catch (const malformed&) {
  return {};
}

// An error that would come at the next name as well.
bool is_of_the_process(const error& why) { return !os::remedy_for(why.code().value()).empty(); }

// Calls `use` with each named buffer of this user's, and returns what kept it from looking at
// others. Throws shard::error where the names can't be read.
template <class Use>
std::vector<error> for_each_name(const std::string& verb, Use use) {
  std::vector<error> failures;
  const std::string folder = folder_of_names().string();
  const auto all = attempt(verb + " named buffers", folder + " to be a readable folder", all_names);
  name_in_folder name;
  for (const std::string& each : all) {
    const location at = shared_location(each);
    try {
      attempt(verb + " " + label(at), "a file and a folder that this user may change", [&] {
        if (!name.folder) name = name_at(at.path);
        name.name = at.path.filename();
        if (const os::descriptor file = open_if_buffer(at, name)) use(at, name, file);
      });
    } catch (const error& e) {
      failures.push_back(e);
      if (is_of_the_process(e)) break;
    }
  }
  return failures;
}

bool is_held(const os::descriptor& file) { return os::byte_is_locked(file, named_byte); }

leftover leftover_of(const location& at, const os::descriptor& file) {
  return {at.name, os::status(file.get()).size_bytes};
}

// A file whose only name is the one that /proc tells is a named buffer by that name, or none.
// (Nothing is said of a file that had no name when it was opened.)
struct told_name {
  bool only = false;
  std::optional<std::string> name;
};
told_name told_name_of(int descriptor, const os::file_status& file,
                       const name_in_folder& folder) try {
  const fs::path told = os::name_of(descriptor);
  if (!told.is_absolute() || !told.has_filename()) return {};
  const name_in_folder at = name_at(told);
  const auto found = os::status_at(*at.folder, at.name);
  if (!found || found->identity != file.identity) return {};
  const bool inside = at.folder_identity == folder.folder_identity;
  if (inside && at.name.starts_with(prefix) && is_name(at.name.substr(prefix.size()))) {
    return {true, at.name.substr(prefix.size())};
  }
  return {file.names == 1, std::nullopt};
} catch (const os::call_failed& e) {
  // Where the name leads nowhere, or into what this user may not see, nothing is told.
  if (!os::remedy_for(e.code().value()).empty()) throw;
  return {};
}

}  // namespace

fs::path& folder_of_names() noexcept {
  static fs::path folder = "/dev/shm";
  return folder;
}

fs::path shared_path(const std::string& name) {
  return folder_of_names() / (std::string(prefix) + name);
}

location shared_location(const std::string& name) {
  if (!is_name(name)) {
    throw error(std::errc::invalid_argument,
                "cannot name a buffer: found '" + name.substr(0, name.find('\0')) + "' of " +
                    std::to_string(name.size()) +
                    " bytes, expected 1 to 200 letters, digits, '.', '_' or '-'");
  }
  return {name, shared_path(name), backing::named};
}

std::optional<std::string> name_of_shared(int descriptor) try {
  const os::file_status file = os::status(descriptor);
  const name_in_folder folder = name_at(shared_path(""));
  if (folder.folder_identity.device != file.identity.device) return std::nullopt;
  if (const told_name told = told_name_of(descriptor, file, folder); told.only) return told.name;
  for (const std::string& name : all_names()) {
    const auto found = os::status_at(*folder.folder, std::string(prefix) + name);
    if (found && found->identity == file.identity) return name;
  }
  return std::nullopt;
} catch (const os::call_failed& e) {
  if (e.code() != std::errc::no_such_file_or_directory) throw;
  return std::nullopt;  // a system without the folder
}

leftovers find_leftovers() {
  leftovers found;
  found.failures =
      for_each_name("look at", [&](const location& at, const name_in_folder&, const auto& file) {
        if (!is_held(file)) found.all.push_back(leftover_of(at, file));
      });
  return found;
}

leftovers remove_leftovers() {
  leftovers removed;
  removed.failures = for_each_name(
      "remove", [&](const location& at, const name_in_folder& name, const os::descriptor& seen) {
        // What somebody holds is none of our business, and its turn may be a stopped process's.
        if (is_held(seen)) return;
        const os::descriptor file = open_name(name, at.kind, os::protection::write);
        if (!file) return;
        const turn mine(file);
        if (os::status(file.get()).identity != os::status(seen.get()).identity) return;
        if (!names(name, file)) return;
        const leftover found = leftover_of(at, file);
        if (remove_unheld(name, file, mine)) removed.all.push_back(found);
      });
  return removed;
}

}  // namespace shard::memory

namespace shard::detail {

using memory::location;

array create_live(const std::filesystem::path& path, const element_type& type,
                  std::span<const std::size_t> shape) {
  const location at = memory::file_location(path);
  array made = memory::unpublished(at, type, shape, memory::taking::must_be_free);
  if (!memory::give_name(made, "create " + at.name)) {
    memory::refuse_taken(at, "something of that name");
  }
  return made;
}

array open_or_create_file(const std::filesystem::path& path, on_mismatch then,
                          const element_type& type, std::span<const std::size_t> shape) {
  location at = memory::file_location(path);
  at.path = memory::attempt("open or create " + at.name, "a working directory",
                            [&] { return memory::absolute_path(path); });
  return memory::open_or_publish(at, then, type, shape);
}

array create_named(const std::string& name, const element_type& type,
                   std::span<const std::size_t> shape) {
  const location at = memory::shared_location(name);
  const std::string what = "create " + memory::label(at);
  array made = memory::unpublished(at, type, shape, memory::taking::must_be_free);
  for (int round = 0; round < memory::most_rounds; ++round) {
    if (memory::give_name(made, what)) return made;
    memory::attempt(what, "a free name, or one that a killed process left", [&] {
      memory::with_turn(at, [&](const auto& its_name, const auto& file, const memory::turn& mine) {
        if (!memory::remove_unheld(its_name, file, mine)) memory::refuse_taken(at, "it in use");
      });
    });
  }
  memory::refuse_rounds(what);
}

array open_named(const std::string& name, const element_type& type, std::size_t rank,
                 access rights) {
  const location at = memory::shared_location(name);
  const std::string what = "open " + memory::label(at);
  for (int round = 0; round < memory::most_rounds; ++round) {
    std::optional<array> found;
    memory::attempt(what, "one that can be shared, and /proc mounted", [&] {
      const bool there =
          memory::with_turn(at, [&](const auto&, const os::descriptor& file, const memory::turn&) {
            if (!memory::is_held(file)) memory::refuse_leftover();
            found = memory::hold_and_map(at, file, {type, rank, rights});
          });
      if (!there) memory::refuse_missing();
    });
    if (found) return std::move(*found);
  }
  memory::refuse_rounds(what);
}

array open_or_create_named(const std::string& name, on_mismatch then, const element_type& type,
                           std::span<const std::size_t> shape) {
  return memory::open_or_publish(memory::shared_location(name), then, type, shape);
}

}  // namespace shard::detail

namespace shard::named {

std::vector<entry> list() {
  std::vector<entry> found;
  const auto failures = memory::for_each_name(
      "look at", [&](const memory::location& at, const auto&, const os::descriptor& file) {
        found.push_back({at.name, os::status(file.get()).size_bytes, memory::is_held(file)});
      });
  if (!failures.empty()) throw error(failures.front());
  return found;
}

std::vector<std::string> reclaim() {
  memory::leftovers removed = memory::remove_leftovers();
  if (!removed.failures.empty()) throw error(removed.failures.front());
  std::vector<std::string> names;
  for (memory::leftover& each : removed.all) names.push_back(std::move(each.name));
  return names;
}

}  // namespace shard::named
