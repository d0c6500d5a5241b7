// How much room a new array takes, and whether there is that much.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "memory/control.hpp"
#include "memory/npy_header.hpp"
#include "shard/backing.hpp"
#include "shard/detail/segment.hpp"

namespace shard::memory {

// How much data there is, what is mapped for it, and what the whole file takes.
struct sizes {
  std::size_t data_bytes = 0;
  bool has_control = false;  // room for the words that processes share, from the start
  std::size_t mapped_bytes() const noexcept { return header_bytes + data_bytes; }
  std::size_t file_bytes() const noexcept {
    return has_control ? control_end(mapped_bytes(), data_bytes) : mapped_bytes();
  }
};
// Throws shard::error if no file can be that long.
sizes sizes_of(const std::string& what, backing kind, const detail::element_type& type,
               std::span<const std::size_t> shape);

// "<what> of 800 bytes", for messages.
std::string sized(const std::string& what, sizes size);

// Throw shard::error if this process may not make such a file, or if there isn't the memory.
void require_file_size(const std::string& what, sizes size);
void require_memory(const std::string& what, sizes size);

}  // namespace shard::memory
