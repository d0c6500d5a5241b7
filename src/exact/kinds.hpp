// What a sum must remember besides its finite numbers.
#pragma once

#include <cstdint>

namespace shard::exact {

// Bits of packed_numbers::kinds. Each says that such a number was added. So they depend on what was
// added, and never on the order.
namespace kind {
inline constexpr std::uint8_t minus_zero = 1;
inline constexpr std::uint8_t finite = 2;  // finite, and not -0.0
inline constexpr std::uint8_t plus_infinity = 4;
inline constexpr std::uint8_t minus_infinity = 8;
inline constexpr std::uint8_t nan = 16;
inline constexpr std::uint8_t not_finite = plus_infinity | minus_infinity | nan;

constexpr std::uint8_t infinity(bool negative) noexcept {
  return negative ? minus_infinity : plus_infinity;
}
constexpr std::uint8_t zero(bool negative) noexcept { return negative ? minus_zero : finite; }
// Those of two parts together. Whether there was a -0.0 doesn't matter once there was anything
// else, and then it isn't kept.
constexpr std::uint8_t both(std::uint8_t a, std::uint8_t b) noexcept {
  const auto all = static_cast<std::uint8_t>(a | b);
  return (all & ~minus_zero) != 0 ? static_cast<std::uint8_t>(all & ~minus_zero) : all;
}
}  // namespace kind

}  // namespace shard::exact
