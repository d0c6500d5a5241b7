// What an open .npy file says of itself, checked against its own size.
#pragma once

#include <cstddef>

#include "memory/npy_header.hpp"
#include "os/descriptor.hpp"

namespace shard::memory {

struct npy_file {
  npy_header header;
  std::size_t file_bytes = 0;
  std::size_t data_offset = 0;

  // What is behind the header.
  std::size_t available_bytes() const noexcept { return file_bytes - data_offset; }

  // Whether its elements come in another order than a row-major array's. With one dimension at
  // most, or no elements, the two orders are the same.
  bool column_major() const;
};

// Throws malformed and os::call_failed. Whether the data are all there is for data_bytes to say,
// once the size of an element is known.
npy_file read_npy_file(const os::descriptor& file);

}  // namespace shard::memory
