// Orders of bytes and dimensions, against the definition of each.

#include "memory/conversion.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstddef>
#include <vector>

namespace {

using shard::memory::place_columns;
using shard::memory::swap;
using shard::memory::swap_bytes;
using bytes = std::vector<std::byte>;
using extents = std::vector<std::size_t>;

// Bytes that tell where they are.
bytes numbered(std::size_t count) {
  bytes made(count);
  for (std::size_t i = 0; i < count; ++i) made[i] = static_cast<std::byte>(i * 2654435761u >> 16);
  return made;
}

// Element `at` of column-major order, counted in row-major order.
std::size_t row_major_place(const extents& shape, std::size_t at) {
  std::size_t place = 0;
  std::size_t stride = 1;
  for (std::size_t extent : shape) stride *= extent;
  for (std::size_t extent : shape) {
    stride /= extent;
    place += at % extent * stride;
    at /= extent;
  }
  return place;
}

RC_GTEST_PROP(PlaceColumns, PutsEachElementWhereItBelongs, ()) {
  const auto rank = *rc::gen::inRange<std::size_t>(1, 5);
  const extents shape = *rc::gen::container<extents>(rank, rc::gen::inRange<std::size_t>(1, 6));
  const auto width = *rc::gen::element<std::size_t>(1, 2, 3, 4, 8, 16, 24);
  std::size_t count = 1;
  for (std::size_t extent : shape) count *= extent;
  const bytes columns = numbered(count * width);

  bytes expected(columns.size());
  for (std::size_t i = 0; i < count; ++i) {
    std::copy_n(&columns[i * width], width, &expected[row_major_place(shape, i) * width]);
  }
  bytes found(columns.size());
  const auto block = *rc::gen::inRange<std::size_t>(1, count + 1);
  for (std::size_t first = 0; first < count; first += block) {
    const std::size_t some = std::min(block, count - first);
    place_columns(std::span(columns).subspan(first * width, some * width), first, shape, width,
                  found.data());
  }
  RC_ASSERT(found == expected);
}

RC_GTEST_PROP(SwapBytes, ReversesEachNumberAndNothingElse, ()) {
  const auto width = *rc::gen::element<std::size_t>(2, 4, 8);
  const auto run = *rc::gen::inRange<std::size_t>(1, 4);
  const auto before = *rc::gen::inRange<std::size_t>(0, 5);
  const std::size_t element = before + run * width + *rc::gen::inRange<std::size_t>(0, 5);
  const auto count = *rc::gen::inRange<std::size_t>(0, 6);
  bytes found = numbered(count * element);

  bytes expected = found;
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t j = 0; j < run; ++j) {
      const auto number =
          expected.begin() + static_cast<std::ptrdiff_t>(i * element + before + j * width);
      std::reverse(number, number + static_cast<std::ptrdiff_t>(width));
    }
  }
  const swap numbers{before, width, run};
  swap_bytes(found, element, {&numbers, 1});
  RC_ASSERT(found == expected);
}

}  // namespace
