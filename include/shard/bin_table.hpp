// A histogram as plain numbers: its axes, and what is in each bin. Whatever shard writes or draws
// of a histogram, it makes from this table: save, save_json (histogram_files.hpp), draw, save_svg
// (drawing.hpp). Those take a histogram, and call tabulate() themselves.
//
//   shard::bin_table table = shard::tabulate(hours);
//   table.counts[k + 1];  // bin k: bin 0 of the table is the underflow
//
// A histogram class of your own is written and drawn, too, if a function tabulate() in its
// namespace makes a table of it. detail::axes_of and detail::for_each_bin do most of that for a
// class that has `rank` and `axis<I>()`.
#pragma once

#include <boost/histogram/axis/category.hpp>
#include <boost/histogram/axis/option.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "shard/axis.hpp"
#include "shard/category_counts.hpp"
#include "shard/histogram.hpp"
#include "shard/profile.hpp"
#include "shard/weighted_histogram.hpp"

namespace shard {

// One axis of a table.
struct bin_axis {
  // regular and circular: bins of equal width. integer: a bin for each integer. variable: any
  // edges.
  enum class kind { regular, circular, integer, variable, category };
  using category_names =
      std::variant<std::vector<std::string>, std::vector<std::int64_t>, std::vector<std::uint64_t>>;

  kind type = kind::variable;
  bool underflow = false;     // whether the table has a bin below bin 0 of the axis
  bool overflow = false;      // whether it has one above the last bin: of categories, all others
  std::vector<double> edges;  // size() + 1 of them; none of categories
  category_names categories;  // of categories only

  // Bins without underflow and overflow, and with them.
  std::size_t size() const noexcept;
  std::size_t extent() const noexcept { return size() + (underflow ? 1 : 0) + (overflow ? 1 : 0); }
};

// All bins, underflow and overflow included, row-major over the extents of the axes: the underflow
// of an axis comes first, the overflow last. `type` says which of the vectors are filled; the
// others are empty.
struct bin_table {
  enum class kind {
    count,         // counts
    sum,           // values: sums whose errors are not known
    weighted,      // values: sums of weights; variances: of these sums, which are sums of squares
    mean,          // weights: how many numbers; values: their mean; variances: of the numbers, with
                   // divisor n - 1
    weighted_mean  // the same with weights: sums of weights; squares: sums of their squares
  };

  std::vector<bin_axis> axes;
  kind type = kind::count;
  std::vector<std::int64_t> counts;
  std::vector<double> values;
  std::vector<double> variances;
  std::vector<double> weights;
  std::vector<double> squares;

  std::size_t size() const noexcept;  // bins, underflow and overflow included
  // What is drawn for a bin, and its standard error: the square root of a count, or of the variance
  // of a sum; of a mean, that of the variance divided by how many numbers there are. A NaN where
  // nothing is known of the error. Requires: bin < size().
  double value(std::size_t bin) const noexcept;
  double error(std::size_t bin) const noexcept;
};

inline const bin_table& tabulate(const bin_table& table) { return table; }

// The counts of a histogram, with underflow and overflow.
template <class... Axes>
bin_table tabulate(const histogram<Axes...>& of);

// Sums of weights and their variances; counts, means and variances.
template <class... Axes>
bin_table tabulate(const weighted_histogram<Axes...>& of);
template <class... Axes>
bin_table tabulate(const profile<Axes...>& of);

// The categories that were found, in ascending order. Throws shard::error if there are none.
template <class T>
bin_table tabulate(const category_counts<T>& of);

// Counts in the shape of the axes, without underflow and overflow, such as counts() of a histogram
// has, or a buffer that another process fills. Throws shard::error if there are not as many counts
// as bins.
template <class Axis, class... Axes>
bin_table tabulate(std::span<const std::int64_t> counts, const Axis& first, const Axes&... others);

// What can be written and drawn.
template <class H>
concept tabulable = requires(const H& of) {
  { tabulate(of) } -> std::convertible_to<bin_table>;
};

namespace detail {

// Throws shard::error unless every vector of a table has the size that its axes ask for.
void check_table(const bin_table& table);

template <class Axis>
inline constexpr bool is_category_axis = false;
template <class... T>
inline constexpr bool is_category_axis<boost_axis::category<T...>> = true;

template <class Axis>
constexpr bin_axis::kind kind_of() {
  if constexpr (is_category_axis<Axis>) {
    return bin_axis::kind::category;
  } else if constexpr (std::is_same_v<Axis, axis::regular_axis>) {
    return bin_axis::kind::regular;
  } else if constexpr (std::is_same_v<Axis, axis::circular_axis>) {
    return bin_axis::kind::circular;
  } else if constexpr (std::integral<
                           std::remove_cvref_t<decltype(std::declval<Axis>().value(0))>>) {
    return bin_axis::kind::integer;
  } else {
    return bin_axis::kind::variable;
  }
}

// Whether some values of an integer or an enumeration are too large for std::int64_t.
template <class T>
constexpr bool is_wide_unsigned() {
  if constexpr (std::is_enum_v<T>) {
    return is_wide_unsigned<std::underlying_type_t<T>>();
  } else {
    return std::is_unsigned_v<T> && sizeof(T) >= sizeof(std::uint64_t);
  }
}

template <class Axis>
bin_axis::category_names names_of(const Axis& along) {
  using name = std::remove_cvref_t<decltype(along.value(0))>;
  const auto all = [&]<class T>(std::vector<T> names) {
    for (int k = 0; k < along.size(); ++k) {
      if constexpr (string_like<name>) {
        names.emplace_back(std::string_view(along.value(k)));
      } else {
        names.push_back(static_cast<T>(along.value(k)));
      }
    }
    return names;
  };
  if constexpr (string_like<name>) {
    return all(std::vector<std::string>());
  } else {
    static_assert(std::is_integral_v<name> || std::is_enum_v<name>,
                  "shard: categories are integers, enumerators or text");
    if constexpr (is_wide_unsigned<name>()) {
      return all(std::vector<std::uint64_t>());
    } else {
      return all(std::vector<std::int64_t>());
    }
  }
}

template <class Axis>
inline constexpr bool has_underflow_bin =
    (Axis::options() & boost_axis::option::underflow_t::value) != 0;
template <class Axis>
inline constexpr bool has_overflow_bin =
    (Axis::options() & boost_axis::option::overflow_t::value) != 0;

template <class Axis>
bin_axis describe(const Axis& along) {
  bin_axis made{
      kind_of<Axis>(), lookup_base<Axis>::has_underflow, lookup_base<Axis>::has_overflow, {}, {}};
  if constexpr (is_category_axis<Axis>) {
    made.categories = names_of(along);
  } else {
    for (int k = 0; k <= along.size(); ++k)
      made.edges.push_back(static_cast<double>(along.value(k)));
  }
  return made;
}

template <class Histogram>
std::vector<bin_axis> axes_of(const Histogram& of) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return std::vector<bin_axis>{describe(of.template axis<I>())...};
  }(std::make_index_sequence<Histogram::rank>());
}

// Calls visit(bins…) for all bins in the order of a table, with an index for each axis, as at()
// takes them.
template <class Histogram, class Visit, class... Outer>
void for_each_bin(const Histogram& of, const Visit& visit, Outer... outer) {
  if constexpr (sizeof...(Outer) == Histogram::rank) {
    visit(outer...);
  } else {
    const auto& along = of.template axis<sizeof...(Outer)>();
    using type = std::remove_cvref_t<decltype(along)>;
    const int last = has_overflow_bin<type> ? along.size() : along.size() - 1;
    for (int k = has_underflow_bin<type> ? -1 : 0; k <= last; ++k)
      for_each_bin(of, visit, outer..., k);
  }
}

}  // namespace detail

template <class... Axes>
bin_table tabulate(const histogram<Axes...>& of) {
  bin_table made;
  made.axes = detail::axes_of(of);
  made.counts.reserve(made.size());
  detail::for_each_bin(of, [&](auto... bins) { made.counts.push_back(of.at(bins...)); });
  return made;
}

template <class... Axes>
bin_table tabulate(const weighted_histogram<Axes...>& of) {
  bin_table made;
  made.axes = detail::axes_of(of);
  made.type = bin_table::kind::weighted;
  detail::for_each_bin(of, [&](auto... bins) {
    const weighted_bin bin = of.at(bins...);
    made.values.push_back(bin.sum);
    made.variances.push_back(bin.variance);
  });
  return made;
}

template <class... Axes>
bin_table tabulate(const profile<Axes...>& of) {
  bin_table made;
  made.axes = detail::axes_of(of);
  made.type = bin_table::kind::mean;
  detail::for_each_bin(of, [&](auto... bins) {
    const exact::mean_variance_state bin = of.at(bins...);
    made.weights.push_back(static_cast<double>(bin.count()));
    made.values.push_back(bin.mean());
    made.variances.push_back(bin.variance());
  });
  return made;
}

template <class Axis, class... Axes>
bin_table tabulate(std::span<const std::int64_t> counts, const Axis& first, const Axes&... others) {
  bin_table made;
  made.axes = {detail::describe(first), detail::describe(others)...};
  for (bin_axis& along : made.axes) along.underflow = along.overflow = false;
  made.counts.assign(counts.begin(), counts.end());
  detail::check_table(made);
  return made;
}

template <class T>
bin_table tabulate(const category_counts<T>& of) {
  std::vector<std::int64_t> counts;
  for (const auto& each : of.entries()) counts.push_back(each.count);
  return tabulate(counts, of.axis());
}

}  // namespace shard
