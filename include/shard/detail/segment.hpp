// What the buffer templates need of the compiled code: arrays in shared memory, by type
// description. Not for users.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace shard::detail {

// One mapped array and its descriptor. Buffers, and the arguments of a running map, share it.
class segment;

// How numpy describes an element ("<f8", "|S3", "|V24"), with its size and alignment in bytes.
struct element_type {
  std::string descr;
  std::size_t size_bytes = 0;
  std::size_t alignment = 1;
};

// A segment and where in this process its elements are.
struct array {
  std::shared_ptr<segment> owner;
  std::byte* data = nullptr;
  std::vector<std::size_t> shape;
};

enum class access { read, write };

array create_memory(const element_type& type, std::span<const std::size_t> shape);
array create_file(const std::filesystem::path& path, const element_type& type,
                  std::span<const std::size_t> shape);
array open_file(const std::filesystem::path& path, const element_type& type, std::size_t rank,
                access rights);
array reopen(int descriptor, const element_type& type, std::size_t rank, access rights);
void save_file(const std::filesystem::path& path, const element_type& type,
               std::span<const std::size_t> shape, const std::byte* data);
void finish(segment& file);  // gives a created file its final name; nothing for other segments
int descriptor_of(const segment& of) noexcept;

}  // namespace shard::detail
