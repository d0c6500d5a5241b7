// Logarithmic axes: edges that have the same bits with every compiler and every flag.
//
// Logarithms and powers are calculated in fixed point, in whole numbers. Those of the C library
// differ from version to version.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <sstream>

#include "exact/ieee.hpp"
#include "shard/axis.hpp"
#include "shard/error.hpp"

namespace shard::detail {

namespace {

using exact::uint128;

// Where an edge is: its logarithm to base 2, plus `bias`, in units of 2^-fraction_bits. So it is
// never below zero, and has 96 bits. Times a number of 31 bits it still fits into 128.
constexpr int fraction_bits = 84;
constexpr int bias = 1074;

// The high half of the product.
constexpr uint128 high_product(uint128 a, uint128 b) noexcept {
  const auto low = [](uint128 x) { return uint128{static_cast<std::uint64_t>(x)}; };
  const uint128 cross = (a >> 64) * low(b) + (low(a) * low(b) >> 64);
  const uint128 other = low(a) * (b >> 64) + low(cross);
  return (a >> 64) * (b >> 64) + (cross >> 64) + (other >> 64);
}

// The logarithm of x > 0, rounded down. Each square has twice the logarithm of the number, so the
// digits come one by one. What is cut off the squares makes 2^-120.
uint128 place_of(double x) noexcept {
  const exact::parts of = exact::parts_of(x);
  const int leading = exact::leading_zeros(of.mantissa);
  uint128 mantissa = uint128{of.mantissa} << leading;  // in [1, 2), in units of 2^-127
  uint128 place = of.position + 127u - static_cast<unsigned>(leading);
  for (int digit = 0; digit < fraction_bits; ++digit) {
    mantissa = high_product(mantissa, mantissa);  // in [1, 4), in units of 2^-126
    const bool two = mantissa >> 127 != 0;
    if (!two) mantissa <<= 1;
    place = place << 1 | (two ? 1 : 0);
  }
  return place;
}

// 2^f = sum of (f ln 2)^n / n!: the coefficients of f^n, in units of 2^-64.
constexpr std::size_t terms = 19;  // the next one is below 2^-64
constexpr auto coefficients = [] {
  // ln 2 in units of 2^-128.
  constexpr uint128 ln2 = uint128{0xB17217F7D1CF79AB} << 64 | 0xC9E3B39803F2F6AF;
  std::array<std::uint64_t, terms> all{};
  uint128 term = ln2;
  for (std::size_t n = 1; n < terms; ++n) {
    all[n] = static_cast<std::uint64_t>(term >> 64);
    term = high_product(term, ln2) / (n + 1);
  }
  return all;
}();

// The number whose logarithm that is. Horner's scheme, each step rounded down: never below the
// result for a smaller place, and 2^-58 too low at most.
double number_at(uint128 place) noexcept {
  const auto fraction = static_cast<std::uint64_t>(place >> (fraction_bits - 64));
  std::uint64_t sum = 0;
  for (std::size_t n = terms - 1; n > 0; --n) {
    sum = static_cast<std::uint64_t>(uint128{coefficients[n] + sum} * fraction >> 64);
  }
  // 1 + sum, in units of 2^-64. What was cut off makes it no tie.
  const auto exponent = static_cast<std::int64_t>(place >> fraction_bits) - bias - 64;
  return exact::rounded<double>(false, {uint128{1} << 64 | sum, exponent, true});
}

void check_logarithmic_bounds(double low, double high) {
  if (low > 0 && low < high && high <= std::numeric_limits<double>::max()) return;
  std::ostringstream message;
  message << "cannot make the logarithmic axis: found bounds " << low << " and " << high
          << ", expected finite ones above zero with the low bound first";
  throw error(std::errc::invalid_argument, message.str());
}

// Fractions of bins are cut to so many bits.
constexpr int steps_of_a_bin = 31;

// Edge k + steps / 2^steps_of_a_bin of an axis that has not all its edges yet.
double calculated_edge(uint128 low, uint128 period, std::uint64_t size, std::uint64_t k,
                       std::uint64_t steps) noexcept {
  return number_at(low + period * k / size + (period * steps / size >> steps_of_a_bin));
}

}  // namespace

logarithmic_bins::logarithmic_bins(std::int64_t bins, double low, double high) {
  check_bins("logarithmic", bins);
  check_logarithmic_bounds(low, high);
  const auto size = static_cast<std::uint64_t>(bins);
  const uint128 from = place_of(low);
  const uint128 period = place_of(high) - from;
  edges_.reserve(size + 1);
  edges_.push_back(low);
  // The bounds themselves are kept, whatever the others are rounded to.
  for (std::uint64_t k = 1; k < size; ++k)
    edges_.push_back(std::clamp(calculated_edge(from, period, size, k, 0), low, high));
  edges_.push_back(high);

  // Between one and two stretches for each bin, and a few more for few bins.
  const std::uint64_t span = bits(high) - bits(low);
  const std::uint64_t wanted = std::max<std::uint64_t>(size, 32);
  shift_ = std::max(0, static_cast<int>(std::bit_width(span / wanted)) - 1);
  const std::uint64_t stretches = (span >> shift_) + 1;
  firsts_.reserve(stretches + 1);
  int bin = 0;
  for (std::uint64_t k = 0; k < stretches; ++k) {
    const auto begin = std::bit_cast<double>(bits(low) + (k << shift_));
    while (bin + 1 < this->size() && edge(bin + 1) <= begin) ++bin;
    firsts_.push_back(bin);
  }
  firsts_.push_back(this->size() - 1);
}

double logarithmic_bins::between_edges(double k) const noexcept {
  const auto whole = static_cast<int>(k);
  const double rest = k - whole;
  if (rest == 0) return edge(whole);
  const uint128 from = place_of(low());
  const uint128 period = place_of(high()) - from;
  return std::clamp(calculated_edge(from, period, static_cast<std::uint64_t>(size()),
                                    static_cast<std::uint64_t>(whole),
                                    static_cast<std::uint64_t>(std::ldexp(rest, steps_of_a_bin))),
                    edge(whole), edge(whole + 1));
}

}  // namespace shard::detail

namespace shard::axis {

double logarithmic_axis::value(double k) const noexcept {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (k < 0) return -infinity;
  return k > size() ? infinity : bins_.between_edges(k);
}

logarithmic_axis logarithmic(std::int64_t bins, double low, double high) {
  return {bins, low, high};
}

}  // namespace shard::axis
