// The control groups that this process is in, of either version, and the small files in which the
// kernel describes itself.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace shard::os {

// A group as it is mounted here.
struct control_group {
  std::filesystem::path files;
  std::string name;  // "/batch/job", as far as it can be seen from here
  bool second_version = false;
};

// The groups that may limit this process in what a controller ("cpu", "memory") shares out, in each
// hierarchy from its own upwards. `root` is where /proc and /sys are found.
std::vector<control_group> control_groups(const std::string& controller,
                                          const std::filesystem::path& root = "/");

// Empty where it can't be read: a limit that can't be seen is left to the kernel.
std::string contents(const std::filesystem::path& path);

// The number at the start of a text, if there is one.
std::optional<std::size_t> number(std::string_view text);

// The number behind a key at the start of a line ("MemFree: 12 kB"); 0 where there is none.
std::size_t field(std::string_view table, std::string_view key);

}  // namespace shard::os
