// Axes that are hard on a formula for bins, the values that are hardest on each, and an oracle that
// finds the bin of a value by a search in the edges that the axis reports.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "shard/axis.hpp"

namespace shard::testing {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

struct shape {
  std::int64_t bins;
  double low;
  double high;

  bool fits_an_axis() const { return low < high && std::isfinite(high - low); }
};

// The last k in [first, last) with value(k) <= x. Requires: value(first) <= x.
template <class Axis>
std::int64_t last_edge_reached(const Axis& along, double x, std::int64_t first, std::int64_t last) {
  while (last - first > 1) {
    const std::int64_t middle = first + (last - first) / 2;
    (along.value(static_cast<double>(middle)) <= x ? first : last) = middle;
  }
  return first;
}

template <class Axis>
int expected_bin(const Axis& along, double x) {
  if (x < along.value(0)) return -1;
  if (!(x < along.value(along.size()))) return along.size();
  return static_cast<int>(last_edge_reached(along, x, 0, along.size()));
}

// Looks for the bin in `periods` periods to either side.
inline int expected_bin(const axis::circular_axis& along, double x, std::int64_t periods = 2) {
  if (!std::isfinite(x)) return along.size();
  const std::int64_t size = along.size();
  const std::int64_t place = last_edge_reached(along, x, -periods * size, (periods + 1) * size);
  return static_cast<int>(((place % size) + size) % size);
}

// Every edge of a small axis, some of a large one, the neighbours of each, and what is between.
template <class Axis>
std::vector<double> hardest_values(const Axis& along, std::mt19937_64& random, int first,
                                   int last) {
  std::vector<double> values{along.value(0), along.value(along.size())};
  const auto span = static_cast<std::uint64_t>(std::int64_t{last} - first);
  for (std::uint64_t i = 0; i <= std::min<std::uint64_t>(span, 40); ++i) {
    const std::uint64_t k = span <= 40 ? i : i < 4 ? i : i < 8 ? span - i + 4 : random() % span;
    const double edge = along.value(static_cast<double>(first) + static_cast<double>(k));
    for (const double x : {edge, std::nextafter(edge, infinity), std::nextafter(edge, -infinity)})
      if (std::isfinite(x)) values.push_back(x);
    values.push_back(along.value(static_cast<double>(first) + static_cast<double>(k) +
                                 static_cast<double>(random() >> 11) * 0x1p-53));
  }
  return values;
}

// A double of any bits that is finite.
inline double any_double(std::mt19937_64& random) {
  for (;;) {
    const auto x = std::bit_cast<double>(random());
    if (std::isfinite(x)) return x;
  }
}

// Bounds above zero: of decimal numbers, of any two doubles, of subnormal ones, and as close
// together as a few neighbouring doubles.
inline shape any_logarithmic_shape(std::mt19937_64& random) {
  for (;;) {
    const std::int64_t most = std::int64_t{1} << random() % 18;
    shape made{1 + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most)), 0, 0};
    const auto any = [&] { return std::abs(any_double(random)); };
    switch (random() % 5) {
      case 0:
        made.low = static_cast<double>(1 + random() % 1000) / 100;
        made.high = made.low * static_cast<double>(2 + random() % 1000);
        break;
      case 1:
        made.low = any();
        made.high = any();
        break;
      case 2:
        made.low = 5e-324 * static_cast<double>(1 + random() % 1000);
        made.high = any();
        break;
      case 3:
        made.low = made.high = any();
        for (std::uint64_t i = 0; i <= random() % 50; ++i)
          made.high = std::nextafter(made.high, infinity);
        break;
      default:
        made.low = std::ldexp(1.0, static_cast<int>(random() % 100) - 50);
        made.high = std::ldexp(made.low, 1 + static_cast<int>(random() % 100));
        break;
    }
    if (made.low > 0 && made.fits_an_axis()) return made;
  }
}

inline std::vector<double> unusual_values() {
  return {not_a_number, infinity, -infinity,    0.0,    -0.0,    5e-324, -5e-324, 1e308, -1e308,
          0x1p63,       -0x1p63,  2147483648.0, 1e-300, -1e-300, 0x1p31, -0x1p31, 4e9,   -1.0};
}

// Axes of whole numbers, of decimal fractions, far from zero for their width, subnormal, of all
// magnitudes, and as narrow as a few neighbouring doubles. The same shapes with every compiler: no
// expression draws twice.
inline shape any_shape(std::mt19937_64& random) {
  for (;;) {
    const std::int64_t most = std::int64_t{1} << random() % 21;
    shape made{1 + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most)), 0, 0};
    const auto bins = static_cast<double>(made.bins);
    const auto whole = [&](std::uint64_t below) {
      return static_cast<double>(random() % below) - static_cast<double>(below / 2);
    };
    switch (random() % 7) {
      case 0:
        made.low = whole(200);
        made.high = made.low + bins * static_cast<double>(1 + random() % 9);
        break;
      case 1:
        made.low = whole(2000) / 10;
        made.high = made.low + static_cast<double>(1 + random() % 1000) / 10;
        break;
      case 2:
        made.low = whole(1000);
        made.low = std::ldexp(made.low, static_cast<int>(random() % 60));
        made.high = made.low + std::ldexp(bins, static_cast<int>(random() % 20) - 10);
        break;
      case 3:
        made.low = 5e-324 * whole(1 << 20);
        made.high = made.low + 5e-324 * static_cast<double>(1 + random() % (1 << 21));
        break;
      case 4:
        made.low = any_double(random);
        made.high = any_double(random);
        if (made.high < made.low) std::swap(made.low, made.high);
        break;
      case 5:
        made.low = made.high = any_double(random);
        for (std::uint64_t i = 0; i <= random() % 50; ++i)
          made.high = std::nextafter(made.high, infinity);
        break;
      default:
        made.low = -3.141592653589793;
        made.high = 3.141592653589793;
        break;
    }
    if (made.fits_an_axis()) return made;
  }
}

}  // namespace shard::testing
