// From values to places on a scale.
#pragma once

#include <cmath>

namespace shard::mapping {

// Values below this have no place on a logarithmic scale: no power of ten is exact there.
inline constexpr double least_logarithmic = 1e-300;

// [low, high] as [0, 1].
struct value_scale {
  double low = 0;
  double high = 1;
  bool logarithmic = false;

  // Outside of [0, 1] for what is outside of the scale; a NaN for what has no place at all.
  double at(double value) const noexcept {
    if (!logarithmic) return (value - low) / (high - low);
    return std::log(value / low) / std::log(high / low);
  }
};

}  // namespace shard::mapping
