// The conversions of float16 are Eigen's. No header of shard's includes Eigen's: programs need
// none.

#include "shard/float16.hpp"

#include <Eigen/Core>
#include <bit>
#include <cmath>
#include <string>
#include <system_error>

#include "shard/detail/index.hpp"
#include "shard/error.hpp"

namespace shard {

namespace detail {
namespace {

// Toward zero, and odd if that is not exact. A float has more than two bits more than a float16, so
// rounding this once more gives what rounding the double at once would give.
float rounded_to_odd(double from) noexcept {
  const auto nearest = static_cast<float>(from);
  if (static_cast<double>(nearest) == from) return nearest;
  const bool beyond = std::fabs(static_cast<double>(nearest)) > std::fabs(from);
  return std::bit_cast<float>((std::bit_cast<std::uint32_t>(nearest) - (beyond ? 1 : 0)) | 1);
}

// A NaN with the sign and the first ten bits of another one's fraction, as numpy makes it.
float16 nan_of(bool negative, std::uint64_t first_bits) noexcept {
  const auto fraction = static_cast<unsigned>(first_bits & 0x3ff);
  return float16::from_bits(
      static_cast<std::uint16_t>((negative ? 0xfc00u : 0x7c00u) | (fraction == 0 ? 1u : fraction)));
}

}  // namespace

float float_of(float16 from) noexcept {
  return static_cast<float>(Eigen::numext::bit_cast<Eigen::half>(from.bits()));
}

float16 float16_of(float from) noexcept {
  if (std::isnan(from)) [[unlikely]] {  // of Eigen's all are the same
    return nan_of(std::signbit(from), std::bit_cast<std::uint32_t>(from) >> 13);
  }
  return float16::from_bits(Eigen::numext::bit_cast<std::uint16_t>(Eigen::half(from)));
}

float16 float16_of(double from) noexcept {
  if (std::isnan(from)) [[unlikely]] {
    return nan_of(std::signbit(from), std::bit_cast<std::uint64_t>(from) >> 42);
  }
  return float16_of(rounded_to_odd(from));
}

}  // namespace detail

void convert(std::span<const float16> from, std::span<float> to) {
  if (from.size() != to.size()) detail::refuse_length("convert", from.size(), to.size());
  for (std::size_t i = 0; i < from.size(); ++i) to[i] = detail::float_of(from[i]);
}

void convert(std::span<const float> from, std::span<float16> to) {
  if (from.size() != to.size()) detail::refuse_length("convert", from.size(), to.size());
  for (std::size_t i = 0; i < from.size(); ++i) to[i] = detail::float16_of(from[i]);
}

}  // namespace shard
