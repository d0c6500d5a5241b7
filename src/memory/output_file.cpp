#include "memory/output_file.hpp"

#include <optional>
#include <random>
#include <string_view>
#include <utility>

#include "os/calls.hpp"
#include "os/file.hpp"

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

void require_replaceable(const os::descriptor& directory, const std::string& name) {
  const std::optional<os::file_status> found = os::status_at(directory, name);
  if (!found || found->regular || found->symlink) return;
  throw refused{found->kind, "a file to replace, or nothing"};
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
    : directory_(std::move(directory)), name_(std::move(name)), creator_(os::process_id()) {}

// Delegates, so that the destructor removes a temporary name if a later step fails.
output_file::output_file(const std::filesystem::path& path)
    : output_file(directory_of(path), file_name_of(path)) {
  require_replaceable(directory_, name_);
  file_ = os::unnamed_file(directory_);
  if (!file_) open_under_temporary_name();
  os::restrict_to_owner(file_);
}

output_file::output_file(output_file&& from) noexcept
    : directory_(std::move(from.directory_)),
      file_(std::move(from.file_)),
      name_(std::move(from.name_)),
      temporary_(std::exchange(from.temporary_, {})),
      creator_(from.creator_) {}

output_file::~output_file() {
  if (temporary_.empty() || !ours()) return;
  try {
    os::unlink_at(directory_, temporary_);
  } catch (const os::call_failed&) {
    // Someone else removed it, or the folder no longer lets us: there is no one to tell.
  }
}

bool output_file::ours() const noexcept { return os::process_id() == creator_; }

void output_file::finish(const os::descriptor& file) {
  // Linking can't replace a file; renaming can. Between the two a kill leaves the temporary name.
  if (temporary_.empty()) link_to_temporary_name(file);
  os::rename_at(directory_, temporary_, name_);
  temporary_.clear();
}

bool output_file::publish(const os::descriptor& file) try {
  if (temporary_.empty()) {
    os::link_at(file, directory_, name_);
  } else {
    os::link_name_at(directory_, temporary_,
                     name_);  // and the destructor removes the temporary one
  }
  return true;
} catch (const os::call_failed& e) {
  if (e.code() != std::errc::file_exists) throw;
  return false;
}

void output_file::open_under_temporary_name() {
  temporary_ = with_free_name(
      name_, [&](const std::string& name) { file_ = os::create_new(directory_, name); });
}

void output_file::link_to_temporary_name(const os::descriptor& file) {
  temporary_ =
      with_free_name(name_, [&](const std::string& name) { os::link_at(file, directory_, name); });
}

}  // namespace shard::memory
