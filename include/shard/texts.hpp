// Texts of a file whose width is known only when the program runs: numpy's S and U of any width.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "shard/detail/segment.hpp"

namespace shard {

// Reads texts. Moves, which leaves none behind; a copy is one more handle of the same elements.
// Where the width is known, buffer<text<N>> and buffer<u32text<N>> do more.
class texts {
 public:
  std::size_t size() const noexcept { return array_.owner ? size_ : 0; }
  bool empty() const noexcept { return size() == 0; }
  // Of the array; texts are numbered in row-major order.
  const std::vector<std::size_t>& shape() const noexcept { return array_.shape; }

  // Whether they are characters (U) or bytes (S), and how many of them a text has room for.
  bool are_characters() const noexcept { return characters_; }
  std::size_t width() const noexcept { return width_; }

  // Text i, without the NULs at its end: characters as UTF-8, bytes as they are. Throws
  // shard::error(argument_out_of_domain) if there is no text i, and (illegal_byte_sequence) if it
  // has a number that is no character.
  std::string operator[](std::size_t i) const;

  // The same without a copy. Throws shard::error(invalid_argument) if they are characters, or if
  // they are bytes, and as above. Valid as long as a handle is.
  std::string_view bytes(std::size_t i) const;
  std::u32string_view characters(std::size_t i) const;

 private:
  friend texts open_texts(const std::filesystem::path& path);
  texts() = default;

  const std::byte* place(std::size_t i) const;

  detail::array array_{};
  std::size_t size_ = 0;
  std::size_t width_ = 0;
  bool characters_ = false;
};

// Opens a file of texts for reading: mapped in place, or loaded if it must be converted. Throws
// shard::error as open() and load() do, and shard::error(invalid_argument) if its elements are no
// texts.
texts open_texts(const std::filesystem::path& path);

}  // namespace shard
