// Whole numbers without sign, of any size that results need: what is done once, at the end.
#pragma once

#include <cstddef>
#include <cstdint>

#include "exact/ieee.hpp"
#include "exact/number.hpp"

namespace shard::exact {

// What the lowest bit of a state's number is worth, as an exponent of two.
inline constexpr int sum_unit = -1074;
inline constexpr int product_unit = -2148;

// words[0] is worth 2^exponent. The lowest and the highest word aren't zero.
struct natural {
  // The squares of n Σxy - Σx Σy and more: every number here fits.
  static constexpr std::size_t most_words = 148;

  std::int64_t exponent = 0;
  std::size_t count = 0;
  std::uint64_t words[most_words];

  bool is_zero() const noexcept { return count == 0; }
  void trim() noexcept;
};

natural natural_of(std::uint64_t) noexcept;

template <std::size_t Words>
natural magnitude_of(const number<Words>& from, int unit) noexcept {
  natural to;
  to.exponent = unit + 64 * static_cast<std::int64_t>(from.first);
  to.count = from.count;
  const std::uint64_t flip = from.negative() ? ~std::uint64_t{0} : 0;
  std::uint64_t carry = flip & 1;
  for (std::size_t k = 0; k < to.count; ++k) {
    to.words[k] = (from.words[k] ^ flip) + carry;
    carry = carry != 0 && to.words[k] == 0 ? 1 : 0;
  }
  to.trim();
  return to;
}

natural operator*(const natural& a, const natural& b) noexcept;

struct difference {
  bool negative;
  natural magnitude;
};
// Requires: the exponents are a multiple of 64 apart.
difference operator-(const natural& a, const natural& b) noexcept;
natural operator+(const natural& a, const natural& b) noexcept;  // the same

// The value of a number: its highest bits, at least 65 if there are more.
scaled top_of(const natural&) noexcept;
// Requires: b isn't zero.
scaled quotient(const natural& a, const natural& b) noexcept;
// Of a value with 127 or 128 bits in its top.
scaled square_root(const scaled&) noexcept;

}  // namespace shard::exact
