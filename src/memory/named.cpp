#include "memory/named.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "memory/attempt.hpp"
#include "memory/name.hpp"
#include "memory/named_file.hpp"
#include "os/calls.hpp"
#include "os/file.hpp"

namespace shard::memory {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view prefix = "shard.";

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

found_names find_names() {
  found_names found;
  found.failures =
      for_each_name("look at", [&](const location& at, const name_in_folder&, const auto& file) {
        found.all.push_back({at.name, os::status(file.get()).size_bytes, is_held(file)});
      });
  return found;
}

leftovers find_leftovers() {
  found_names found = find_names();
  leftovers left{.all = {}, .failures = std::move(found.failures)};
  for (found_name& each : found.all) {
    if (!each.held) left.all.push_back({std::move(each.name), each.size_bytes});
  }
  return left;
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
        leftover found{at.name, os::status(file.get()).size_bytes};
        if (remove_unheld(name, file, mine)) removed.all.push_back(std::move(found));
      });
  return removed;
}

}  // namespace shard::memory
