// What the buffer templates need of the compiled code: arrays in shared memory, by type
// description. Not for users.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "shard/backing.hpp"

namespace shard::detail {

// One mapped array and its descriptor. Buffers, and the arguments of a running map, share it.
class segment;

struct dtype_field;

// A type as numpy describes it: a code ("<f8", "|S3", "|V24"), or the fields of a struct, in the
// order of their bytes, where padding is a field without a name.
struct dtype {
  std::string code;
  std::vector<dtype_field> fields;
  bool any = false;  // of raw<N>, whose code is |V: whatever has as many bytes will do
};
struct dtype_field {
  std::string name;
  dtype type;
  std::vector<std::size_t> shape;  // of an array inside the struct
  std::string title{};             // a second name, which numpy knows; of types from files alone
};

// Bytes of an element that belong to no value: padding. Of a byte beside a bit-field only some bits
// do: the others are `kept`.
struct gap {
  std::size_t offset = 0;
  std::size_t bytes = 0;
  std::byte kept{0};
};
// values: for each byte of an element, its bits that belong to values.
std::vector<gap> gaps_between(std::span<const std::byte> values);

struct element_type {
  dtype description;
  std::size_t size_bytes = 0;
  std::size_t alignment = 1;
  std::span<const gap> gaps = {};  // in static memory
};

struct placed_field {
  dtype_field field;
  std::size_t offset = 0;
  std::size_t size_bytes = 0;
};
// The type of a struct with these fields, in any order; what is between and after them is padding.
// Throws shard::error if two overlap, or if there are too many for a header.
dtype struct_of(std::size_t size_bytes, std::vector<placed_field> fields);

// A segment and where in this process its elements are.
struct array {
  std::shared_ptr<segment> owner;
  std::byte* data = nullptr;
  std::vector<std::size_t> shape;
};

enum class access { read, write };

// Of a file that is made. Nothing: those of the file that it replaces, or else 0600.
using asked_permissions = std::optional<std::filesystem::perms>;

array create_memory(const element_type& type, std::span<const std::size_t> shape,
                    pages made_of = pages::normal);
array create_file(const std::filesystem::path& path, const element_type& type,
                  std::span<const std::size_t> shape, asked_permissions asked = {});
array create_live(const std::filesystem::path& path, const element_type& type,
                  std::span<const std::size_t> shape, asked_permissions asked = {});
array open_or_create_file(const std::filesystem::path& path, on_mismatch then,
                          const element_type& type, std::span<const std::size_t> shape,
                          asked_permissions asked = {});
array create_named(const std::string& name, const element_type& type,
                   std::span<const std::size_t> shape);
array open_named(const std::string& name, const element_type& type, std::size_t rank,
                 access rights);
array open_or_create_named(const std::string& name, on_mismatch then, const element_type& type,
                           std::span<const std::size_t> shape);
array open_file(const std::filesystem::path& path, const element_type& type, std::size_t rank,
                access rights);
array load_file(const std::filesystem::path& path, const element_type& type, std::size_t rank);
array reopen(int descriptor, const element_type& type, std::size_t rank, access rights);
void save_file(const std::filesystem::path& path, const element_type& type,
               std::span<const std::size_t> shape, const std::shared_ptr<segment>& from,
               durability needed, asked_permissions asked = {});
// Gives a created file its final name; other segments have theirs, or none.
void finish(segment& file, durability needed = durability::memory);
void clear_padding(segment& of);

// Of a handle's segment, see buffer.
array read_only(const segment& of, std::span<const std::size_t> shape);
void freeze(const std::shared_ptr<segment>& only);
void send(const segment& of, int socket, access rights);
array receive(int socket, const element_type& type, std::size_t rank, access rights);
void sync(const segment& of);
void unlink(segment& of);
buffer_stats stats(const segment& of, std::span<const std::size_t> shape);

int descriptor_of(const segment& of) noexcept;
bool was_created(const segment& of) noexcept;
const std::string& name_of(const segment& of) noexcept;

}  // namespace shard::detail
