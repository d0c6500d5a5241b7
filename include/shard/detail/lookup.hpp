// Lookups: which bin of an axis a value is in. Histograms of all kinds share them. Not for users.
#pragma once

#include <algorithm>
#include <boost/histogram/axis/category.hpp>
#include <boost/histogram/axis/integer.hpp>
#include <boost/histogram/axis/option.hpp>
#include <boost/histogram/axis/traits.hpp>
#include <boost/histogram/axis/variable.hpp>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "shard/axis.hpp"
#include "shard/detail/narrowing.hpp"

namespace shard::detail {

[[noreturn]] void refuse_repeated_category(std::int64_t index);
[[noreturn]] void refuse_edges();

// What all lookups know: the axis and the bins that it adds around its own.
template <class Axis>
class lookup_base {
  static_assert(!(Axis::options() & boost_axis::option::growth_t::value),
                "shard: the axes of a histogram can't grow");

 public:
  static constexpr bool has_underflow = Axis::options() & boost_axis::option::underflow_t::value;
  static constexpr bool has_overflow = Axis::options() & boost_axis::option::overflow_t::value;
  // Whether there is a bin for each value.
  static constexpr bool has_every_value = has_underflow && has_overflow;

  explicit lookup_base(Axis axis) : axis_(std::move(axis)) {}

  const Axis& axis() const noexcept { return axis_; }
  friend bool operator==(const lookup_base& a, const lookup_base& b) { return a.axis_ == b.axis_; }
  int first() const noexcept { return has_underflow ? -1 : 0; }
  int last() const noexcept { return has_overflow ? axis_.size() : axis_.size() - 1; }
  std::size_t extent() const noexcept { return static_cast<std::size_t>(last() - first()) + 1; }

  // The place of a bin on this axis: the first one has place 0, which may be an underflow bin.
  std::size_t place_of(int index) const noexcept {
    return static_cast<std::size_t>(index - first());
  }
  bool has(int index) const noexcept {
    return (has_underflow || index >= 0) && (has_overflow || index < axis_.size());
  }

 private:
  Axis axis_;
};

// The largest value of To that is not above x; a NaN for a NaN. Where edges are values of To, it is
// in the same bin as x, which a value rounded to nearest need not be.
template <std::floating_point To, class X>
To rounded_down(X x) noexcept {
  const To nearest = static_cast<To>(x);
  constexpr To below = -std::numeric_limits<To>::infinity();
  if constexpr (widens<X, To>()) {
    return nearest;
  } else if constexpr (std::is_floating_point_v<X>) {
    return static_cast<X>(nearest) > x ? std::nextafter(nearest, below) : nearest;
  } else {
    // An integer of too many bits. All that are nearest to 2^63 or 2^64 are below it.
    constexpr To beyond = static_cast<To>(std::numeric_limits<X>::max() / 2 + 1) * 2;
    return nearest >= beyond || static_cast<X>(nearest) > x ? std::nextafter(nearest, below)
                                                            : nearest;
  }
}

// lookup(x) is the index of the bin of x: -1 below the axis, size() above the axis.
// This template is for Boost's axes over floating point. Their formula for the index disagrees with
// the edges that they report. The formula gives a guess, and a table of the edges corrects the
// guess.
template <class Axis>
class lookup : public lookup_base<Axis> {
  using value_type = boost_axis::traits::value_type<Axis>;
  static_assert(
      std::is_floating_point_v<value_type>,
      "shard: make axes with shard::axis::regular, circular, integer, variable or category");
  static_assert(!(Axis::options() & boost_axis::option::circular_t::value),
                "shard: make circular axes with shard::axis::circular");

 public:
  explicit lookup(Axis axis);

  template <class X>
  int operator()(const X& x) const noexcept;

 private:
  std::vector<value_type> edges_;
};

template <class Axis>
lookup<Axis>::lookup(Axis axis) : lookup_base<Axis>(std::move(axis)) {
  for (int k = 0; k <= this->axis().size(); ++k) edges_.push_back(this->axis().value(k));
  for (std::size_t k = 1; k < edges_.size(); ++k)
    if (!(edges_[k - 1] <= edges_[k])) refuse_edges();
}

template <class Axis>
template <class X>
int lookup<Axis>::operator()(const X& given) const noexcept {
  static_assert(std::is_arithmetic_v<X>, "shard: this axis of the histogram takes numbers");
  const auto x = rounded_down<value_type>(given);
  const int size = this->axis().size();
  if (is_nan(static_cast<double>(x)) || !(x < edges_.back())) return size;
  int k = std::clamp(this->axis().index(x), -1, size - 1);
  const auto edge = [&](int i) { return edges_[static_cast<std::size_t>(i)]; };
  while (k >= 0 && x < edge(k)) --k;
  while (edge(k + 1) <= x) ++k;  // ends: x is below the last edge
  return k;
}

// The axes over floating point that keep to their edges by themselves.
template <class Axis>
class lookup_by_axis : public lookup_base<Axis> {
 public:
  using lookup_base<Axis>::lookup_base;

  template <class X>
  int operator()(const X& x) const noexcept {
    static_assert(std::is_arithmetic_v<X>, "shard: this axis of the histogram takes numbers");
    return this->axis().index(rounded_down<boost_axis::traits::value_type<Axis>>(x));
  }
};

template <>
class lookup<axis::regular_axis> : public lookup_by_axis<axis::regular_axis> {
 public:
  using lookup_by_axis::lookup_by_axis;

  // Of many values at once.
  void places(const double* x, std::size_t count, std::uint32_t* to) const noexcept {
    axis().places(x, count, to);
  }
};
template <>
class lookup<axis::circular_axis> : public lookup_by_axis<axis::circular_axis> {
 public:
  static constexpr bool has_every_value = true;
  using lookup_by_axis::lookup_by_axis;
};
template <>
class lookup<axis::logarithmic_axis> : public lookup_by_axis<axis::logarithmic_axis> {
  using lookup_by_axis::lookup_by_axis;
};
template <>
class lookup<axis::variable_axis> : public lookup_by_axis<axis::variable_axis> {
 public:
  using lookup_by_axis::lookup_by_axis;

  template <class X>
  int operator()(const X& given) const noexcept {
    static_assert(std::is_arithmetic_v<X>, "shard: this axis of the histogram takes numbers");
    const double x = rounded_down<double>(given);
    return is_nan(x) ? this->axis().size() : this->axis().index(x);
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

// The same for all types that can be equal: every integer as 64 bits, all text as characters.
template <class X>
std::size_t hash_of_category(const X& x) noexcept {
  if constexpr (string_like<X>) {
    return std::hash<std::string_view>()(x);
  } else {
    const std::uint64_t mixed = static_cast<std::uint64_t>(x) * 0x9E3779B97F4A7C15u;
    return static_cast<std::size_t>(mixed ^ mixed >> 32);
  }
}

// Boost would compare the value with every category, each converted to the axis' own type. This is
// a hash table of the categories' indices, open and at most half full.
template <class T, class Metadata>
class lookup<boost_axis::category<T, Metadata>>
    : public lookup_base<boost_axis::category<T, Metadata>> {
  using axis_type = boost_axis::category<T, Metadata>;

 public:
  // Of categories there is no underflow: what is none is in the overflow bin.
  static constexpr bool has_every_value = lookup_base<axis_type>::has_overflow;

  explicit lookup(axis_type axis);

  template <class X>
  int operator()(const X& x) const noexcept;

 private:
  static constexpr int nobody = -1;

  template <class X>
  std::size_t slot_of(const X& x) const noexcept;

  std::vector<int> slots_;  // a power of two; the index of a category, or nobody
};

// Accumulators carry their own copy of a small axis, so that the compiler can keep it in registers;
// one with memory behind it stays in the reducer, which outlives them.
template <class Axis>
using lookup_handle = std::conditional_t<std::is_trivially_destructible_v<lookup<Axis>>,
                                         lookup<Axis>, std::reference_wrapper<const lookup<Axis>>>;

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
  std::size_t slot = hash_of_category(x) & mask;
  while (slots_[slot] != nobody && !same_category(this->axis().value(slots_[slot]), x))
    slot = (slot + 1) & mask;
  return slot;
}

}  // namespace shard::detail
