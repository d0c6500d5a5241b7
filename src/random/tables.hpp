// Functions as polynomials on many short segments: an inverse distribution function costs a table
// row and 14 operations, and rounds alike everywhere.
#pragma once

#include <array>

namespace shard::random {

// The coefficients of a polynomial on one segment. A row is one cache line.
struct alignas(64) row {
  std::array<double, 8> c;
};

// The polynomial at t in [0, 1]. All code that evaluates a row does these operations in this order.
inline double value(const row& of, double t) noexcept {
  const auto& c = of.c;
  const double t2 = t * t;
  const double t4 = t2 * t2;
  return ((c[0] + c[1] * t) + (c[2] + c[3] * t) * t2) +
         ((c[4] + c[5] * t) + (c[6] + c[7] * t) * t2) * t4;
}

// Row 16 k + s at t: the z that a normal number exceeds with probability
// 2^-(k + 1) * (1 - (s + t) / 32).
extern const std::array<row, 1024> normal_rows;

// Row s at t: -log(1 - (s + t) / 64).
extern const std::array<row, 32> exponential_rows;

}  // namespace shard::random
