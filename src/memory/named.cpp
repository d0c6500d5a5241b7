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
  throw malformed("another user's file", "one of this user's");
}

// What has that name now, no symlink followed; empty where the name is free.
os::descriptor open_name(const location& at) {
  const os::descriptor folder = os::open_directory(at.path.parent_path().string());
  const std::string name = at.path.filename();
  try {
    return os::open_at(folder, name, os::protection::write);
  } catch (const os::call_failed& e) {
    if (e.code() == std::errc::no_such_file_or_directory) return {};
    if (at.kind == backing::named && e.code() == std::errc::permission_denied) {
      const auto found = os::status_at(folder, name);
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
    checked(what, "a file that can be written to, and is no symlink", [&] {
      const os::descriptor file = open_name(at);
      if (!file) return;
      require_array(at, file);
      const turn mine(file);
      if (!names(at.path, file)) return;
      if (at.kind == backing::named && remove_unheld(at.path, file, mine)) return;
      obsolete = !open_usable(found, at, file, then, type, shape);
      if (!obsolete || !made.owner) return;
      // A file in one step: a kill leaves the old one or the new. That takes a temporary name,
      // under which a kill could leave memory that no one reclaims.
      if (at.kind == backing::named) {
        remove_name(at.path, file, mine);
      } else {
        made.owner->replace();
        replaced = true;
      }
    });
    if (replaced) return made;
    if (found && !obsolete) return std::move(*found);
    found.reset();
    // Before anything is removed for it: there may be no room.
    const bool first = !made.owner;
    if (first) made = unpublished(at, type, shape);
    if (first && obsolete) continue;
    if (give_name(made, what)) return made;
  }
  refuse_rounds(what);
}

[[noreturn]] void refuse_taken(const location& at, const std::string& found) {
  throw error(std::errc::file_exists,
              "cannot create " + label(at) + ": found " + found + ", expected a free name");
}

bool is_name(std::string_view text) {
  constexpr std::string_view allowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return !text.empty() && text.size() <= 200 &&
         text.find_first_not_of(allowed) == std::string_view::npos;
}

// The names there are, whoever owns them.
std::vector<std::string> all_names() {
  std::error_code none;
  std::vector<std::string> found;
  for (const auto& each : fs::directory_iterator(folder_of_names(), none)) {
    const std::string file = each.path().filename();
    if (!file.starts_with(prefix)) continue;
    if (std::string name = file.substr(prefix.size()); is_name(name)) {
      found.push_back(std::move(name));
    }
  }
  std::ranges::sort(found);
  return found;
}

// Calls `use` with each named buffer of this user's. What vanishes meanwhile, or is none, is left
// out.
template <class Use>
void for_each_name(Use use) {
  for (const std::string& name : all_names()) {
    try {
      const location at = shared_location(name);
      const os::descriptor file = open_name(at);
      if (!file) continue;
      require_array(at, file);
      use(at, file);
    } catch (const malformed&) {
    } catch (const os::call_failed&) {
    }
  }
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

std::optional<std::string> name_of_shared(const os::file_status& file) try {
  const os::descriptor folder = os::open_directory(folder_of_names().string());
  if (os::status(folder.get()).identity.device != file.identity.device) return std::nullopt;
  for (const std::string& name : all_names()) {
    const auto found = os::status_at(folder, std::string(prefix) + name);
    if (found && found->identity == file.identity) return name;
  }
  return std::nullopt;
} catch (const os::call_failed& e) {
  if (e.code() != std::errc::no_such_file_or_directory) throw;
  return std::nullopt;  // a system without the folder
}

leftovers find_leftovers() {
  leftovers found;
  for_each_name([&](const location& at, const os::descriptor& file) {
    if (os::byte_is_locked(file, named_byte)) return;
    found.all.push_back({at.name, os::status(file.get()).size_bytes});
  });
  return found;
}

leftovers remove_leftovers() {
  leftovers removed;
  for_each_name([&](const location& at, const os::descriptor& file) {
    // What somebody holds is none of our business, and its turn may be a stopped process's.
    if (os::byte_is_locked(file, named_byte)) return;
    try {
      const std::size_t size_bytes = os::status(file.get()).size_bytes;
      const turn mine(file);
      if (names(at.path, file) && remove_unheld(at.path, file, mine)) {
        removed.all.push_back({at.name, size_bytes});
      }
    } catch (const os::call_failed& e) {
      if (e.code() == std::errc::no_such_file_or_directory) return;
      removed.failures.push_back("cannot remove " + label(at) + ": found '" + e.code().message() +
                                 "' from " + e.call() + ", expected a folder that can be changed");
    }
  });
  return removed;
}

}  // namespace shard::memory

namespace shard::detail {

using memory::location;

array create_live(const std::filesystem::path& path, const element_type& type,
                  std::span<const std::size_t> shape) {
  const location at = memory::file_location(path);
  array made = memory::unpublished(at, type, shape);
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
  array made = memory::unpublished(at, type, shape);
  for (int round = 0; round < memory::most_rounds; ++round) {
    if (memory::give_name(made, what)) return made;
    memory::checked(what, "a free name, or one that a killed process left", [&] {
      const os::descriptor file = memory::open_name(at);
      if (!file) return;
      memory::require_array(at, file);
      const memory::turn mine(file);
      if (!memory::names(at.path, file)) return;
      if (!memory::remove_unheld(at.path, file, mine)) memory::refuse_taken(at, "it in use");
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
    memory::checked(what, "one that can be shared, and /proc mounted", [&] {
      const os::descriptor file = memory::open_name(at);
      if (!file) throw memory::malformed("no such name", "one that somebody holds");
      memory::require_array(at, file);
      const memory::turn mine(file);
      if (!memory::names(at.path, file)) return;
      if (!os::byte_is_locked(file, memory::named_byte)) {
        throw memory::malformed("that nobody holds it, since its owner was killed",
                                "one that somebody holds; create and open_or_create take it over");
      }
      found = memory::hold_and_map(at, file, {type, rank, rights});
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
  memory::for_each_name([&](const memory::location& at, const os::descriptor& file) {
    found.push_back(
        {at.name, os::status(file.get()).size_bytes, os::byte_is_locked(file, memory::named_byte)});
  });
  return found;
}

std::vector<std::string> reclaim() {
  std::vector<std::string> removed;
  for (memory::leftover& each : memory::remove_leftovers().all) {
    removed.push_back(std::move(each.name));
  }
  return removed;
}

}  // namespace shard::named
