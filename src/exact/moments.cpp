// Results of several sums: fractions of whole numbers, rounded once.
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "exact/arithmetic_mode.hpp"
#include "exact/ieee.hpp"
#include "exact/kinds.hpp"
#include "exact/natural.hpp"
#include "exact/number.hpp"
#include "exact/one_by_one.hpp"
#include "exact/products.hpp"
#include "exact/source.hpp"
#include "exact/summation.hpp"
#include "shard/exact.hpp"

namespace shard::exact {
namespace {

using detail::words_of_products;
using detail::words_of_sum;
using mean_variance_words = detail::packed_numbers<2, words_of_sum + words_of_products>;
using covariance_words = detail::packed_numbers<5, 2 * words_of_sum + 3 * words_of_products>;

// ---- one variable

struct two_sums {
  number<words_of_sum> x;
  number<words_of_products> xx;
};

two_sums read(const mean_variance_words& from) noexcept {
  reader<mean_variance_words> read(from);
  two_sums sums;
  sums.x = read.next<words_of_sum>();
  sums.xx = read.next<words_of_products>();
  return sums;
}

void merge_into(mean_variance_words& to, std::uint8_t kinds, const two_sums& more) noexcept {
  const two_sums before = read(to);
  writer<mean_variance_words> after(to);
  after.next(before.x + more.x);
  after.next(before.xx + more.xx);
  to.kinds = kind::both(to.kinds, kinds);
}

// A sum of numbers, or of products, that takes a few more.
void add_to(nearby& sum, const double* x, std::size_t count, std::uint8_t& kinds) noexcept {
  kinds |= each_number(x, count, [&](bool negative, unsigned position, std::uint64_t mantissa) {
    sum.add(negative, position, mantissa);
  });
}
void add_to(nearby& sum, const double* x, const double* y, std::size_t count) noexcept {
  each_product(x, y, count, [&](bool negative, unsigned position, uint128 mantissa) {
    sum.add(negative, position, mantissa);
  });
}

// False: nothing is added.
bool add_few(mean_variance_words& to, const numbers<double>& values) noexcept {
  reader<mean_variance_words> before(to);
  nearby x = before.next_nearby();
  nearby xx = before.next_nearby();
  std::uint8_t kinds = 0;
  add_to(x, values.first, values.count, kinds);
  add_to(xx, values.first, values.first, values.count);
  if (!x.fits() || !xx.fits()) return false;
  writer<mean_variance_words> after(to);
  after.next(x.close<words_of_sum>());
  after.next(xx.close<words_of_products>());
  to.kinds = kind::both(to.kinds, kinds);
  return true;
}

class powers {
 public:
  template <class T>
  [[gnu::noinline]] void add(const numbers<T>& values) noexcept {
    if constexpr (std::is_same_v<T, double>) {
      if (values.count < worth_cutting && values.stride == 1) {
        x_.add_each(values.first, values.count);
        xx_.add_each(values.first, values.first, values.count);
        return;
      }
    }
    const default_arithmetic mode;
    source<T> from(values);
    each_block(values.count, [&](std::size_t first, std::size_t count) {
      const double* const block = from.block(first, count);
      x_.add_block(block, count);
      xx_.add_block(block, block, count);
    });
  }
  void merge_to(mean_variance_words& to) noexcept {
    merge_into(to, x_.kinds(), {x_.total(), xx_.total()});
  }

 private:
  summation x_;
  products xx_;
};

// n Σx² - (Σx)²: n² times the population's variance, and never below zero.
natural spread(std::uint64_t n, const number<words_of_sum>& x,
               const number<words_of_products>& xx) noexcept {
  const natural sum = magnitude_of(x, sum_unit);
  return (natural_of(n) * magnitude_of(xx, product_unit) - sum * sum).magnitude;
}

// Of so many words, worth 2^position each unit.
template <std::size_t Words, std::size_t Count>
number<Words> number_at(const std::uint64_t (&words)[Count], bool with_sign,
                        unsigned position) noexcept {
  number<Words> made;
  made.first = position / 64;
  made.count = Count + 1;
  const unsigned shift = position % 64;
  const bool negative = with_sign && words[Count - 1] >> 63 != 0;
  std::uint64_t below = 0;
  for (std::size_t k = 0; k <= Count; ++k) {
    const std::uint64_t word = k < Count ? words[k] : negative ? ~std::uint64_t{0} : 0;
    made.words[k] = word << shift | below >> 1 >> (63 - shift);
    below = word;
  }
  made.trim();
  return made;
}

bool is_finite(std::uint8_t kinds) noexcept { return (kinds & kind::not_finite) == 0; }

// ---- two variables

struct five_sums {
  number<words_of_sum> x;
  number<words_of_sum> y;
  number<words_of_products> xx;
  number<words_of_products> yy;
  number<words_of_products> xy;
};

five_sums read(const covariance_words& from) noexcept {
  reader<covariance_words> read(from);
  five_sums sums;
  sums.x = read.next<words_of_sum>();
  sums.y = read.next<words_of_sum>();
  sums.xx = read.next<words_of_products>();
  sums.yy = read.next<words_of_products>();
  sums.xy = read.next<words_of_products>();
  return sums;
}

void merge_into(covariance_words& to, std::uint8_t kinds, const five_sums& more) noexcept {
  const five_sums before = read(to);
  writer<covariance_words> after(to);
  after.next(before.x + more.x);
  after.next(before.y + more.y);
  after.next(before.xx + more.xx);
  after.next(before.yy + more.yy);
  after.next(before.xy + more.xy);
  to.kinds = kind::both(to.kinds, kinds);
}

// False: nothing is added.
bool add_few(covariance_words& to, const numbers<double>& in_x,
             const numbers<double>& in_y) noexcept {
  reader<covariance_words> before(to);
  nearby x = before.next_nearby();
  nearby y = before.next_nearby();
  nearby xx = before.next_nearby();
  nearby yy = before.next_nearby();
  nearby xy = before.next_nearby();
  std::uint8_t kinds = 0;
  add_to(x, in_x.first, in_x.count, kinds);
  add_to(y, in_y.first, in_x.count, kinds);
  add_to(xx, in_x.first, in_x.first, in_x.count);
  add_to(yy, in_y.first, in_y.first, in_x.count);
  add_to(xy, in_x.first, in_y.first, in_x.count);
  if (!x.fits() || !y.fits() || !xx.fits() || !yy.fits() || !xy.fits()) return false;
  writer<covariance_words> after(to);
  after.next(x.close<words_of_sum>());
  after.next(y.close<words_of_sum>());
  after.next(xx.close<words_of_products>());
  after.next(yy.close<words_of_products>());
  after.next(xy.close<words_of_products>());
  to.kinds = kind::both(to.kinds, kinds);
  return true;
}

class joint_powers {
 public:
  template <class T>
  [[gnu::noinline]] void add(const numbers<T>& x, const numbers<T>& y) noexcept {
    if constexpr (std::is_same_v<T, double>) {
      if (x.count < worth_cutting && x.stride == 1 && y.stride == 1) {
        x_.add_each(x.first, x.count);
        y_.add_each(y.first, x.count);
        xx_.add_each(x.first, x.first, x.count);
        yy_.add_each(y.first, y.first, x.count);
        xy_.add_each(x.first, y.first, x.count);
        return;
      }
    }
    const default_arithmetic mode;
    source<T> from_x(x);
    source<T> from_y(y);
    each_block(x.count, [&](std::size_t first, std::size_t count) {
      const double* const in_x = from_x.block(first, count);
      const double* const in_y = from_y.block(first, count);
      x_.add_block(in_x, count);
      y_.add_block(in_y, count);
      xx_.add_block(in_x, in_x, count);
      yy_.add_block(in_y, in_y, count);
      xy_.add_block(in_x, in_y, count);
    });
  }
  void merge_to(covariance_words& to) noexcept {
    merge_into(to, static_cast<std::uint8_t>(x_.kinds() | y_.kinds()),
               {x_.total(), y_.total(), xx_.total(), yy_.total(), xy_.total()});
  }

 private:
  summation x_;
  summation y_;
  products xx_;
  products yy_;
  products xy_;
};

// n Σxy - Σx Σy.
difference joint_spread(std::uint64_t n, const five_sums& of) noexcept {
  const natural products_of_sums = magnitude_of(of.x, sum_unit) * magnitude_of(of.y, sum_unit);
  const natural sum_of_products = natural_of(n) * magnitude_of(of.xy, product_unit);
  const bool first_negative = of.xy.negative();
  if (first_negative == (of.x.negative() != of.y.negative())) {
    difference rest = sum_of_products - products_of_sums;
    rest.negative = rest.negative != first_negative;
    return rest;
  }
  return {first_negative, sum_of_products + products_of_sums};
}

}  // namespace

void mean_variance_state::add(numbers<double> values) noexcept {
  count_ += values.count;
  if (values.count <= nearby::few && values.stride == 1 && add_few(held_, values)) return;
  powers found;
  found.add(values);
  found.merge_to(held_);
}

void mean_variance_state::add(numbers<float> values) noexcept {
  powers found;
  found.add(values);
  found.merge_to(held_);
  count_ += values.count;
}

void mean_variance_state::merge(const mean_variance_state& part) noexcept {
  merge_into(held_, part.held_.kinds, read(part.held_));
  count_ += part.count_;
}

void mean_variance_state::merge(const detail::moment_window& part) noexcept {
  two_sums sums;
  if (part.place != 0) {
    const unsigned position = part.place - detail::moment_window::chosen - 1;
    sums.x = number_at<words_of_sum>(part.sum, true, position);
    sums.xx = number_at<words_of_products>(part.squares, false, 2 * position);
  }
  merge_into(held_, part.kinds, sums);
  count_ += part.count;
}

double mean_variance_state::sum() const noexcept {
  if (!is_finite(held_.kinds)) return special<double>(held_.kinds);
  const auto sum = read(held_).x;
  if (sum.is_zero()) return zero_sum<double>(held_.kinds);
  return rounded<double>(sum.negative(), top_of(magnitude_of(sum, sum_unit)));
}

double mean_variance_state::sum_of_squares() const noexcept {
  if ((held_.kinds & kind::nan) != 0) return canonical_nan<double>();
  if (!is_finite(held_.kinds)) return infinity<double>(false);
  const auto sum = read(held_).xx;
  return sum.is_zero() ? 0.0 : rounded<double>(false, top_of(magnitude_of(sum, product_unit)));
}

double mean_variance_state::mean() const noexcept {
  if (count_ == 0) return canonical_nan<double>();
  if (!is_finite(held_.kinds)) return special<double>(held_.kinds);
  const auto sum = read(held_).x;
  if (sum.is_zero()) return zero_sum<double>(held_.kinds);
  return rounded<double>(sum.negative(), quotient(magnitude_of(sum, sum_unit), natural_of(count_)));
}

double mean_variance_state::variance() const noexcept {
  if (count_ < 2 || !is_finite(held_.kinds)) return canonical_nan<double>();
  const two_sums sums = read(held_);
  return rounded<double>(false, quotient(spread(count_, sums.x, sums.xx),
                                         natural_of(count_) * natural_of(count_ - 1)));
}

double mean_variance_state::deviation() const noexcept {
  if (count_ < 2 || !is_finite(held_.kinds)) return canonical_nan<double>();
  const two_sums sums = read(held_);
  return rounded<double>(false, square_root(quotient(spread(count_, sums.x, sums.xx),
                                                     natural_of(count_) * natural_of(count_ - 1))));
}

double mean_variance_state::error() const noexcept {
  if (count_ < 2 || !is_finite(held_.kinds)) return canonical_nan<double>();
  const two_sums sums = read(held_);
  const natural n = natural_of(count_);
  return rounded<double>(false, square_root(quotient(spread(count_, sums.x, sums.xx),
                                                     n * n * natural_of(count_ - 1))));
}

double mean_variance_state::population_variance() const noexcept {
  if (count_ == 0 || !is_finite(held_.kinds)) return canonical_nan<double>();
  const two_sums sums = read(held_);
  const natural n = natural_of(count_);
  return rounded<double>(false, quotient(spread(count_, sums.x, sums.xx), n * n));
}

double mean_variance_state::population_deviation() const noexcept {
  if (count_ == 0 || !is_finite(held_.kinds)) return canonical_nan<double>();
  const two_sums sums = read(held_);
  const natural n = natural_of(count_);
  return rounded<double>(false, square_root(quotient(spread(count_, sums.x, sums.xx), n * n)));
}

void covariance_state::add(numbers<double> x, numbers<double> y) noexcept {
  count_ += x.count;
  const bool side_by_side = x.stride == 1 && y.stride == 1;
  if (x.count <= nearby::few && side_by_side && add_few(held_, x, y)) return;
  joint_powers found;
  found.add(x, y);
  found.merge_to(held_);
}

void covariance_state::add(numbers<float> x, numbers<float> y) noexcept {
  joint_powers found;
  found.add(x, y);
  found.merge_to(held_);
  count_ += x.count;
}

void covariance_state::merge(const covariance_state& part) noexcept {
  merge_into(held_, part.held_.kinds, read(part.held_));
  count_ += part.count_;
}

double covariance_state::covariance() const noexcept {
  if (count_ < 2 || !is_finite(held_.kinds)) return canonical_nan<double>();
  const difference joint = joint_spread(count_, read(held_));
  if (joint.magnitude.is_zero()) return 0.0;
  return rounded<double>(joint.negative,
                         quotient(joint.magnitude, natural_of(count_) * natural_of(count_ - 1)));
}

double covariance_state::correlation() const noexcept {
  if (count_ < 2 || !is_finite(held_.kinds)) return canonical_nan<double>();
  const five_sums sums = read(held_);
  const natural in_x = spread(count_, sums.x, sums.xx);
  const natural in_y = spread(count_, sums.y, sums.yy);
  if (in_x.is_zero() || in_y.is_zero()) return canonical_nan<double>();
  const difference joint = joint_spread(count_, sums);
  if (joint.magnitude.is_zero()) return 0.0;
  return rounded<double>(joint.negative,
                         square_root(quotient(joint.magnitude * joint.magnitude, in_x * in_y)));
}

}  // namespace shard::exact
