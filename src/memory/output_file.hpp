// A file that appears under its name only when it is complete.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "memory/attempt.hpp"
#include "memory/file_access.hpp"
#include "os/descriptor.hpp"
#include "shard/backing.hpp"
#include "shard/detail/segment.hpp"
#include "shard/error.hpp"

namespace shard::memory {

// What an output file may do to what has its name already.
enum class taking { replaces, must_be_free };

// An empty file without a name, or with a temporary name beside its final name, until finish(). The
// file belongs to the process that made it: a forked copy neither finishes nor removes it. Until
// finish() or publish() it is the owner's alone, mode 0600, whatever it will be: who fills it opens
// it anew, and nobody else is to see what is not complete.
class output_file {
 public:
  // Throws os::call_failed, or refused if `path` can't become a file, or if finish() could not
  // replace what is there, as far as that can be known now; or if no such file can have the
  // permissions that are asked for. Where none are, the file has those of what it replaces, or else
  // mode 0600.
  explicit output_file(const std::filesystem::path& path, taking name = taking::replaces,
                       asked_permissions asked = {});
  output_file(output_file&& from) noexcept;
  output_file& operator=(output_file&&) = delete;
  ~output_file();

  // Hands over the open file; for a caller that maps it.
  os::descriptor take_descriptor() noexcept { return std::move(file_); }
  const os::descriptor& file() const noexcept { return file_; }

  // Whether this process made the file.
  bool ours() const noexcept;
  pid_t creator() const noexcept { return creator_; }

  // Gives the file its final name, replacing a file or a symlink of that name. `file` is the
  // descriptor that was taken, or file(). With durability::disk, the file's bytes are on the disk
  // before the file has its name, and the name is on the disk when finish() returns. Throws
  // os::call_failed, or refused with the cause if shard knows it. The final name is then as it was,
  // and the file its owner's alone, unless flushing the folder failed.
  void finish(const os::descriptor& file, durability needed);

  // Gives the file its final name if that is free. False: something has that name. Throws
  // os::call_failed.
  bool publish(const os::descriptor& file);

 private:
  output_file(os::descriptor directory, std::string name);
  void give_final_name(const os::descriptor& file);
  void give_asked(const os::descriptor& file) const;
  bool link_final_name(const os::descriptor& file);
  void rename_over(const os::descriptor& file);
  bool exchange_with(const os::descriptor& file, const file_access& given, const file_access& seen);
  // Throws refused, with both under their old names, if what was exchanged is no file.
  void put_back_what_is_no_file();
  void remove(std::string& name) noexcept;
  void refuse_fixed_folder() const;
  void refuse_what_cannot_be_replaced() const;
  void open_under_temporary_name();
  void link_to_temporary_name(const os::descriptor& file);

  os::descriptor directory_;  // kept open: a chdir, or a move of the folder, changes nothing
  os::descriptor file_{};
  std::string name_;
  std::string temporary_{};  // empty: the file has no name yet, or its final name
  std::string replaced_{};   // what is left of the old file; empty: nothing
  asked_permissions asked_{};
  pid_t creator_;
};

// A path that can't become a file: what is there, and what should be.
struct refused {
  std::string found;
  std::string expected;
  std::errc code = std::errc::invalid_argument;
};

// What finish() expects to find, for messages.
inline std::string what_naming_needs(durability needed) {
  const std::string folder = "a folder that can be written to";
  return needed == durability::disk ? folder + ", and read to be flushed, on a disk that takes it"
                                    : folder + ", and /proc mounted";
}

// Waits until the name of a file is on the disk. Throws os::call_failed.
void flush_name(const std::filesystem::path& path);

// Runs `steps`, which begin or finish output files. Throws what fails in them as shard::error.
template <class Steps>
auto naming(const std::string& what, const std::string& expected, Steps steps) try {
  return attempt(what, expected, steps);
} catch (const refused& e) {
  throw error(e.code, "cannot " + what + ": found " + e.found + ", expected " + e.expected);
}

}  // namespace shard::memory
