#include <cstddef>
#include <cstdint>

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
using dot_words = detail::packed_numbers<1, words_of_products>;

template <class T>
[[gnu::noinline]] void add_blocks(products& to, const numbers<T>& x, const numbers<T>& y) noexcept {
  const default_arithmetic mode;
  source<T> from_x(x);
  source<T> from_y(y);
  each_block(x.count, [&](std::size_t first, std::size_t count) {
    to.add_block(from_x.block(first, count), from_y.block(first, count), count);
  });
}

// False: nothing is added.
bool add_few(dot_words& to, const numbers<double>& x, const numbers<double>& y) noexcept {
  nearby sum = reader<dot_words>(to).next_nearby();
  const std::uint8_t kinds = each_product(x.first, y.first, x.count,
                                          [&](bool negative, unsigned position, uint128 mantissa) {
                                            sum.add(negative, position, mantissa);
                                          });
  if (!sum.fits()) return false;
  writer<dot_words>(to).next(sum.close<words_of_products>());
  to.kinds = kind::both(to.kinds, kinds);
  return true;
}

number<words_of_products> read(const dot_words& from) noexcept {
  return reader<dot_words>(from).next<words_of_products>();
}

void merge_into(dot_words& to, std::uint8_t kinds, const number<words_of_products>& more) noexcept {
  writer<dot_words>(to).next(read(to) + more);
  to.kinds = kind::both(to.kinds, kinds);
}

template <class F>
F value_of(const dot_words& of) noexcept {
  if ((of.kinds & kind::not_finite) != 0) return special<F>(of.kinds);
  const auto sum = read(of);
  if (sum.is_zero()) return zero_sum<F>(of.kinds);
  return rounded<F>(sum.negative(), top_of(magnitude_of(sum, product_unit)));
}

}  // namespace

void dot_state::add(numbers<double> x, numbers<double> y) noexcept {
  const bool side_by_side = x.stride == 1 && y.stride == 1;
  if (x.count <= nearby::few && side_by_side && add_few(held_, x, y)) return;
  products found;
  if (x.count < worth_cutting && side_by_side) {
    found.add_each(x.first, y.first, x.count);
  } else {
    add_blocks(found, x, y);
  }
  merge_into(held_, found.kinds(), found.total());
}

void dot_state::add(numbers<float> x, numbers<float> y) noexcept {
  products found;
  add_blocks(found, x, y);
  merge_into(held_, found.kinds(), found.total());
}

void dot_state::merge(const dot_state& part) noexcept {
  merge_into(held_, part.held_.kinds, read(part.held_));
}

double dot_state::value() const noexcept { return value_of<double>(held_); }
float dot_state::value_as_float() const noexcept { return value_of<float>(held_); }

double dot_state::root() const noexcept {
  if ((held_.kinds & kind::not_finite) != 0) {
    const auto sum = special<double>(held_.kinds);
    return sum == infinity<double>(true) ? canonical_nan<double>() : sum;
  }
  const auto sum = read(held_);
  if (sum.negative()) return canonical_nan<double>();
  if (sum.is_zero()) return zero_sum<double>(held_.kinds);
  return rounded<double>(false,
                         square_root(quotient(magnitude_of(sum, product_unit), natural_of(1))));
}

double dot(numbers<double> x, numbers<double> y) noexcept {
  dot_state all;
  all.add(x, y);
  return all.value();
}

double norm2(numbers<double> values) noexcept {
  dot_state squares;
  squares.add(values, values);
  return squares.root();
}

}  // namespace shard::exact
