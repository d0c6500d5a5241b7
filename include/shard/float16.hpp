// Floating point in 16 bits, to store: the element type that numpy calls float16.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>

namespace shard {

class float16;

namespace detail {
float float_of(float16 from) noexcept;
float16 float16_of(float from) noexcept;
float16 float16_of(double from) noexcept;
}  // namespace detail

// A number of IEEE 754's binary16: 11 bits of precision, up to 65504. It takes half the memory of a
// float, and converts to float wherever a number is wanted: so arithmetic is that of float. A
// float, a double or an integer becomes a float16 only where the program says so, and is rounded
// once, to nearest, ties to even; what is too large becomes infinite. A NaN keeps as much as there
// is room for.
//
//   shard::map(small, shard::in(x), [](std::size_t i, shard::view<float> x) {
//     return shard::float16(2 * x[i]);
//   });
//
// The conversions are calls, of some nanoseconds. For many numbers at a time, convert() is faster.
class float16 {
 public:
  constexpr float16() noexcept = default;
  explicit float16(float from) noexcept : float16(detail::float16_of(from)) {}
  explicit float16(double from) noexcept : float16(detail::float16_of(from)) {}
  // An integer that a double does not hold exactly is far too large anyway.
  template <std::integral I>
  explicit float16(I from) noexcept : float16(static_cast<double>(from)) {}

  operator float() const noexcept { return detail::float_of(*this); }

  // The number with these bits.
  static constexpr float16 from_bits(std::uint16_t bits) noexcept {
    float16 made;
    made.bits_ = bits;
    return made;
  }
  constexpr std::uint16_t bits() const noexcept { return bits_; }

 private:
  std::uint16_t bits_ = 0;
};

// Converts each number. Throws shard::error(invalid_argument) if the spans differ in length.
void convert(std::span<const float16> from, std::span<float> to);
void convert(std::span<const float> from, std::span<float16> to);

}  // namespace shard
