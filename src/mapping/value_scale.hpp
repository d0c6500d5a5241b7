// From values to places on a scale.
#pragma once

#include <algorithm>
#include <cmath>

namespace shard::mapping {

// Where value is between low and high, as a part of the way. Requires: low < high.
inline double part_of_way(double value, double low, double high) noexcept {
  const double length = high - low;
  if (std::isfinite(length)) return (value - low) / length;
  return (value / 2 - low / 2) / (high / 2 - low / 2);
}

// [low, high] as [0, 1].
struct value_scale {
  double low = 0;
  double high = 1;
  bool logarithmic = false;

  // Outside of [0, 1] for what is outside of the scale; a NaN for what has no place at all.
  double at(double value) const noexcept {
    if (!logarithmic) return part_of_way(value, low, high);
    return (std::log(value) - std::log(low)) / (std::log(high) - std::log(low));
  }
};

// A decade or more, where powers of ten are neither zero nor infinite. Requires: low > 0.
inline value_scale logarithmic_scale(double low, double high) noexcept {
  low = std::clamp(low, 1e-300, 1e298);
  return {low, std::clamp(high, 10 * low, 1e300), true};
}

}  // namespace shard::mapping
