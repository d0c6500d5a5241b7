// The header of an open .npy file, checked against the size of the file.
#pragma once

#include <cstddef>

#include "memory/npy_header.hpp"
#include "os/descriptor.hpp"

namespace shard::memory {

struct npy_file {
  npy_header header;
  std::size_t file_bytes = 0;
  std::size_t data_offset = 0;

  // The bytes behind the header.
  std::size_t available_bytes() const noexcept { return file_bytes - data_offset; }

  // Whether the elements are in another order than in a row-major array. An array with at most one
  // dimension, or without elements, has the same order either way.
  bool column_major() const;
};

// Throws malformed and os::call_failed. Does not check whether all data are there: data_bytes()
// does, once the caller knows the size of an element.
npy_file read_npy_file(const os::descriptor& file);

}  // namespace shard::memory
