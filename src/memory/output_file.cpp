#include "memory/output_file.hpp"

#include <optional>
#include <random>
#include <string_view>
#include <utility>

#include "os/calls.hpp"
#include "os/file.hpp"
#include "os/machine.hpp"
#include "os/own_pid.hpp"

namespace shard::memory {
namespace {

// More than anyone will meet; ends the loop if every name is taken.
constexpr int most_attempts = 100;

// ".roots.npy.k3f9xa.tmp": hidden, beside its target (a rename needs the same file system), and
// recognisable where a killed job left it.
std::string temporary_name(const std::string& final_name) {
  constexpr std::size_t longest_part = 200;  // names may have 255 bytes
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::random_device random;
  std::uniform_int_distribution<std::size_t> letter(0, letters.size() - 1);
  std::string name = "." + final_name.substr(0, longest_part) + ".";
  for (int i = 0; i < 6; ++i) name += letters[letter(random)];
  return name + ".tmp";
}

// Calls `use` with fresh temporary names until one is free, and returns that one.
template <class Use>
std::string with_free_name(const std::string& final_name, Use use) {
  for (int attempt = 1;; ++attempt) {
    std::string name = temporary_name(final_name);
    try {
      use(name);
      return name;
    } catch (const os::call_failed& e) {
      if (e.code() != std::errc::file_exists || attempt == most_attempts) throw;
    }
  }
}

[[noreturn]] void refuse_for_good(const std::string& found, const std::string& expected) {
  throw refused{found, expected, std::errc::operation_not_permitted};
}

void require_kind_of_file(const os::file_status& found) {
  if (found.regular || found.symlink) return;
  throw refused{found.kind, "a file to replace, or nothing"};
}

// A folder like /tmp, in which only its owner may remove a file.
bool keeps_from_us(const os::file_status& folder, const os::file_status& found) {
  constexpr unsigned sticky = 01000;
  return (folder.mode & sticky) != 0 && !found.ours && !folder.ours &&
         !os::may_remove_others_files();
}

void restrict_quietly(const os::descriptor& file) noexcept {
  try {
    os::restrict_to_owner(file);
  } catch (const os::call_failed&) {
    // The mode was changed a moment ago: it can be.
  }
}

void refuse_permissions(taking name, asked_permissions asked) {
  if (const std::string found = obstacle_to(asked); !found.empty()) {
    throw refused{found, "a mode of reading, writing and executing alone (0 to 0777)"};
  }
  if (name != taking::must_be_free) return;
  if (const std::string found = obstacle_to_live(asked); !found.empty()) {
    throw refused{found,
                  "a file that its owner may read and write (0600 and more), since it is used "
                  "while it is being filled"};
  }
}

std::string file_name_of(const std::filesystem::path& path) {
  std::string name = path.filename().string();
  if (name.empty() || name == "." || name == "..") throw refused{"a directory", "a file name"};
  return name;
}

os::descriptor directory_of(const std::filesystem::path& path) {
  const std::filesystem::path parent = path.parent_path();
  return os::open_directory(parent.empty() ? "." : parent.string());
}

}  // namespace

output_file::output_file(os::descriptor directory, std::string name)
    : directory_(std::move(directory)), name_(std::move(name)), creator_(os::own_pid()) {}

// Delegates, so that the destructor removes a temporary name if a later step fails.
output_file::output_file(const std::filesystem::path& path, taking name, asked_permissions asked)
    : output_file(directory_of(path), file_name_of(path)) {
  refuse_permissions(name, asked);
  asked_ = asked;
  refuse_fixed_folder();
  if (name == taking::replaces) refuse_what_cannot_be_replaced();
  // Only /proc can link a file without a name.
  if (os::has_proc()) file_ = os::unnamed_file(directory_);
  if (!file_ && os::obstacles_at(directory_, "").append_only) {
    refuse_for_good(
        "a folder that can only be added to (chattr +a), where a temporary name would "
        "stay",
        "another folder, or a file system with unnamed files and /proc mounted");
  }
  if (!file_) open_under_temporary_name();
  os::restrict_to_owner(file_);
}

output_file::output_file(output_file&& from) noexcept
    : directory_(std::move(from.directory_)),
      file_(std::move(from.file_)),
      name_(std::move(from.name_)),
      temporary_(std::exchange(from.temporary_, {})),
      replaced_(std::exchange(from.replaced_, {})),
      asked_(from.asked_),
      creator_(from.creator_) {}

output_file::~output_file() {
  if (!ours()) return;
  remove(temporary_);
  remove(replaced_);
}

void output_file::remove(std::string& name) noexcept {
  if (name.empty()) return;
  try {
    os::unlink_at(directory_, name);
    name.clear();
  } catch (const os::call_failed&) {
    // Someone else removed it, or the folder no longer lets us: there is no one to tell.
  }
}

bool output_file::ours() const noexcept { return os::own_pid() == creator_; }

void output_file::refuse_fixed_folder() const {
  if (!os::obstacles_at(directory_, "").immutable) return;
  refuse_for_good("an immutable folder (chattr +i)", "a folder that can change");
}

void output_file::refuse_what_cannot_be_replaced() const {
  const std::optional<os::file_status> found = os::status_at(directory_, name_);
  if (!found) return;
  require_kind_of_file(*found);
  const os::name_obstacles here = os::obstacles_at(directory_, name_);
  const std::string expected = "a file that can be replaced, or another path";
  if (here.immutable) refuse_for_good("an immutable file (chattr +i)", expected);
  if (here.append_only)
    refuse_for_good("a file that can only be appended to (chattr +a)", expected);
  if (here.mounted_on) refuse_for_good("a file that is a mount point", expected);
  if (os::obstacles_at(directory_, "").append_only) {
    refuse_for_good("a file in a folder that can only be added to (chattr +a)", expected);
  }
  if (keeps_from_us(os::status(directory_.get()), *found)) {
    refuse_for_good(
        "another user's file in a folder where only owners may replace files (mode "
        "1777)",
        expected);
  }
}

void output_file::finish(const os::descriptor& file, durability needed) {
  if (needed != durability::disk) return give_final_name(file);
  // Before the file has its name: a folder that can't be read can't be flushed.
  const os::descriptor folder = os::open_to_flush(directory_);
  os::flush(file);
  give_final_name(file);
  os::flush(folder);
}

// Linking can't replace a file; renaming can. Between a link to a temporary name and its renaming a
// kill leaves the temporary name, so a free name is linked at once.
void output_file::give_final_name(const os::descriptor& file) try {
  give_asked(file);
  if (temporary_.empty() && link_final_name(file)) return;
  // A temporary name in a folder that can only be added to would stay.
  refuse_what_cannot_be_replaced();
  if (temporary_.empty()) link_to_temporary_name(file);
  rename_over(file);
} catch (const os::call_failed&) {
  restrict_quietly(file);
  refuse_fixed_folder();
  refuse_what_cannot_be_replaced();
  throw;
} catch (const refused&) {
  restrict_quietly(file);
  throw;
}

bool output_file::publish(const os::descriptor& file) {
  give_asked(file);
  return link_final_name(file);
}

void output_file::give_asked(const os::descriptor& file) const {
  if (asked_) os::set_mode(file, mode_of(*asked_));
}

bool output_file::link_final_name(const os::descriptor& file) try {
  if (temporary_.empty()) {
    os::link_at(file, directory_, name_);
  } else {
    os::link_name_at(directory_, temporary_, name_);  // the destructor removes the temporary one
  }
  return true;
} catch (const os::call_failed& e) {
  if (e.code() != std::errc::file_exists) throw;
  return false;
}

// What was asked for is given already. Else the file gets what the old one has, which others may
// change, or replace, at any moment before ours has its name. Where that matters, since our file is
// not its owner's alone, the two exchange their names: then we see what it was that we replaced.
void output_file::rename_over(const os::descriptor& file) {
  if (!asked_) {
    const os::descriptor old = os::look_at(directory_, name_);
    if (old && os::status(old.get()).regular) {
      const file_access seen = access_of(old);
      const file_access given = give(file, seen);
      if (given.beyond_owner() && exchange_with(file, given, seen)) return;
    }
  }
  os::rename_at(directory_, temporary_, name_);
  temporary_.clear();
}

// False: the name is free by now, so that ours is a new file; or this file system can't do it.
bool output_file::exchange_with(const os::descriptor& file, const file_access& given,
                                const file_access& seen) {
  try {
    if (!os::exchange_at(directory_, temporary_, name_)) return false;
  } catch (const os::call_failed& e) {
    if (e.code() != std::errc::no_such_file_or_directory) throw;
    os::restrict_to_owner(file);
    return false;
  }
  put_back_what_is_no_file();
  // From here on the file has its name, and nothing may fail.
  replaced_ = std::exchange(temporary_, {});
  try {
    const file_access found = access_of(os::look_at(directory_, replaced_));
    if (found != seen) restrict_to_both(file, given, found);
  } catch (const std::exception&) {
    // Another process has removed that name at once, or there is no memory or descriptor to look.
    restrict_quietly(file);
  }
  remove(replaced_);
  return true;
}

// An exchange also takes what no rename replaces, such as a directory that has come meanwhile.
void output_file::put_back_what_is_no_file() {
  std::optional<os::file_status> found;
  try {
    found = os::status_at(directory_, temporary_);
  } catch (const os::call_failed&) {
    return;  // nothing is known against it
  }
  if (!found || found->regular || found->symlink) return;
  if (os::exchange_at(directory_, temporary_, name_)) require_kind_of_file(*found);
}

void output_file::open_under_temporary_name() {
  temporary_ = with_free_name(
      name_, [&](const std::string& name) { file_ = os::create_new(directory_, name); });
}

void output_file::link_to_temporary_name(const os::descriptor& file) {
  temporary_ =
      with_free_name(name_, [&](const std::string& name) { os::link_at(file, directory_, name); });
}

void flush_name(const std::filesystem::path& path) {
  const os::descriptor folder = directory_of(path);
  os::flush(os::open_to_flush(folder));
}

}  // namespace shard::memory
