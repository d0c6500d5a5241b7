// The header of a .npy file: writes shard's own, and reads anybody's without trusting it.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shard/detail/segment.hpp"

namespace shard::memory {

// Where the data begin in every array that shard makes. A constant, and not the page size of the
// machine, so that files are the same everywhere.
inline constexpr std::size_t header_bytes = 4096;

// Magic, version, and a length of two bytes (version 1) or four (2 and 3).
inline constexpr std::size_t longest_prologue_bytes = 12;

struct npy_header {
  detail::dtype descr;
  bool fortran_order = false;
  std::vector<std::size_t> shape;
};

// The encoding of a dictionary: latin-1 in versions 1 and 2 of the format, UTF-8 in version 3.
enum class encoding { latin1, utf8 };

// Where the dictionary is in a file, as the first bytes of the file say.
struct prologue {
  std::size_t dictionary_offset = 0;
  std::size_t dictionary_bytes = 0;
  encoding characters = encoding::utf8;

  std::size_t data_offset() const noexcept { return dictionary_offset + dictionary_bytes; }
};

// "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }"
std::string dictionary(const npy_header& header);

// Version 1.0, padded with spaces; version 3.0, which is UTF-8, if names of fields are not ASCII.
// Throws malformed if the type has no room in it: types of ours always do.
std::array<std::byte, header_bytes> written(const detail::dtype& descr,
                                            std::span<const std::size_t> shape);

// Throws malformed. `first_bytes` may be fewer than a prologue has, as in a short file.
prologue read_prologue(std::span<const std::byte> first_bytes);

// Reads the dictionary between the prologue and the data. It must have exactly the three keys, in
// any order. The result has type codes as numpy writes them, and names of fields in UTF-8. Throws
// malformed.
npy_header parse(std::string_view dictionary, encoding characters = encoding::utf8);

// How many bytes an array of this shape has. Throws malformed if that is more than `available`.
std::size_t data_bytes(std::span<const std::size_t> shape, std::size_t element_bytes,
                       std::size_t available);

}  // namespace shard::memory
