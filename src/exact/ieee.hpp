// The parts of IEEE 754 numbers, and how a true value is rounded to one: integers only, so that no
// mode of the processor and no flag of a compiler matters.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "exact/kinds.hpp"

namespace shard::exact {

__extension__ using uint128 = unsigned __int128;

// Of a double. Its value is ±mantissa 2^(position - 1074).
struct parts {
  std::uint64_t mantissa;  // below 2^53
  unsigned position;       // from 0 to 2045
  unsigned field;          // the exponent as it is stored; 2047 of infinities and NaNs
  bool negative;
};

// What a stored exponent stands for.
constexpr int exponent_of(unsigned field) noexcept {
  return static_cast<int>(std::max(field, 1U)) - 1023;
}

inline constexpr unsigned special_field = 2047;
inline constexpr std::uint64_t fraction_mask = (std::uint64_t{1} << 52) - 1;

inline parts parts_of(std::uint64_t bits) noexcept {
  const unsigned field = static_cast<unsigned>(bits >> 52) & special_field;
  const unsigned normal = field != 0;
  return {(bits & fraction_mask) | std::uint64_t{normal} << 52, field - normal, field,
          bits >> 63 != 0};
}
inline parts parts_of(double x) noexcept { return parts_of(std::bit_cast<std::uint64_t>(x)); }

template <class F>
struct format;
template <>
struct format<double> {
  using bits = std::uint64_t;
  static constexpr int digits = 53;
  static constexpr int lowest = -1074;  // exponent of the last digit of the smallest numbers
  static constexpr int highest = 971;   // and of the largest
  static constexpr bits infinity = 0x7ff0000000000000;
  static constexpr bits nan = 0x7ff8000000000000;
  static constexpr bits sign = 0x8000000000000000;
};
template <>
struct format<float> {
  using bits = std::uint32_t;
  static constexpr int digits = 24;
  static constexpr int lowest = -149;
  static constexpr int highest = 104;
  static constexpr bits infinity = 0x7f800000;
  static constexpr bits nan = 0x7fc00000;
  static constexpr bits sign = 0x80000000;
};

// A value: (top + rest) 2^exponent, where 0 <= rest < 1. A rest is there only beside a top of 64
// bits and more.
struct scaled {
  uint128 top;
  std::int64_t exponent;
  bool has_rest;  // rest > 0
};

inline int leading_zeros(uint128 x) noexcept {
  const auto high = static_cast<std::uint64_t>(x >> 64);
  return high != 0 ? std::countl_zero(high) : 64 + std::countl_zero(static_cast<std::uint64_t>(x));
}

// To nearest, halfway cases to even.
template <class F>
F rounded(bool negative, const scaled& value) noexcept {
  using f = format<F>;
  using bits = typename f::bits;
  const bits sign = negative ? f::sign : 0;
  if (value.top == 0) return std::bit_cast<F>(sign);

  const int leading = leading_zeros(value.top);
  const uint128 top = value.top << leading;
  const std::int64_t exponent = value.exponent - leading;
  // The exponent of the result's last digit, and how many digits of top are below it.
  const std::int64_t last = std::max<std::int64_t>(exponent + 128 - f::digits, f::lowest);
  const std::int64_t below = last - exponent;
  if (last > f::highest) return std::bit_cast<F>(static_cast<bits>(sign | f::infinity));
  if (below > 128) return std::bit_cast<F>(sign);

  const uint128 kept = below == 128 ? 0 : top >> below;
  const uint128 half = uint128{1} << (below - 1);
  const uint128 lost = top & (half | (half - 1));
  const bool up = lost > half || (lost == half && (value.has_rest || (kept & 1) != 0));
  // The leading digit of a normal number isn't stored: it counts the exponent up by one. So does a
  // carry, up to infinity.
  const bits exponent_bits =
      static_cast<bits>(static_cast<bits>(last - f::lowest) << (f::digits - 1));
  const bits magnitude = static_cast<bits>(exponent_bits + static_cast<bits>(kept) + (up ? 1 : 0));
  return std::bit_cast<F>(static_cast<bits>(sign | magnitude));
}

template <class F>
F canonical_nan() noexcept {
  return std::bit_cast<F>(format<F>::nan);
}
template <class F>
F infinity(bool negative) noexcept {
  return std::bit_cast<F>(static_cast<typename format<F>::bits>(format<F>::infinity |
                                                                (negative ? format<F>::sign : 0)));
}

// The result where something not finite was added.
template <class F>
F special(std::uint8_t kinds) noexcept {
  constexpr std::uint8_t both = kind::plus_infinity | kind::minus_infinity;
  if ((kinds & kind::nan) != 0 || (kinds & both) == both) return canonical_nan<F>();
  return infinity<F>((kinds & kind::minus_infinity) != 0);
}

// A sum that is zero: -0.0 where that and nothing else was added.
template <class F>
F zero_sum(std::uint8_t kinds) noexcept {
  const bool negative = (kinds & (kind::minus_zero | kind::finite)) == kind::minus_zero;
  return std::bit_cast<F>(static_cast<typename format<F>::bits>(negative ? format<F>::sign : 0));
}

}  // namespace shard::exact
