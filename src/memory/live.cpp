// Files that appear under their names at once, for whoever opens them: live ones, and named
// buffers. A name is given by linking, which never replaces anything, and taken away, or given to
// another file, under the turn of the file that it names. So each round of a loop here either ends
// it, or fails because another process got on.

#include <algorithm>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "memory/attempt.hpp"
#include "memory/dtype.hpp"
#include "memory/image.hpp"
#include "memory/location.hpp"
#include "memory/malformed.hpp"
#include "memory/name.hpp"
#include "memory/named.hpp"
#include "memory/named_file.hpp"
#include "memory/output_file.hpp"
#include "memory/segment.hpp"
#include "memory/unpublished.hpp"
#include "os/file.hpp"
#include "shard/error.hpp"

namespace shard::detail {
namespace {

using memory::attempt;
using memory::label;
using memory::location;
using memory::malformed;
using memory::mapped;
using memory::name_in_folder;
using memory::taking;
using memory::turn;
using memory::unpublished;
using memory::wanted;
using memory::with_turn;

constexpr int most_rounds = 1000;

// Requires: the file's turn.
array hold_and_map(const location& at, const os::descriptor& file, const wanted& want) {
  os::descriptor own = os::open_again(file.get(), want.protection());
  if (at.kind == backing::named) memory::hold(own);
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
  found = hold_and_map(at, file, {type, shape.size(), access::write});
  if (then == on_mismatch::take_stored || std::ranges::equal(found->shape, shape)) return true;
  throw malformed("shape " + memory::tuple(found->shape),
                  memory::tuple(shape) + "; on_mismatch::take_stored opens it as it is");
} catch (const malformed&) {
  if (then != on_mismatch::replace) throw;
  return false;
}

array open_or_publish(const location& at, on_mismatch then, const element_type& type,
                      std::span<const std::size_t> shape, asked_permissions asked) {
  const std::string what = "open or create " + label(at);
  array made;
  for (int round = 0; round < most_rounds; ++round) {
    std::optional<array> found;
    bool obsolete = false;
    bool replaced = false;
    attempt(what, "a file that can be written to, and is no symlink", [&] {
      with_turn(at, [&](const name_in_folder& name, const os::descriptor& file, const turn& mine) {
        if (at.kind == backing::named && memory::remove_unheld(name, file, mine)) return;
        obsolete = !open_usable(found, at, file, then, type, shape);
        if (!obsolete || !made.owner) return;
        // A file in one step: a kill leaves the old one or the new. That takes a temporary name,
        // under which a kill could leave memory that no one reclaims.
        if (at.kind == backing::named) {
          memory::remove_name(name, file, mine);
        } else {
          memory::naming(what, memory::what_naming_needs(durability::memory),
                         [&] { made.owner->replace(); });
          replaced = true;
        }
      });
    });
    if (replaced) return made;
    if (found && !obsolete) return std::move(*found);
    found.reset();
    // Before anything is removed for it: there may be no room.
    const bool first = !made.owner;
    if (first) made = unpublished(at, type, shape, taking::must_be_free, asked);
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

}  // namespace

array create_live(const std::filesystem::path& path, const element_type& type,
                  std::span<const std::size_t> shape, asked_permissions asked) {
  const location at = memory::file_location(path);
  array made = unpublished(at, type, shape, taking::must_be_free, asked);
  if (!give_name(made, "create " + at.name)) {
    refuse_taken(at, "something of that name");
  }
  return made;
}

array open_or_create_file(const std::filesystem::path& path, on_mismatch then,
                          const element_type& type, std::span<const std::size_t> shape,
                          asked_permissions asked) {
  location at = memory::file_location(path);
  at.path = attempt("open or create " + at.name, "a working directory",
                    [&] { return memory::absolute_path(path); });
  return open_or_publish(at, then, type, shape, asked);
}

array create_named(const std::string& name, const element_type& type,
                   std::span<const std::size_t> shape) {
  const location at = memory::shared_location(name);
  const std::string what = "create " + label(at);
  array made = unpublished(at, type, shape, taking::must_be_free);
  for (int round = 0; round < most_rounds; ++round) {
    if (give_name(made, what)) return made;
    attempt(what, "a free name, or one that a killed process left", [&] {
      with_turn(at, [&](const auto& its_name, const auto& file, const turn& mine) {
        if (!memory::remove_unheld(its_name, file, mine)) refuse_taken(at, "it in use");
      });
    });
  }
  refuse_rounds(what);
}

array open_named(const std::string& name, const element_type& type, std::size_t rank,
                 access rights) {
  const location at = memory::shared_location(name);
  const std::string what = "open " + label(at);
  for (int round = 0; round < most_rounds; ++round) {
    std::optional<array> found;
    attempt(what, "one that can be shared, and /proc mounted", [&] {
      const bool there = with_turn(at, [&](const auto&, const os::descriptor& file, const turn&) {
        if (!memory::is_held(file)) refuse_leftover();
        found = hold_and_map(at, file, {type, rank, rights});
      });
      if (!there) refuse_missing();
    });
    if (found) return std::move(*found);
  }
  refuse_rounds(what);
}

array open_or_create_named(const std::string& name, on_mismatch then, const element_type& type,
                           std::span<const std::size_t> shape) {
  return open_or_publish(memory::shared_location(name), then, type, shape, {});
}

}  // namespace shard::detail
