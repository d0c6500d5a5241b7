#include "shard/histogram.hpp"

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

}  // namespace

void check_bins(const char* axis, std::int64_t bins) {
  if (bins >= 1 && bins <= most_bins) return;
  refuse("cannot make the " + std::string(axis) + " axis: found " + std::to_string(bins) +
         " bins, expected 1 to " + std::to_string(most_bins));
}

void refuse_repeated_category(std::int64_t index) {
  refuse("cannot make the category axis: found value " + std::to_string(index) +
         " a second time, expected each value once");
}

void refuse_bin(std::size_t dimension, std::int64_t found, int first, int last) {
  throw error(std::errc::result_out_of_range,
              "cannot read a bin of the histogram: found index " + std::to_string(found) +
                  " on axis " + std::to_string(dimension) + ", expected " + std::to_string(first) +
                  " to " + std::to_string(last));
}

std::size_t count_bins(std::span<const std::size_t> extents) {
  constexpr std::size_t most = std::numeric_limits<std::ptrdiff_t>::max() / sizeof(std::int64_t);
  std::size_t bins = 1;
  std::string shape;
  for (const std::size_t extent : extents) {
    shape += (shape.empty() ? "" : " x ") + std::to_string(extent);
    bins = bins > most / extent ? most + 1 : bins * extent;
  }
  if (bins > most) {
    throw error(std::errc::not_enough_memory, "cannot make the histogram: found " + shape +
                                                  " bins, expected at most " +
                                                  std::to_string(most));
  }
  return bins;
}

}  // namespace shard::detail

namespace shard::axis {

regular_axis regular(std::int64_t bins, double low, double high) {
  detail::check_bins("regular", bins);
  detail::check_bounds("regular", low, high);
  return regular_axis(static_cast<unsigned>(bins), low, high);
}

circular_axis circular(std::int64_t bins, double low, double high) {
  detail::check_bins("circular", bins);
  detail::check_bounds("circular", low, high);
  return circular_axis(static_cast<unsigned>(bins), low, high);
}

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
