#include "shard/axis.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>
#include <string>

#include "shard/error.hpp"

namespace shard::detail {

namespace {

// With the underflow and overflow bins, indices must still fit Boost's int.
constexpr std::int64_t most_bins = std::numeric_limits<int>::max() - 2;

[[noreturn]] void refuse(const std::string& message) {
  throw error(std::errc::invalid_argument, message);
}

void check_bounds(const std::string& axis, double low, double high) {
  // The width as well: bounds that are finite may be infinitely far apart.
  if (low < high && std::isfinite(high - low)) return;
  std::ostringstream message;
  message << "cannot make the " << axis << " axis: found bounds " << low << " and " << high
          << ", expected finite ones with the low bound first";
  refuse(message.str());
}

// The last k of [0, size) with reached(k), or 0. Requires: reached(k) does not become true again
// once it is false. It asks near the guess first.
template <class Reached>
int last_reached(int size, double guess, Reached reached) noexcept {
  const int start = guess >= size ? size - 1 : guess > 0 ? static_cast<int>(guess) : 0;
  std::int64_t first = start;
  std::int64_t last = start;  // [first, last] holds the bin
  if (reached(start)) {
    for (std::int64_t step = 1; last + 1 < size && reached(static_cast<int>(last + 1)); step *= 2) {
      first = last + 1;
      last = std::min<std::int64_t>(last + step, size - 1);
    }
  } else {
    for (std::int64_t step = 1; first > 0 && !reached(static_cast<int>(first)); step *= 2) {
      last = first - 1;
      first = std::max<std::int64_t>(first - step, 0);
    }
  }
  while (first < last) {
    const std::int64_t middle = first + (last - first + 1) / 2;
    if (reached(static_cast<int>(middle))) {
      first = middle;
    } else {
      last = middle - 1;
    }
  }
  return static_cast<int>(first);
}

// Where the circle begins for the n-th time: low for 0, high for 1.
double start_of_period(const equal_bins& bins, double n) noexcept {
  return n < 1 ? sum_of(bins.low(), n, bins.period()) : sum_of(bins.high(), n - 1, bins.period());
}

// Edge k of period n. Requires: 0 <= k < size.
double edge_in_period(const equal_bins& bins, double k, double n) noexcept {
  return k == 0 ? start_of_period(bins, n) : sum_of(bins.edge(k), n, bins.period());
}

// A value of [low, high) that stands for x, which lies whole periods away.
double brought_inside(const equal_bins& bins, double x) noexcept {
  const double distance = x - bins.low();
  double rest = std::isfinite(distance) ? std::fmod(distance, bins.period())
                                        // Halves, so that nothing overflows.
                                        : 2 * std::fmod(x / 2 - bins.low() / 2, bins.period() / 2);
  if (rest < 0) rest += bins.period();
  const double below_high = std::nextafter(bins.high(), bins.low());
  return std::clamp(bins.low() + rest, bins.low(), below_high);
}

// With more bins than this between low and a value, the value no longer tells its bin by a product.
constexpr double most_turns = 0x1p48;

}  // namespace

equal_bins::equal_bins(const char* kind, std::int64_t bins, double low, double high,
                       double numbered_from)
    : low_(low), high_(high) {
  check_bins(kind, bins);
  check_bounds(kind, low, high);
  size_ = static_cast<int>(bins);
  const auto size = static_cast<double>(bins);
  width_ = (high - low) / size;
  // In bins. The scale, the product and the width are each off by a few 2^-53 of up to 2 * size
  // bins; differences, edges and moved edges by a few 2^-53 of their own magnitude.
  const double magnitude = std::max(std::abs(low), std::abs(high)) / width_ + size;
  const double roundings = magnitude * 0x1p-48;
  // Bins so narrow that roundings matter, or scales at the ends of double, leave the scale 0:
  // find() knows nothing then.
  if (!(roundings < 0.125) || width_ < 0x1p-1000 || width_ > 0x1p1000) return;
  scale_ = 1 / width_;
  too_low_ = numbered_from - roundings;
  too_high_ = numbered_from + roundings;
  // And one unit for the rounding of units(), on either side.
  constexpr double units_of_bin = std::uint64_t{1} << unit_bits;
  const double units = std::ceil(roundings * units_of_bin) + 1;
  large_ = large + units / units_of_bin;
  near_ = static_cast<std::uint32_t>(2 * units + 1);
}

double equal_bins::edge(double k) const noexcept {
  // The minimum: a width that is subnormal may have been rounded up by half.
  return k < size_ ? std::min(sum_of(low_, k, width_), high_) : high_;
}

int equal_bins::inner_bin(double x) const noexcept {
  if (is_fine()) {
    // If x is at an edge at all, then at the nearest one.
    const auto nearest = static_cast<int>(std::floor(position(x) + 0.5));
    return is_below_edge(x, nearest) ? nearest - 1 : nearest;
  }
  return last_reached(size_, position(x) + 0.5, [&](int k) { return edge(k) <= x; });
}

double regular_edge(const equal_bins& bins, double k) noexcept {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (k < 0) return -infinity;
  return k > bins.size() ? infinity : bins.edge(k);
}

int circular_bin(const equal_bins& bins, double x) noexcept {
  if (!std::isfinite(x)) return bins.size();
  if (x >= bins.low() && x < bins.high()) return bins.inner_bin(x);
  const double position = bins.position(x);
  // The position is NaN or infinite if the difference overflows.
  if (!bins.is_fine() || !(std::abs(position) < most_turns))
    return bins.inner_bin(brought_inside(bins, x));
  double period = std::floor(position / bins.size());
  if (x < start_of_period(bins, period)) --period;
  if (x >= start_of_period(bins, period + 1)) ++period;
  return last_reached(bins.size(), position - period * bins.size() + 0.5,
                      [&](int k) { return edge_in_period(bins, k, period) <= x; });
}

double circular_edge(const equal_bins& bins, double k) noexcept {
  const double period = std::floor(k / bins.size());
  if (period == 0) return bins.edge(k);
  return edge_in_period(bins, k - period * bins.size(), period);
}

void refuse_part_of_circle() {
  refuse("cannot reduce the circular axis: found a part of its bins, expected all of them");
}

void check_bins(const char* axis, std::int64_t bins) {
  if (bins >= 1 && bins <= most_bins) return;
  refuse("cannot make the " + std::string(axis) + " axis: found " + std::to_string(bins) +
         " bins, expected 1 to " + std::to_string(most_bins));
}

}  // namespace shard::detail

namespace shard::axis {

regular_axis regular(std::int64_t bins, double low, double high) { return {bins, low, high}; }

circular_axis circular(std::int64_t bins, double low, double high) { return {bins, low, high}; }

integer_axis integer(int low, int high) {
  detail::check_bins("integer", std::int64_t{high} - low);
  return integer_axis(low, high);
}

variable_axis variable(std::vector<double> edges) {
  detail::check_bins("variable", static_cast<std::int64_t>(edges.size()) - 1);
  for (std::size_t i = 1; i < edges.size(); ++i)
    detail::check_bounds("variable", edges[i - 1], edges[i]);
  return variable_axis(edges);
}

}  // namespace shard::axis
