#include "memory/conversion.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

namespace shard::memory {
namespace {

std::uint16_t reversed(std::uint16_t number) { return __builtin_bswap16(number); }
std::uint32_t reversed(std::uint32_t number) { return __builtin_bswap32(number); }
std::uint64_t reversed(std::uint64_t number) { return __builtin_bswap64(number); }

struct wide_number {
  std::uint64_t low;
  std::uint64_t high;
};
wide_number reversed(wide_number number) { return {reversed(number.high), reversed(number.low)}; }

template <class Number>
void swap_numbers(std::span<std::byte> elements, std::size_t element_bytes, const swap& numbers) {
  for (std::size_t at = numbers.offset; at < elements.size(); at += element_bytes) {
    for (std::size_t i = 0; i < numbers.count; ++i) {
      std::byte* const where = &elements[at + i * sizeof(Number)];
      Number number;
      std::memcpy(&number, where, sizeof number);
      number = reversed(number);
      std::memcpy(where, &number, sizeof number);
    }
  }
}

// Elements that are some bytes apart, to places that are some other bytes apart.
struct steps {
  std::size_t from;
  std::size_t to;
};

// Bytes is a constant for the common sizes, so that a copy is one move.
template <class Bytes>
void copy_each(const std::byte* from, std::byte* to, std::size_t count, Bytes bytes, steps apart) {
  for (std::size_t i = 0; i < count; ++i)
    std::memcpy(to + i * apart.to, from + i * apart.from, bytes);
}

template <std::size_t N>
using constant = std::integral_constant<std::size_t, N>;

void copy_run(const std::byte* from, std::byte* to, std::size_t count, std::size_t bytes,
              steps apart) {
  switch (bytes) {
    case 1: return copy_each(from, to, count, constant<1>(), apart);
    case 2: return copy_each(from, to, count, constant<2>(), apart);
    case 4: return copy_each(from, to, count, constant<4>(), apart);
    case 8: return copy_each(from, to, count, constant<8>(), apart);
    default: return copy_each(from, to, count, bytes, apart);
  }
}

// How far apart neighbours are in each dimension of a row-major array, in bytes.
std::vector<std::size_t> strides_of(std::span<const std::size_t> shape, std::size_t element_bytes) {
  std::vector<std::size_t> strides(shape.size());
  std::size_t step = element_bytes;
  for (std::size_t d = shape.size(); d-- > 0;) {
    strides[d] = step;
    step *= shape[d];
  }
  return strides;
}

// Where element `at` of column-major order is: there the first index moves fastest.
std::size_t offset_of(std::size_t at, std::span<const std::size_t> shape,
                      std::span<const std::size_t> strides) {
  std::size_t offset = 0;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    offset += at % shape[d] * strides[d];
    at /= shape[d];
  }
  return offset;
}

// How many whole columns, side by side in the second dimension, begin here and are among the next
// `left` elements.
std::size_t whole_columns(std::size_t first, std::size_t left, std::span<const std::size_t> shape) {
  if (shape.size() == 1 || first % shape[0] != 0) return 0;
  return std::min(left / shape[0], shape[1] - first / shape[0] % shape[1]);
}

}  // namespace

void swap_bytes(std::span<std::byte> elements, std::size_t element_bytes,
                std::span<const swap> swaps) {
  for (const swap& numbers : swaps) {
    switch (numbers.width) {
      case 2: swap_numbers<std::uint16_t>(elements, element_bytes, numbers); break;
      case 4: swap_numbers<std::uint32_t>(elements, element_bytes, numbers); break;
      case 8: swap_numbers<std::uint64_t>(elements, element_bytes, numbers); break;
      case 16: swap_numbers<wide_number>(elements, element_bytes, numbers); break;
    }
  }
}

void place_columns(std::span<const std::byte> elements, std::size_t first,
                   std::span<const std::size_t> shape, std::size_t element_bytes, std::byte* to) {
  const std::vector<std::size_t> strides = strides_of(shape, element_bytes);
  const std::size_t rows = shape[0];
  while (!elements.empty()) {
    const std::byte* const from = elements.data();
    std::byte* const start = to + offset_of(first, shape, strides);
    const std::size_t left = elements.size() / element_bytes;
    const std::size_t columns = whole_columns(first, left, shape);
    std::size_t run = std::min(rows - first % rows, left);
    if (columns > 1) {
      // Side by side, they are placed row by row, so that neighbours are written together.
      run = columns * rows;
      for (std::size_t row = 0; row < rows; ++row) {
        copy_run(from + row * element_bytes, start + row * strides[0], columns, element_bytes,
                 {rows * element_bytes, strides[1]});
      }
    } else {
      copy_run(from, start, run, element_bytes, {element_bytes, strides[0]});
    }
    elements = elements.subspan(run * element_bytes);
    first += run;
  }
}

}  // namespace shard::memory
