// An array of any type, in a file or in a named buffer, and its elements one after the other.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "memory/attempt.hpp"
#include "memory/layout.hpp"
#include "memory/npy_file.hpp"
#include "os/descriptor.hpp"
#include "shard/backing.hpp"
#include "shard/range.hpp"

namespace shard::command {

struct array_file {
  std::string argument;  // as the user gave it
  std::string path{};
  backing kind = backing::file;
  unsigned mode = 0;
  os::descriptor file{};
  memory::npy_file npy{};
  memory::layout type{};
  std::size_t data_bytes = 0;

  const std::vector<std::size_t>& shape() const noexcept { return npy.header.shape; }
  // The extent of the first dimension. An array without dimensions has one row.
  std::size_t rows() const noexcept { return shape().empty() ? 1 : shape()[0]; }
  std::size_t row_elements() const noexcept;
};

const char* word(backing kind) noexcept;  // "file", as JSON has it

// Runs `steps`. If a call in them fails, throws shard::error "cannot <what>: found …, expected …".
template <class Steps>
auto attempt(const std::string& what, Steps steps) {
  return memory::attempt(what, "a readable .npy file, or the name of a buffer", steps);
}

// Opens the file with that path. If there is no such file, opens the named buffer of that name.
// Throws shard::error, whose message begins "cannot <verb> <argument>".
array_file open_array(const std::string& argument, const std::string& verb);

// The elements that a writer left half written when it died. Throws shard::error.
std::vector<range> torn_elements(const array_file& of);

// The elements of some rows, in row-major order whatever the order of the file, and in the byte
// order of the file. The stream reads block by block: its memory does not grow with the array.
class element_stream {
 public:
  // Throws shard::error if shard does not have the type, or if elements are too large to print.
  // Requires: `of` has these rows, and outlives the stream.
  element_stream(const array_file& of, range rows);

  // The next element, valid until the next call. Throws shard::error. Requires: there is a next
  // element.
  const std::byte* next();

 private:
  void fill();
  void read(std::span<std::byte> to, std::size_t element) const;
  void read_rows(std::size_t rows);
  void read_scattered(std::size_t count);

  const array_file& of_;
  std::size_t element_bytes_;
  std::size_t at_ = 0;   // of the next element that is read, in row-major order
  std::size_t end_ = 0;  // of the last one
  std::vector<std::byte> block_{};
  std::vector<std::byte> columns_{};
  std::size_t used_ = 0;
};

}  // namespace shard::command
