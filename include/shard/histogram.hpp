// Histograms: a reduction into integer bins over the axes of Boost.Histogram.
//
//   shard::histogram hours(shard::axis::integer(0, 24));
//   shard::map(shard::range{0, n}, shard::in(hour), shard::reduce(hours),
//              [](std::size_t i, auto hour, auto& hours) { hours(hour[i]); });
//   shard::save("by_hour.npy", hours.counts());
#pragma once

#include <array>
#include <boost/histogram/axis/category.hpp>
#include <boost/histogram/axis/integer.hpp>
#include <boost/histogram/axis/metadata_base.hpp>
#include <boost/histogram/axis/option.hpp>
#include <boost/histogram/axis/regular.hpp>
#include <boost/histogram/axis/traits.hpp>
#include <boost/histogram/axis/variable.hpp>
#include <boost/histogram/indexed.hpp>
#include <boost/histogram/make_histogram.hpp>
#include <boost/histogram/storage_adaptor.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "shard/buffer.hpp"
#include "shard/reduce.hpp"

namespace shard {

namespace detail {

namespace boost_axis = boost::histogram::axis;
using no_metadata = boost_axis::null_type;

template <class T>
concept string_like = std::convertible_to<const T&, std::string_view>;

// What a category axis stores for a T: strings own their characters.
template <class T>
using category_value = std::conditional_t<string_like<T>, std::string, T>;

}  // namespace detail

// What the functions make are Boost's own axes. They throw shard::error for fewer than one bin and
// for bounds that are not finite and ascending.
namespace axis {

using regular_axis =
    boost::histogram::axis::regular<double, boost::use_default, detail::no_metadata>;
using circular_axis = boost::histogram::axis::circular<double, detail::no_metadata>;
using integer_axis = boost::histogram::axis::integer<int, detail::no_metadata>;
using variable_axis = boost::histogram::axis::variable<double, detail::no_metadata>;
template <class T>
using category_axis =
    boost::histogram::axis::category<detail::category_value<T>, detail::no_metadata>;

// Bins of equal width over [low, high). Underflow below; overflow from high on, and NaN.
regular_axis regular(std::int64_t bins, double low, double high);

// Bins of equal width over [low, high), which repeats: high falls into the first bin again.
// Overflow holds what is not finite and, as in Boost, what is so little below low that it rounds to
// high.
circular_axis circular(std::int64_t bins, double low, double high);

// A bin for each of low, …, high - 1. Takes integers of any width; underflow and overflow beyond.
integer_axis integer(int low, int high);

// Bins between neighbouring edges, which must ascend. Underflow below; overflow from the last edge
// on, and NaN.
variable_axis variable(std::vector<double> edges);

// A bin for each value, in this order: integers, enumerators, or anything that converts to a
// std::string_view (kept as std::string), each value once. Overflow holds all other values.
template <class T>
category_axis<T> category(std::initializer_list<T> values);
template <std::ranges::input_range R>
  requires(!detail::string_like<R>)
category_axis<std::ranges::range_value_t<R>> category(const R& values);

}  // namespace axis

namespace detail {

template <class Axis>
class lookup;

}  // namespace detail

// Counts in bins. Values beyond an axis go to its underflow or overflow bin where it has one, and
// are left out where it has none. Bins are 64-bit integers and wrap around.
template <class... Axes>
class histogram : public detail::adds_by_accumulator {
  static_assert(sizeof...(Axes) > 0, "shard: a histogram needs at least one axis");

 public:
  class accumulator;
  static constexpr bool ordered = false;
  static constexpr std::size_t rank = sizeof...(Axes);

  explicit histogram(Axes... axes);

  // One bin, by its index on each axis; where the axis has them, -1 is the underflow bin and the
  // axis' size the overflow bin. Throws shard::error for a bin that doesn't exist.
  std::int64_t at(std::integral auto... bins) const;

  // All bins but underflow and overflow, in the shape of the axes.
  buffer<const std::int64_t, rank> counts() const;

  // The same histogram, underflow and overflow included, for Boost's algorithms.
  auto to_boost() const;

  template <std::size_t I = 0>
  const auto& axis() const noexcept {
    return std::get<I>(lookups_).axis();
  }

  std::size_t state_bytes() const noexcept { return bins_.size() * sizeof(std::int64_t); }
  void start(std::byte*) const noexcept {}
  // Requires: part was made for this histogram, or one with equal axes.
  void merge(const accumulator& part) noexcept;

 private:
  template <std::size_t I>
  void copy_counts(std::size_t position, std::int64_t*& to) const;
  template <std::size_t... I>
  std::size_t checked_position(std::index_sequence<I...>, std::array<std::int64_t, rank> at) const;

  std::tuple<detail::lookup<Axes>...> lookups_;
  std::vector<std::int64_t> bins_;  // row-major over extents that include underflow and overflow
};

namespace detail {

[[noreturn]] void refuse_bin(std::size_t dimension, std::int64_t found, int first, int last);
[[noreturn]] void refuse_repeated_category(std::int64_t index);
void check_bins(const char* axis, std::int64_t bins);
std::size_t count_bins(std::span<const std::size_t> extents);  // throws if no memory can hold them

// What all lookups know: the axis and the bins that it adds around its own.
template <class Axis>
class lookup_base {
  static_assert(!(Axis::options() & boost_axis::option::growth_t::value),
                "shard: the axes of a histogram can't grow");

 public:
  static constexpr bool has_underflow = Axis::options() & boost_axis::option::underflow_t::value;
  static constexpr bool has_overflow = Axis::options() & boost_axis::option::overflow_t::value;

  explicit lookup_base(Axis axis) : axis_(std::move(axis)) {}

  const Axis& axis() const noexcept { return axis_; }
  int first() const noexcept { return has_underflow ? -1 : 0; }
  int last() const noexcept { return has_overflow ? axis_.size() : axis_.size() - 1; }
  std::size_t extent() const noexcept { return static_cast<std::size_t>(last() - first()) + 1; }

  bool has(int index) const noexcept {
    return (has_underflow || index >= 0) && (has_overflow || index < axis_.size());
  }

 private:
  Axis axis_;
};

// Finds the bin of a value: lookup(x) is its index, -1 below the axis and size() above it.
// This one, for axes over floating point, leaves the work to Boost.
template <class Axis>
class lookup : public lookup_base<Axis> {
  using value_type = boost_axis::traits::value_type<Axis>;
  static_assert(
      std::is_floating_point_v<value_type>,
      "shard: make axes with shard::axis::regular, circular, integer, variable or category");

 public:
  using lookup_base<Axis>::lookup_base;

  template <class X>
  int operator()(const X& x) const noexcept {
    static_assert(std::is_arithmetic_v<X>, "shard: this axis of the histogram takes numbers");
    return this->axis().index(static_cast<value_type>(x));
  }
};

// Boost would narrow the value to int, and subtract before it compares.
template <class Metadata>
class lookup<boost_axis::integer<int, Metadata>>
    : public lookup_base<boost_axis::integer<int, Metadata>> {
 public:
  using lookup_base<boost_axis::integer<int, Metadata>>::lookup_base;

  template <class X>
  int operator()(const X& x) const noexcept {
    static_assert(std::is_integral_v<X>,
                  "shard: this axis of the histogram takes integers; "
                  "shard::axis::regular takes floating point");
    const int low = this->axis().value(0);
    const int bins = this->axis().size();
    if (std::cmp_less(+x, low)) return -1;
    // Not below low, so the difference needs no sign, and is right whatever wrapped around.
    const auto offset = static_cast<std::uint64_t>(x) - static_cast<std::uint64_t>(low);
    return offset < static_cast<std::uint64_t>(bins) ? static_cast<int>(offset) : bins;
  }
};

// Boost would compare the value with every category, each converted to the axis' own type. This is
// a hash table of the categories' indices, open and at most half full.
template <class T, class Metadata>
class lookup<boost_axis::category<T, Metadata>>
    : public lookup_base<boost_axis::category<T, Metadata>> {
  using axis_type = boost_axis::category<T, Metadata>;

 public:
  explicit lookup(axis_type axis);

  template <class X>
  int operator()(const X& x) const noexcept;

 private:
  static constexpr int nobody = -1;

  template <class X>
  static std::size_t hash(const X& x) noexcept;
  template <class X>
  std::size_t slot_of(const X& x) const noexcept;

  std::vector<int> slots_;  // a power of two; the index of a category, or nobody
};

// Accumulators carry their own copy of a small axis, so that the compiler can keep it in registers;
// one with memory behind it stays in the reducer, which outlives them.
template <class Axis>
using lookup_handle = std::conditional_t<std::is_trivially_destructible_v<lookup<Axis>>,
                                         lookup<Axis>, std::reference_wrapper<const lookup<Axis>>>;

}  // namespace detail

template <class... Axes>
class histogram<Axes...>::accumulator {
 public:
  accumulator(const histogram& of, std::byte* state);
  accumulator(const accumulator&) = delete;  // take it by reference: auto& bins
  accumulator& operator=(const accumulator&) = delete;

  // Adds 1 to the bin of these values, one for each axis.
  template <class... X>
  void operator()(const X&... x) noexcept {
    add(1, x...);
  }

  // Adds count instead.
  template <class... X>
  void add(std::int64_t count, const X&... x) noexcept;

  void store(std::byte*) const noexcept {}  // the bins are in the state already

 private:
  friend histogram;

  // Moves position along axis I to the bin of x. False: there is none.
  template <std::size_t I, class X>
  bool step(std::size_t& position, const X& x) const noexcept;

  std::tuple<detail::lookup_handle<Axes>...> lookups_;
  std::int64_t* bins_;
};

template <class... Axes>
histogram<Axes...>::accumulator::accumulator(const histogram& of, std::byte* state)
    : lookups_(of.lookups_), bins_(reinterpret_cast<std::int64_t*>(state)) {}

template <class... Axes>
template <class... X>
void histogram<Axes...>::accumulator::add(std::int64_t count, const X&... x) noexcept {
  static_assert(sizeof...(X) == rank, "shard: give one value for each axis of the histogram");
  if constexpr (sizeof...(X) == rank) {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      std::size_t position = 0;
      if ((step<I>(position, x) && ...))
        bins_[position] = detail::wrapping_add(bins_[position], count);
    }(std::make_index_sequence<rank>());
  }
}

template <class... Axes>
template <std::size_t I, class X>
bool histogram<Axes...>::accumulator::step(std::size_t& position, const X& x) const noexcept {
  const auto& along =
      static_cast<const detail::lookup<std::tuple_element_t<I, std::tuple<Axes...>>>&>(
          std::get<I>(lookups_));
  const int index = along(x);
  position = position * along.extent() + static_cast<std::size_t>(index - along.first());
  return along.has(index);
}

template <class... Axes>
histogram<Axes...>::histogram(Axes... axes) : lookups_(std::move(axes)...) {
  std::apply(
      [this](const auto&... along) {
        bins_.resize(detail::count_bins(std::array<std::size_t, rank>{along.extent()...}));
      },
      lookups_);
}

template <class... Axes>
void histogram<Axes...>::merge(const accumulator& part) noexcept {
  for (std::size_t i = 0; i < bins_.size(); ++i)
    bins_[i] = detail::wrapping_add(bins_[i], part.bins_[i]);
}

template <class... Axes>
std::int64_t histogram<Axes...>::at(std::integral auto... bins) const {
  static_assert(sizeof...(bins) == rank, "shard: give one index for each axis of the histogram");
  // An index too large for the type is too large for the axis.
  constexpr std::int64_t beyond = std::numeric_limits<std::int64_t>::max();
  const std::array<std::int64_t, rank> at{
      (std::in_range<std::int64_t>(+bins) ? static_cast<std::int64_t>(bins) : beyond)...};
  return bins_[checked_position(std::make_index_sequence<rank>(), at)];
}

template <class... Axes>
template <std::size_t... I>
std::size_t histogram<Axes...>::checked_position(std::index_sequence<I...>,
                                                 std::array<std::int64_t, rank> at) const {
  std::size_t position = 0;
  const auto step = [&](std::size_t dimension, const auto& along, std::int64_t index) {
    if (index < along.first() || index > along.last())
      detail::refuse_bin(dimension, index, along.first(), along.last());
    position = position * along.extent() + static_cast<std::size_t>(index - along.first());
  };
  (step(I, std::get<I>(lookups_), at[I]), ...);
  return position;
}

template <class... Axes>
buffer<const std::int64_t, histogram<Axes...>::rank> histogram<Axes...>::counts() const {
  auto result = std::apply(
      [](const auto&... along) {
        return buffer<std::int64_t, rank>(static_cast<std::size_t>(along.axis().size())...);
      },
      lookups_);
  std::int64_t* to = result.span().data();
  copy_counts<0>(0, to);
  return result;
}

template <class... Axes>
template <std::size_t I>
void histogram<Axes...>::copy_counts(std::size_t position, std::int64_t*& to) const {
  const auto& along = std::get<I>(lookups_);
  for (int index = 0; index < along.axis().size(); ++index) {
    const std::size_t next =
        position * along.extent() + static_cast<std::size_t>(index - along.first());
    if constexpr (I + 1 < rank) {
      copy_counts<I + 1>(next, to);
    } else {
      *to++ = bins_[next];
    }
  }
}

template <class... Axes>
auto histogram<Axes...>::to_boost() const {
  return [this]<std::size_t... I>(std::index_sequence<I...>) {
    auto result = boost::histogram::make_histogram_with(
        boost::histogram::dense_storage<std::int64_t>(), std::get<I>(lookups_).axis()...);
    for (auto&& cell : boost::histogram::indexed(result, boost::histogram::coverage::all))
      *cell = at(cell.index(I)...);
    return result;
  }(std::make_index_sequence<rank>());
}

namespace detail {

template <class T, class Metadata>
lookup<boost_axis::category<T, Metadata>>::lookup(axis_type axis)
    : lookup_base<axis_type>(std::move(axis)) {
  std::size_t slots = 2;
  while (slots < 2 * static_cast<std::size_t>(this->axis().size())) slots *= 2;
  slots_.assign(slots, nobody);
  for (int index = 0; index < this->axis().size(); ++index) {
    const std::size_t slot = slot_of(this->axis().value(index));
    if (slots_[slot] != nobody) refuse_repeated_category(index);
    slots_[slot] = index;
  }
}

template <class T, class Metadata>
template <class X>
int lookup<boost_axis::category<T, Metadata>>::operator()(const X& x) const noexcept {
  if constexpr (string_like<T>) {
    static_assert(string_like<X>, "shard: this axis of the histogram takes text");
  } else {
    static_assert(std::is_integral_v<X> == std::is_integral_v<T> &&
                      (std::is_integral_v<X> || std::is_same_v<X, T>),
                  "shard: this axis of the histogram takes values of its categories' type");
  }
  const int index = slots_[slot_of(x)];
  return index == nobody ? this->axis().size() : index;
}

// The same for all types that can be equal: every integer as 64 bits, all text as characters.
template <class T, class Metadata>
template <class X>
std::size_t lookup<boost_axis::category<T, Metadata>>::hash(const X& x) noexcept {
  if constexpr (string_like<X>) {
    return std::hash<std::string_view>()(x);
  } else {
    const std::uint64_t mixed = static_cast<std::uint64_t>(x) * 0x9E3779B97F4A7C15u;
    return static_cast<std::size_t>(mixed ^ mixed >> 32);
  }
}

template <class A, class B>
bool same_category(const A& a, const B& b) noexcept {
  if constexpr (string_like<A>) {
    return std::string_view(a) == std::string_view(b);
  } else if constexpr (std::is_integral_v<A>) {
    return std::cmp_equal(+a, +b);
  } else {
    return a == b;
  }
}

// Where the category x is, or the empty slot where it would be.
template <class T, class Metadata>
template <class X>
std::size_t lookup<boost_axis::category<T, Metadata>>::slot_of(const X& x) const noexcept {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = hash(x) & mask;
  while (slots_[slot] != nobody && !same_category(this->axis().value(slots_[slot]), x))
    slot = (slot + 1) & mask;
  return slot;
}

}  // namespace detail

template <class T>
axis::category_axis<T> axis::category(std::initializer_list<T> values) {
  return category(std::span(values.begin(), values.size()));
}

template <std::ranges::input_range R>
  requires(!detail::string_like<R>)
axis::category_axis<std::ranges::range_value_t<R>> axis::category(const R& values) {
  using value = detail::category_value<std::ranges::range_value_t<R>>;
  static_assert(std::is_integral_v<value> || std::is_enum_v<value> || detail::string_like<value>,
                "shard: categories are integers, enumerators or text");
  std::vector<value> kept;
  for (const auto& x : values) {
    if constexpr (detail::string_like<value>) {
      kept.emplace_back(std::string_view(x));
    } else {
      kept.push_back(x);
    }
  }
  detail::check_bins("category", static_cast<std::int64_t>(kept.size()));
  return category_axis<value>(std::make_move_iterator(kept.begin()),
                              std::make_move_iterator(kept.end()));
}

}  // namespace shard
