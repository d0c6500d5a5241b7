// What the machine offers and what it limits: for people, who ask before a job and not during it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

#include "os/descriptor.hpp"

namespace shard::os {

struct kernel_version {
  unsigned major = 0;
  unsigned minor = 0;
  std::string release;  // "6.1.0-18-amd64"
};
kernel_version kernel();

// Whether this process can watch processes by descriptors, can open its own descriptors again, and
// can make files in memory.
bool has_process_descriptors() noexcept;
bool has_proc() noexcept;
bool has_memory_files() noexcept;
// Whether the kernel hands a robust mutex on when its owner dies, as shown by a child that dies.
// Throws call_failed if that can't be tried.
bool has_robust_mutexes();

struct memory_status {
  std::size_t total_bytes = 0;
  std::size_t available_bytes = 0;
  std::size_t swap_bytes = 0;
  std::size_t free_swap_bytes = 0;
  std::size_t huge_page_bytes = 0;
  std::size_t free_huge_pages = 0;
  std::string huge_shared_memory;  // "never", "advise", …: when it gets huge pages; "": unknown
};
memory_status machine_memory();

// What the control groups of this process allow it, together with all that are in them.
struct group_limit {
  std::size_t most = 0;
  std::size_t used = 0;
  std::string group;  // the one that leaves the least
};
// Of memory, in bytes, and of processes; nothing: there is no limit to be seen. `root` is where
// /proc and /sys are found.
std::optional<group_limit> memory_limit(const std::filesystem::path& root = "/");
std::optional<group_limit> process_limit(const std::filesystem::path& root = "/");

struct file_system {
  std::string kind;  // "ext4", "tmpfs", …; "0x…": one without a name here
  bool network = false;
  bool read_only = false;
  std::size_t size_bytes = 0;
  std::size_t free_bytes = 0;  // for users other than root
};
// Throws call_failed.
file_system file_system_of(const std::string& path);

// Whether blocks of a file can be reserved without writing to them. Extends the file.
bool reserves(const descriptor& file) noexcept;

enum class resource { descriptors, processes, address_space, file_size, core };
// What this process may use at most; nothing: there is no limit.
std::optional<std::size_t> limit_of(resource what) noexcept;

}  // namespace shard::os
