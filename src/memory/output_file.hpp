// A file that is complete under its name, or not there at all.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>

#include "os/descriptor.hpp"

namespace shard::memory {

// An empty file without a name, or with a temporary one beside its final name, until finish(). It
// belongs to the process that made it: a forked copy neither finishes nor removes it.
class output_file {
 public:
  // Throws os::call_failed, or refused where `path` can't become a file.
  explicit output_file(const std::filesystem::path& path);
  output_file(output_file&& from) noexcept;
  output_file& operator=(output_file&&) = delete;
  ~output_file();

  // Hands over the open file; for a caller that maps it.
  os::descriptor take_descriptor() noexcept { return std::move(file_); }
  const os::descriptor& file() const noexcept { return file_; }

  // Whether this process made it.
  bool ours() const noexcept;
  int creator() const noexcept { return creator_; }

  // Gives it the final name, replacing a file or a symlink of that name. `file` is the descriptor
  // that was taken, or file(). Throws os::call_failed; the final name is then as it was.
  void finish(const os::descriptor& file);

  // Gives it the final name if that is free; false if it is taken. Throws os::call_failed.
  bool publish(const os::descriptor& file);

 private:
  output_file(os::descriptor directory, std::string name);
  void open_under_temporary_name();
  void link_to_temporary_name(const os::descriptor& file);

  os::descriptor directory_;  // kept, so that a chdir or a moved folder can't lead it astray
  os::descriptor file_{};
  std::string name_;
  std::string temporary_{};  // empty: no name yet, or finished
  int creator_;
};

// A path that can't become a file: what is there, and what should be.
struct refused {
  std::string found;
  std::string expected;
};

}  // namespace shard::memory
