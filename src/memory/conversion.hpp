// From the bytes of a file to elements of this machine: the order of bytes, and of dimensions.
#pragma once

#include <cstddef>
#include <span>

#include "memory/dtype.hpp"

namespace shard::memory {

// Swaps the bytes of these numbers in each of the elements.
void swap_bytes(std::span<std::byte> elements, std::size_t element_bytes,
                std::span<const swap> swaps);

// Puts elements that follow each other in column-major order, from the one with number `first` on,
// where they belong in the row-major array at `to`. Requires: they are elements of this shape.
void place_columns(std::span<const std::byte> elements, std::size_t first,
                   std::span<const std::size_t> shape, std::size_t element_bytes, std::byte* to);

}  // namespace shard::memory
