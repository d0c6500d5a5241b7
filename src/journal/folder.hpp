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

// Notes as whoever may read the folder sees them: small files.
class notes {
 public:
  // Throws shard::error if there is no job.
  explicit notes(const std::filesystem::path& folder);

  const std::string& name() const noexcept { return name_; }
  const os::descriptor& directory() const noexcept { return notes_; }

  // Nothing: there is none. All throw shard::error.
  std::optional<std::string> read(const std::string& note) const;
  // Of a text that tells whether it is whole. Nothing: there is none, or only what a power cut has
  // left of it.
  std::optional<std::string> read_text(const std::string& note) const;
  std::vector<std::string> all_notes() const;

  // Runs `steps`, which read in this folder. A call that fails in them is a shard::error.
  template <class Steps>
  auto attempt(const std::string& what, Steps steps) const {
    return memory::attempt(what + " in " + name_, "the folder of a job, and the right to read it",
                           steps);
  }

 protected:
  struct not_opened {};
  notes(not_opened, const std::filesystem::path& folder);
  void open_notes();

 private:
  std::string name_;
  os::descriptor notes_;
};

class folder : public notes {
 public:
  // Makes it, if it is not there, and locks it. If the process that had it has died, waits until
  // its family has gone. Throws shard::error if somebody has it, or if it is on another host's
  // disk and that is not allowed.
  folder(const std::filesystem::path& path, survives what, bool on_network_too);

  // Throws shard::error if this process may not make a file of so many bytes. (The system would end
  // it.)
  void require_size(const std::string& file, std::size_t bytes) const;

  std::string path_of(std::string_view file) const { return name() + "/" + std::string(file); }
  bool is_durable() const noexcept { return what_ == survives::power_cuts; }

  // The same for steps that also write.
  template <class Steps>
  auto attempt(const std::string& what, Steps steps) const {
    return memory::attempt(what + " in " + name(),
                           "a folder that can be written to, on a disk with room", steps);
  }

  // Every description of the lock file that this one was duplicated to holds the lock.
  int lock_descriptor() const noexcept { return lock_.get(); }

  const os::descriptor& files() const noexcept { return files_; }
  // They tell this folder from a copy of it. An inode is given again, once the folder is removed.
  std::uint64_t inode() const { return os::status(directory().get()).identity.inode; }
  std::int64_t birth() const noexcept { return os::birth_of(directory().get()); }

  // ---- Notes. All throw shard::error.

  // As a whole: a reader, or the next start, finds the old one or the new one. A text gets a last
  // line that tells whether it is whole. always: it survives power cuts, whatever the others do.
  void replace_text(const std::string& note, const std::string& text, bool always = false) const;

  // Bytes that tell themselves whether they are whole.
  void replace(const std::string& note, std::string_view content, bool always = false) const;
  // If it is there.
  void remove(const std::string& note) const;

  // A file for people, as a whole.
  void write(const std::string& file, std::string_view content) const;
  // To the end of one, which is made if there is none.
  void append(const std::string& file, std::string_view content) const;

  // ---- Names of files, in the order in which they are on the disk.

  void rename(const std::string& from, const std::string& to) const;
  // Waits until names are on the disk, if they are to be.
  void flush_files() const;
  void flush_notes() const;

 private:
  survives what_;
  os::descriptor files_;
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
