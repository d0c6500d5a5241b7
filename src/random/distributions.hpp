// Numbers of a distribution, each from one word, by +, -, *, / and bits only. IEEE 754 rounds these
// alike everywhere, as long as the compiler neither fuses nor reorders them: see CMakeLists.txt.
// Nothing here is subnormal on its way, so flush-to-zero changes nothing.
#pragma once

#include <bit>
#include <cstdint>

#include "random/tables.hpp"

namespace shard::random {

inline constexpr double ln2 = 0x1.62e42fefa39efp-1;
inline constexpr std::uint64_t bits_of_one = 0x3ff0'0000'0000'0000;

// A multiple of 2^-53 in [0, 1).
inline double uniform_from(std::uint64_t word) noexcept {
  return static_cast<double>(word >> 11) * 0x1p-53;
}

// An odd multiple of 2^-53 in (0, 1).
inline double inner_uniform_from(std::uint64_t word) noexcept {
  return static_cast<double>((word >> 12) * 2 + 1) * 0x1p-53;
}

// Where in a segment the lower 60 bits say, as an odd multiple of 2^-53 in (0, 1). Exact.
inline double place_from(std::uint64_t bits) noexcept {
  return std::bit_cast<double>(bits << 4 >> 12 | bits_of_one) - (1 - 0x1p-53);
}

// The highest bit is the sign. The others are v: the normal number that exceeds this one has
// probability (2 v + 1) / 2^65.
inline double normal_from(std::uint64_t word) noexcept {
  const std::uint64_t odd = word << 1 | 1;
  const int octave = std::countl_zero(odd);
  const std::uint64_t rest = ~(odd << octave << 1);  // from the octave's upper end downwards
  const auto number = static_cast<std::uint64_t>(octave) * 16 + (rest >> 60);
  const double z = value(normal_rows[number], place_from(rest));
  return __builtin_copysign(z, std::bit_cast<double>(word));
}

// -log((2 word + 1) / 2^65).
inline double exponential_from(std::uint64_t word) noexcept {
  const int octave = std::countl_zero(word);
  // A word of 0 should be shifted by 64. That it isn't makes no difference.
  const std::uint64_t rest = ~((word << 1 | 1) << (octave % 64));
  return octave * ln2 + value(exponential_rows[rest >> 59], place_from(rest << 1));
}

// -log(1 - f / 2). Requires: 0 <= f <= 1. Correct relative to itself, for small f as well.
inline double minus_log_beside(double f) noexcept {
  const double position = f * 32;
  const auto segment = f < 1 ? static_cast<unsigned>(position) : 31U;
  return value(exponential_rows[segment], position - segment);
}

// The natural logarithm. Requires: x is positive, finite and not subnormal.
inline double logarithm(double x) noexcept {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const auto exponent = static_cast<int>(bits >> 52) - 1023;
  const auto mantissa = std::bit_cast<double>(bits << 12 >> 12 | bits_of_one);
  return (exponent + 1) * ln2 - minus_log_beside(2 - mantissa);
}

}  // namespace shard::random
