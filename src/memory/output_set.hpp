// Files that get their names together, when all of them are written.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "memory/file_access.hpp"
#include "memory/output_file.hpp"
#include "shard/backing.hpp"
#include "shard/detail/segment.hpp"

namespace shard::memory {

// Until finish(), nothing is left of them, whatever happens. Throws shard::error.
class output_set {
 public:
  // All of them are to have these permissions.
  explicit output_set(asked_permissions asked = {}) : asked_(asked) {}

  void add(const std::filesystem::path& path, std::string_view text);
  // A .npy file. Requires: as many bytes as the type and the shape ask for.
  void add(const std::filesystem::path& path, const detail::element_type& type,
           std::span<const std::size_t> shape, std::span<const std::byte> elements);

  // In the order in which they were added. If one can't have its name, those before it have theirs.
  void finish(durability needed);

 private:
  struct written_file {
    std::string name;
    output_file file;
  };
  output_file& begin(const std::filesystem::path& path, std::size_t bytes);

  asked_permissions asked_;
  std::vector<written_file> files_;
};

}  // namespace shard::memory
