// The folder of a job: who works in it, the files that people look for, and in .shard the notes
// that a job keeps for its next start. docs/jobs.md lists them.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "memory/attempt.hpp"
#include "os/descriptor.hpp"
#include "os/file.hpp"

namespace shard::journal {

// Whether what is written is on the disk when a function returns.
enum class survives { processes, power_cuts };

class folder {
 public:
  // Makes it, if it is not there, and locks it. If the process that had it has died, waits until
  // its family has gone. Throws shard::error if somebody has it, or if it is on another host's
  // disk and that is not allowed.
  folder(const std::filesystem::path& path, survives what, bool on_network_too);

  const std::string& name() const noexcept { return name_; }
  std::string path_of(std::string_view file) const { return name_ + "/" + std::string(file); }
  bool is_durable() const noexcept { return what_ == survives::power_cuts; }

  // Every description of the lock file that this one was duplicated to holds the lock.
  int lock_descriptor() const noexcept { return lock_.get(); }

  const os::descriptor& files() const noexcept { return files_; }
  const os::descriptor& notes() const noexcept { return notes_; }
  // Tells this folder from a copy of it, in the same file system.
  std::uint64_t inode() const { return os::status(notes_.get()).identity.inode; }

  // ---- Notes: small files. All throw shard::error.

  // Nothing: there is none.
  std::optional<std::string> read(const std::string& note) const;
  // As a whole: a reader, or the next start, finds the old one or the new one.
  void replace(const std::string& note, std::string_view content) const;
  // If it is there.
  void remove(const std::string& note) const;
  std::vector<std::string> all_notes() const;

  // ---- Names of files, in the order in which they are on the disk.

  void rename(const std::string& from, const std::string& to) const;
  // Waits until names are on the disk, if they are to be.
  void flush_files() const;
  void flush_notes() const;

  // Runs `steps`, which work on this folder. A call that fails in them is a shard::error.
  template <class Steps>
  auto attempt(const std::string& what, Steps steps) const {
    return memory::attempt(what + " in " + name_,
                           "a folder that can be written to, on a disk with room", steps);
  }

 private:
  std::string name_;
  survives what_;
  os::descriptor files_;
  os::descriptor notes_;
  os::descriptor lock_;
};

// Where the notes of a job are, in its folder.
inline constexpr const char* notes_folder = ".shard";
// What the lock file says of whoever has it.
struct holder {
  std::string host;
  std::string boot;
  int pid = 0;
  std::string since;
};
holder holder_in(const os::descriptor& lock);

}  // namespace shard::journal
