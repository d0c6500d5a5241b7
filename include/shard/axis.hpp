// The axes of a histogram. Bin k of an axis holds the values x with edge k <= x < edge k + 1. The
// edges are those that the axis reports: bin(k).lower() and bin(k).upper(), or value(k). This holds
// for every value, in every build: at any optimisation level, with and without fused multiply-add,
// with -ffast-math or not. (The processor takes subnormal numbers for zeros in a program that is
// linked with -ffast-math.)
//
//   const auto minutes = shard::axis::regular(120, -60.0, 180.0);
//   minutes.bin(0).lower();  // -60
//   minutes.index(180.0);    // 120: the overflow bin
#pragma once

#include <bit>
#include <boost/histogram/axis/category.hpp>
#include <boost/histogram/axis/integer.hpp>
#include <boost/histogram/axis/interval_view.hpp>
#include <boost/histogram/axis/iterator.hpp>
#include <boost/histogram/axis/metadata_base.hpp>
#include <boost/histogram/axis/option.hpp>
#include <boost/histogram/axis/variable.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "shard/detail/packing.hpp"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace shard {

namespace detail {

namespace boost_axis = boost::histogram::axis;
using no_metadata = boost_axis::null_type;

template <class T>
concept string_like = std::convertible_to<const T&, std::string_view>;

// What a category axis stores for a T: strings own their characters.
template <class T>
using category_value = std::conditional_t<string_like<T>, std::string, T>;

// By the bits: a program that is compiled with -ffast-math knows no NaNs.
inline bool is_nan(double x) noexcept {
  return std::bit_cast<std::uint64_t>(x) << 1 > 0xFFE0'0000'0000'0000u;
}

// The integer part of x. If x is NaN or its integer part does not fit: the lowest integer.
inline std::int64_t integer_part(double x) noexcept {
#if defined(__SSE2__)
  return _mm_cvttsd_si64(_mm_set_sd(x));  // the processor does just this, without a check
#else
  return !is_nan(x) && x > -0x1p63 && x < 0x1p63 ? static_cast<std::int64_t>(x)
                                                 : std::numeric_limits<std::int64_t>::min();
#endif
}

// a + b * c, of which the product is rounded by itself. A fused multiply-add would round product
// and sum at once, and edges would differ from build to build.
inline double sum_of(double a, double b, double c) noexcept {
#if defined(__SSE2__)
  double product = b * c;
  asm("" : "+x"(product));  // something that might change it: the compiler can't fuse across
#else
  const volatile double product = b * c;
#endif
  return a + product;
}

// Bins of equal width over [low, high). Edge k is low + k * width, where width is
// (high - low) / size, each operation rounded by itself; edge size is high.
class equal_bins {
 public:
  // numbered_from: the number that find() gives to bin 0.
  equal_bins(const char* kind, std::int64_t bins, double low, double high, double numbered_from);

  int size() const noexcept { return size_; }
  double low() const noexcept { return low_; }
  double high() const noexcept { return high_; }
  double period() const noexcept { return high_ - low_; }
  bool operator==(const equal_bins& other) const noexcept {
    return size_ == other.size_ && low_ == other.low_ && high_ == other.high_;
  }

  // Edge k, for fractions of k, too. Requires: 0 <= k <= size().
  double edge(double k) const noexcept;
  // The bin of x. Requires: low() <= x < high(). Pure: so loops keep the axis in registers.
  [[gnu::pure]] int inner_bin(double x) const noexcept;

  // Whether find() is of use: bins are wider than all roundings.
  bool is_fine() const noexcept { return scale_ != 0; }
  double width() const noexcept { return width_; }
  double scale() const noexcept { return scale_; }
  double too_low() const noexcept { return too_low_; }
  double too_high() const noexcept { return too_high_; }
  // About how many bins x is above low().
  double position(double x) const noexcept { return (x - low_) * scale_; }

  // Where x is in units of bins, computed once too low and once too high, by more than all
  // roundings of this computation and of the edges together. Where both are in the same bin, that
  // is the bin of x: no edge is between them. Where they differ, the lower edge of bin `to` is
  // between them, and x must be compared with the edge itself. Bins are numbered from
  // `numbered_from` on; neither number is above 0 if nothing is known.
  struct place {
    std::int64_t from;
    std::int64_t to;
  };
  place find(double x) const noexcept {
    const double z = position(x);
    return {integer_part(z + too_low_), integer_part(z + too_high_)};
  }
  // The same for one value, in fewer instructions: about how many bins x is above low(), in units
  // of 2^-20 bins, too high by more than all roundings. A sum with a large number has these units
  // in the last places of its bits. Numbers below low(), those far above high(), and NaNs are far
  // above size(), and all are if nothing is known.
  static constexpr int unit_bits = 20;
  std::uint64_t units(double x) const noexcept {
    return std::bit_cast<std::uint64_t>(position(x) + large_) - bits_of_large;
  }
  // Whether an edge may be between these units of x and x itself: then it is the lower edge of the
  // bin that they are in.
  bool is_near_edge(std::uint64_t units) const noexcept {
    return units % (std::uint64_t{1} << unit_bits) < near_;
  }
  // Whether x is below edge k. Requires: is_fine(), 0 <= k <= size().
  bool is_below_edge(double x, int k) const noexcept {
    return x < (k < size_ ? sum_of(low_, k, width_) : high_);
  }

 private:
  static constexpr double large = 0x1.8p32;  // its last place is a unit
  static constexpr auto bits_of_large = std::bit_cast<std::uint64_t>(large);

  double low_;
  double scale_ = 0;    // bins for each unit of x; 0: bins too narrow or too wide to multiply by it
  double too_low_ = 0;  // numbered_from less all roundings
  double too_high_ = 0;     // numbered_from and all roundings
  double large_ = 0;        // `large` and all roundings
  std::uint32_t near_ = 0;  // the units of twice all roundings
  int size_ = 0;            // beside it: equal axes have equal bytes, without padding
  double width_ = 0;
  double high_;
};

// Bins over [low, high) that are equally wide in the logarithm. The edges are calculated once, in
// whole numbers (src/mapping/logarithmic.cpp says how), and a value is found by comparing it with
// them.
class logarithmic_bins {
 public:
  logarithmic_bins(std::int64_t bins, double low, double high);

  int size() const noexcept { return static_cast<int>(edges_.size()) - 1; }
  double low() const noexcept { return edges_.front(); }
  double high() const noexcept { return edges_.back(); }
  double edge(int k) const noexcept { return edges_[static_cast<std::size_t>(k)]; }
  // Edges for fractions of k, too. Requires: 0 <= k <= size().
  double between_edges(double k) const noexcept;

  // The bin of x. Requires: low() <= x < high().
  int inner_bin(double x) const noexcept {
    const std::size_t stretch = (bits(x) - bits(low())) >> shift_;
    int first = firsts_[stretch];
    int last = firsts_[stretch + 1];  // [first, last] holds the bin
    while (first < last) {
      const int middle = last - (last - first) / 2;
      if (edge(middle) <= x) {
        first = middle;
      } else {
        last = middle - 1;
      }
    }
    return first;
  }

 private:
  // Of numbers above zero: ascends as they do, and evenly between powers of two. So stretches of
  // equally many such words hold about as many edges each.
  static std::uint64_t bits(double x) noexcept { return std::bit_cast<std::uint64_t>(x); }

  std::vector<double> edges_;
  std::vector<int>
      firsts_;  // the bin of the first number of each stretch; at the end, the last bin
  int shift_ = 0;
};

double regular_edge(const equal_bins& bins, double k) noexcept;
double circular_edge(const equal_bins& bins, double k) noexcept;
[[gnu::pure]] int circular_bin(const equal_bins& bins, double x) noexcept;

[[noreturn]] void refuse_part_of_circle();

void check_bins(const char* axis, std::int64_t bins);

}  // namespace detail

namespace axis {

// Bins of equal width over [low, high), with an underflow and an overflow bin. An axis of
// Boost.Histogram, for its algorithms.
class regular_axis : public boost::histogram::axis::iterator_mixin<regular_axis> {
 public:
  // Throws shard::error for fewer than one bin, and for bounds that are not finite and ascending.
  regular_axis(std::int64_t bins, double low, double high)
      : bins_("regular", bins, low, high, 1.0) {}
  // For boost::histogram::algorithm::reduce: bins first to last - 1, of which `merge` become one.
  regular_axis(const regular_axis& from, int first, int last, unsigned merge)
      : regular_axis((last - first) / static_cast<int>(merge), from.value(first),
                     from.value(last)) {}

  // The bin of x: -1 below the axis, size() above it and for NaN.
  int index(double x) const noexcept {
    const std::uint64_t units = bins_.units(x);
    const std::uint64_t found = units >> detail::equal_bins::unit_bits;
    if (found <= static_cast<std::uint64_t>(size())) [[likely]] {
      const int bin = static_cast<int>(found);
      if (!bins_.is_near_edge(units)) [[likely]]
        return bin;
      return bins_.is_below_edge(x, bin) ? bin - 1 : bin;
    }
    if (detail::is_nan(x)) return size();
    if (x < bins_.low()) return -1;
    return x < bins_.high() ? bins_.inner_bin(x) : size();
  }
  // Edge k; between edges for fractions. Infinite below 0 and above size().
  double value(double k) const noexcept { return detail::regular_edge(bins_, k); }
  // to[i] = index(x[i]) + 1, for many values. Not for users.
  void places(const double* x, std::size_t count, std::uint32_t* to) const noexcept;

  auto bin(int k) const noexcept {
    return boost::histogram::axis::interval_view<regular_axis>(*this, k);
  }
  int size() const noexcept { return bins_.size(); }

  static constexpr unsigned options() noexcept {
    return decltype(boost::histogram::axis::option::underflow |
                    boost::histogram::axis::option::overflow)::value;
  }
  bool operator==(const regular_axis& other) const noexcept { return bins_ == other.bins_; }

 private:
  detail::equal_bins bins_;
};

// Bins of equal width over [low, high), which repeat below and above. Edge k + size() is edge k
// moved by high - low, and begins the same bin. An overflow bin holds what is not finite. An axis
// of Boost.Histogram, for its algorithms.
class circular_axis : public boost::histogram::axis::iterator_mixin<circular_axis> {
 public:
  // Throws as regular_axis does.
  circular_axis(std::int64_t bins, double low, double high)
      : bins_("circular", bins, low, high, 1.0 + static_cast<double>(bins)) {}
  // For boost::histogram::algorithm::reduce, which can only merge bins of a circle.
  circular_axis(const circular_axis& from, int first, int last, unsigned merge)
      : circular_axis((last - first) / static_cast<int>(merge), from.bins_.low(),
                      from.bins_.high()) {
    if (first != 0 || last != from.size()) detail::refuse_part_of_circle();
  }

  // The bin of x: size() if x is not finite. A value of which more than 2^48 bins lie between low
  // and itself is reduced by std::fmod first.
  int index(double x) const noexcept {
    // Numbers 1 to 3 * size: the period below low, the axis itself, and the period above.
    const auto size = static_cast<std::uint64_t>(bins_.size());
    const auto [from, to] = bins_.find(x);
    std::uint64_t bin = static_cast<std::uint64_t>(to) - 1;
    if (from == to && bin < 3 * size) [[likely]] {
      bin -= bin < size ? 0 : size;
      bin -= bin < size ? 0 : size;
      return static_cast<int>(bin);
    }
    if (bin - size <= size) {  // an edge of the axis itself
      const int edge = static_cast<int>(bin - size);
      const int inner = bins_.is_below_edge(x, edge) ? edge - 1 : edge;
      return inner < 0 ? bins_.size() - 1 : inner == bins_.size() ? 0 : inner;
    }
    return detail::circular_bin(bins_, x);
  }
  // Edge k, below 0 and above size() as well; between edges for fractions.
  double value(double k) const noexcept { return detail::circular_edge(bins_, k); }

  auto bin(int k) const noexcept {
    return boost::histogram::axis::interval_view<circular_axis>(*this, k);
  }
  int size() const noexcept { return bins_.size(); }

  static constexpr unsigned options() noexcept {
    return decltype(boost::histogram::axis::option::overflow |
                    boost::histogram::axis::option::circular)::value;
  }
  bool operator==(const circular_axis& other) const noexcept { return bins_ == other.bins_; }

 private:
  detail::equal_bins bins_;
};

// Bins over [low, high) whose edges have equal ratios, with an underflow and an overflow bin. An
// axis of Boost.Histogram, for its algorithms. It has memory for its edges.
class logarithmic_axis : public boost::histogram::axis::iterator_mixin<logarithmic_axis> {
 public:
  // Throws shard::error for fewer than one bin, and for bounds that are not finite, above zero and
  // ascending.
  logarithmic_axis(std::int64_t bins, double low, double high) : bins_(bins, low, high) {}
  // For boost::histogram::algorithm::reduce.
  logarithmic_axis(const logarithmic_axis& from, int first, int last, unsigned merge)
      : logarithmic_axis((last - first) / static_cast<int>(merge), from.value(first),
                         from.value(last)) {}

  // The bin of x: -1 below the axis, size() above it and for NaN.
  int index(double x) const noexcept {
    if (detail::is_nan(x)) return size();
    if (x < bins_.low()) return -1;
    return x < bins_.high() ? bins_.inner_bin(x) : size();
  }
  // Edge k; between edges for fractions. Infinite below 0 and above size().
  double value(double k) const noexcept;

  auto bin(int k) const noexcept {
    return boost::histogram::axis::interval_view<logarithmic_axis>(*this, k);
  }
  int size() const noexcept { return bins_.size(); }

  static constexpr unsigned options() noexcept {
    return decltype(boost::histogram::axis::option::underflow |
                    boost::histogram::axis::option::overflow)::value;
  }
  bool operator==(const logarithmic_axis& other) const noexcept {
    return size() == other.size() && bins_.low() == other.bins_.low() &&
           bins_.high() == other.bins_.high();
  }

  // What makes it. Not for users.
  void pack(detail::packer& to) const {
    to.put(size());
    to.put(bins_.low());
    to.put(bins_.high());
  }
  static logarithmic_axis unpack(detail::unpacker& from) {
    const auto bins = from.get<int>();
    const auto low = from.get<double>();
    return {bins, low, from.get<double>()};
  }

 private:
  detail::logarithmic_bins bins_;
};

// Boost's own axes.
using integer_axis = boost::histogram::axis::integer<int, detail::no_metadata>;
using variable_axis = boost::histogram::axis::variable<double, detail::no_metadata>;
template <class T>
using category_axis =
    boost::histogram::axis::category<detail::category_value<T>, detail::no_metadata>;

// These functions throw shard::error for fewer than one bin, and for bounds that are not finite and
// ascending.

// Bins of equal width over [low, high). Edge k is low + k * ((high - low) / bins) in double, as in
// numpy.linspace(low, high, bins + 1). Underflow below; overflow from high on, and NaN.
regular_axis regular(std::int64_t bins, double low, double high);

// Bins over [low, high) that are equally wide in the logarithm. Edge k is
// low * (high / low)^(k / bins), off by at most 0.51 units in the last place: calculated in whole
// numbers, so that it has the same bits everywhere. Where that is a double, it is the edge: those
// of logarithmic(6, 1, 1e6) are the powers of ten. Underflow below, with zero and all that is
// negative; overflow from high on, and NaN. The axis takes 12 to 16 bytes for each bin.
logarithmic_axis logarithmic(std::int64_t bins, double low, double high);

// Bins of equal width over [low, high), which repeats: high falls into the first bin again.
// Overflow holds what is not finite.
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

template <class T>
category_axis<T> category(std::initializer_list<T> values) {
  return category(std::span(values.begin(), values.size()));
}

template <std::ranges::input_range R>
  requires(!detail::string_like<R>)
category_axis<std::ranges::range_value_t<R>> category(const R& values) {
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

}  // namespace axis

namespace detail {

// Boost's axes say of themselves only what makes them.
template <>
struct packing<axis::integer_axis> {
  static constexpr bool possible = true;
  static void pack(const axis::integer_axis& x, packer& to) {
    to.put(x.value(0));
    to.put(x.value(x.size()));
  }
  static axis::integer_axis unpack(unpacker& from) {
    const auto low = from.get<int>();
    return {low, from.get<int>()};
  }
};
template <>
struct packing<axis::variable_axis> {
  static constexpr bool possible = true;
  static void pack(const axis::variable_axis& x, packer& to) {
    std::vector<double> edges;
    for (int k = 0; k <= x.size(); ++k) edges.push_back(x.value(k));
    to.put(edges);
  }
  static axis::variable_axis unpack(unpacker& from) {
    return axis::variable_axis(from.get<std::vector<double>>());
  }
};
template <class T>
struct packing<boost_axis::category<T, no_metadata>> {
  using axis_type = boost_axis::category<T, no_metadata>;
  static constexpr bool possible = packable<T>;
  static void pack(const axis_type& x, packer& to) {
    to.put(x.size());
    for (int k = 0; k < x.size(); ++k) to.put<T>(x.value(k));
  }
  static axis_type unpack(unpacker& from) {
    std::vector<T> values;
    for (auto left = from.get<int>(); left > 0; --left) values.push_back(from.get<T>());
    return axis_type(std::make_move_iterator(values.begin()),
                     std::make_move_iterator(values.end()));
  }
};

}  // namespace detail

}  // namespace shard
