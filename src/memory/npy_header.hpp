// The header of a .npy file: writing ours, and reading anybody's without trusting it.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace shard::memory {

// Where the data of every array that shard makes begins. A constant, not the machine's page size,
// so that files are the same everywhere.
inline constexpr std::size_t header_bytes = 4096;

// Magic, version, and a length of two bytes (version 1) or four (2 and 3).
inline constexpr std::size_t longest_prologue_bytes = 12;

struct npy_header {
  std::string descr;
  bool fortran_order = false;
  std::vector<std::size_t> shape;
};

// Where the dictionary is in a file, as its first bytes say.
struct prologue {
  std::size_t dictionary_offset = 0;
  std::size_t dictionary_bytes = 0;

  std::size_t data_offset() const noexcept { return dictionary_offset + dictionary_bytes; }
};

// What was found instead of a header, and what was expected.
class malformed : public std::runtime_error {
 public:
  malformed(const std::string& found, std::string expected)
      : std::runtime_error(found), expected_(std::move(expected)) {}

  const std::string& expected() const noexcept { return expected_; }

 private:
  std::string expected_;
};

// Version 1.0, padded with spaces.
std::array<std::byte, header_bytes> written(std::string_view descr,
                                            std::span<const std::size_t> shape);

// Throws malformed. `first_bytes` may be fewer than a prologue has, as in a short file.
prologue read_prologue(std::span<const std::byte> first_bytes);

// The dictionary between the prologue and the data: exactly the three keys, in any order. Throws
// malformed.
npy_header parse(std::string_view dictionary);

// "(3, 4)", as Python writes a tuple.
std::string tuple(std::span<const std::size_t> shape);

}  // namespace shard::memory
