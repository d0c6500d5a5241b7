// Counts that Boost.Histogram has filled, as a histogram of shard.
//
//   auto hours = boost::histogram::make_histogram(shard::axis::integer(0, 24));
//   …
//   shard::histogram same = shard::from_boost(hours);  // and same.to_boost() is equal again
#pragma once

#include <array>
#include <boost/histogram/fwd.hpp>
#include <boost/histogram/histogram.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

#include "shard/bin_table.hpp"
#include "shard/histogram.hpp"

namespace shard {

// A histogram with the same axes and counts, underflow and overflow included. The axes are those of
// a shard::histogram: known to the compiler, and not growing. The bins are numbers: neither
// weighted sums nor means. Other axes and bins don't compile. Throws shard::error for a bin that
// holds anything but an integer of 64 bits. In a storage of floating point, as Boost's default one,
// that is an integer up to 2^53.
template <class... Axes, class Storage>
histogram<Axes...> from_boost(
    const boost::histogram::histogram<std::tuple<Axes...>, Storage>& from);

namespace detail {

[[noreturn]] void refuse_count(double found, std::span<const int> bin);

// The number in a cell of one of Boost's storages.
template <class Cell>
auto number_of_cell(const Cell& cell) {
  if constexpr (std::is_arithmetic_v<Cell>) {
    return cell;
  } else if constexpr (requires { cell.load(); }) {
    return cell.load();
  } else {
    static_assert(
        requires { cell.value(); } && !requires { cell.variance(); },
        "shard: from_boost takes counts, and neither weighted sums nor means");
    return cell.value();
  }
}

template <class Number>
bool is_count(Number x) {
  if constexpr (std::is_integral_v<Number>) {
    return std::in_range<std::int64_t>(x);
  } else {
    return std::abs(x) <= 0x1p53 && std::trunc(x) == x;
  }
}

}  // namespace detail

template <class... Axes, class Storage>
histogram<Axes...> from_boost(
    const boost::histogram::histogram<std::tuple<Axes...>, Storage>& from) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    histogram<Axes...> made(from.axis(std::integral_constant<unsigned, I>())...);
    std::size_t place = 0;
    detail::for_each_bin(made, [&](auto... bins) {
      const typename Storage::value_type& cell = from.at(bins...);
      const auto found = detail::number_of_cell(cell);
      if (!detail::is_count(found))
        detail::refuse_count(static_cast<double>(found), std::array{bins...});
      made.bins_[place++] = static_cast<std::int64_t>(found);
    });
    return made;
  }(std::index_sequence_for<Axes...>());
}

// Whose axes only the running program knows.
template <class Axes, class Storage>
void from_boost(const boost::histogram::histogram<Axes, Storage>&) {
  static_assert(sizeof(Axes) == 0,
                "shard: from_boost takes a histogram whose axes are a std::tuple, as those of "
                "boost::histogram::make_histogram(axes…) are");
}

}  // namespace shard
