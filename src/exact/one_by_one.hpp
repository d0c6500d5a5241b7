// Numbers and products taken apart, one after the other.
#pragma once

#include <cstddef>
#include <cstdint>

#include "exact/ieee.hpp"
#include "exact/kinds.hpp"

namespace shard::exact {

// Calls add(negative, position, mantissa) for what is finite and not zero, and returns the kinds of
// all. Integers only.
template <class Add>
std::uint8_t each_number(const double* x, std::size_t count, Add add) noexcept {
  std::uint8_t kinds = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const parts of = parts_of(x[i]);
    if (of.mantissa == 0) {
      kinds |= kind::zero(of.negative);
    } else if (of.field != special_field) [[likely]] {
      kinds |= kind::finite;
      add(of.negative, of.position, of.mantissa);
    } else {
      kinds |= (of.mantissa & fraction_mask) != 0 ? kind::nan : kind::infinity(of.negative);
    }
  }
  return kinds;
}

inline bool is_plain(const parts& of) noexcept {
  return of.mantissa != 0 && of.field != special_field;
}

inline std::uint8_t kind_of_product(const parts& a, const parts& b) noexcept {
  if (is_plain(a) && is_plain(b)) return kind::finite;
  const bool negative = a.negative != b.negative;
  const auto is_nan = [](const parts& of) {
    return of.field == special_field && (of.mantissa & fraction_mask) != 0;
  };
  if (is_nan(a) || is_nan(b)) return kind::nan;
  const bool infinite = a.field == special_field || b.field == special_field;
  const bool zero = a.mantissa == 0 || b.mantissa == 0;
  if (infinite) return zero ? kind::nan : kind::infinity(negative);
  return kind::zero(negative);
}

// The same for products, whose positions count from 2^-2148.
template <class Add>
std::uint8_t each_product(const double* x, const double* y, std::size_t count, Add add) noexcept {
  std::uint8_t kinds = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const parts a = parts_of(x[i]);
    const parts b = parts_of(y[i]);
    const std::uint8_t found = kind_of_product(a, b);
    kinds |= found;
    if (found == kind::finite) [[likely]] {
      add(a.negative != b.negative, a.position + b.position, uint128{a.mantissa} * b.mantissa);
    }
  }
  return kinds;
}

}  // namespace shard::exact
