#include "memory/conversion.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace shard::memory {
namespace {

std::uint16_t reversed(std::uint16_t number) { return __builtin_bswap16(number); }
std::uint32_t reversed(std::uint32_t number) { return __builtin_bswap32(number); }
std::uint64_t reversed(std::uint64_t number) { return __builtin_bswap64(number); }

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

// Bytes is a constant for the common sizes, so that a copy is one move.
template <class Bytes>
void copy_apart(const std::byte* from, std::size_t count, Bytes bytes, std::byte* to,
                std::size_t stride) {
  for (std::size_t i = 0; i < count; ++i) std::memcpy(to + i * stride, from + i * bytes, bytes);
}

template <std::size_t N>
using constant = std::integral_constant<std::size_t, N>;

void copy_run(const std::byte* from, std::size_t count, std::size_t bytes, std::byte* to,
              std::size_t stride) {
  switch (bytes) {
    case 1: return copy_apart(from, count, constant<1>(), to, stride);
    case 2: return copy_apart(from, count, constant<2>(), to, stride);
    case 4: return copy_apart(from, count, constant<4>(), to, stride);
    case 8: return copy_apart(from, count, constant<8>(), to, stride);
    default: return copy_apart(from, count, bytes, to, stride);
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

}  // namespace

void swap_bytes(std::span<std::byte> elements, std::size_t element_bytes,
                std::span<const swap> swaps) {
  for (const swap& numbers : swaps) {
    switch (numbers.width) {
      case 2: swap_numbers<std::uint16_t>(elements, element_bytes, numbers); break;
      case 4: swap_numbers<std::uint32_t>(elements, element_bytes, numbers); break;
      case 8: swap_numbers<std::uint64_t>(elements, element_bytes, numbers); break;
    }
  }
}

void place_columns(std::span<const std::byte> elements, std::size_t first,
                   std::span<const std::size_t> shape, std::size_t element_bytes, std::byte* to) {
  const std::vector<std::size_t> strides = strides_of(shape, element_bytes);
  while (!elements.empty()) {
    // In column-major order the first index moves fastest: one run of it at a time.
    const std::size_t row = first % shape[0];
    std::byte* start = to + row * strides[0];
    std::size_t rest = first / shape[0];
    for (std::size_t d = 1; d < shape.size(); ++d) {
      start += rest % shape[d] * strides[d];
      rest /= shape[d];
    }
    const std::size_t run = std::min(shape[0] - row, elements.size() / element_bytes);
    copy_run(elements.data(), run, element_bytes, start, strides[0]);
    elements = elements.subspan(run * element_bytes);
    first += run;
  }
}

}  // namespace shard::memory
