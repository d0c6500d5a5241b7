// From values to places on a scale.
#pragma once

#include <algorithm>
#include <cmath>

namespace shard::mapping {

// [low, high] as [0, 1].
struct value_scale {
  double low = 0;
  double high = 1;
  bool logarithmic = false;

  // Outside of [0, 1] for what is outside of the scale; a NaN for what has no place at all.
  double at(double value) const noexcept {
    if (!logarithmic) return (value - low) / (high - low);
    return (std::log(value) - std::log(low)) / (std::log(high) - std::log(low));
  }
};

// A decade or more, where powers of ten are neither zero nor infinite. Requires: low > 0.
inline value_scale logarithmic_scale(double low, double high) noexcept {
  low = std::clamp(low, 1e-300, 1e298);
  return {low, std::clamp(high, 10 * low, 1e300), true};
}

}  // namespace shard::mapping
