// Types as headers describe them: writing them down, and telling how two differ.
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

// "'<f8'", or "[('time', '<i8'), ('', '|V4')]", as numpy writes it.
std::string text(const detail::dtype& type);

// At most about a line of what a file says, without what a terminal would act on: for messages.
std::string shown(std::string_view found);

// Numbers inside an element, one after the other, whose bytes are in the other order.
struct swap {
  std::size_t offset = 0;
  std::size_t width = 0;
  std::size_t count = 0;
};

// What turns elements of the type found into those wanted: nothing, if the types are the same.
// Throws malformed if they differ in more than the order of bytes. Requires: `found` is as parse()
// gives types, and `wanted` is a type of ours.
std::vector<swap> differences(const detail::dtype& found, const detail::dtype& wanted);

}  // namespace shard::memory
