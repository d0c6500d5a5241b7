// Types as headers describe them: as text, and how two types differ.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shard/detail/segment.hpp"

namespace shard::memory {

// "(3, 4)", as Python writes a tuple.
std::string tuple(std::span<const std::size_t> shape);

// "'<f8'", or "[('time', '<i8'), ('', '|V4')]", as numpy writes types.
std::string text(const detail::dtype& type);

// At most about a line of text from a file, for messages. Bytes that a terminal would act on are
// replaced by '?'.
std::string shown(std::string_view found);

// Numbers inside an element, one after the other, whose bytes must be swapped.
struct swap {
  std::size_t offset = 0;
  std::size_t width = 0;
  std::size_t count = 0;
};

// The swaps that turn elements of the type found into elements of the type wanted. Empty if the two
// types are the same. Throws malformed if the types differ in more than the byte order. Where
// `wanted` takes any bytes (raw<N>), these stay as they are. Requires: `found` comes from parse(),
// and `wanted` is a type that shard has.
std::vector<swap> differences(const detail::dtype& found, const detail::dtype& wanted);

// Whether the type takes any bytes, or one of its fields does.
bool takes_any(const detail::dtype& type);

// The type of the elements behind these swaps: `wanted`, and where that takes any bytes, what the
// file says of them. Requires: differences() does not throw.
detail::dtype converted(const detail::dtype& found, const detail::dtype& wanted);

}  // namespace shard::memory
