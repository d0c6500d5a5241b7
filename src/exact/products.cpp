#include "exact/products.hpp"

#include <algorithm>

#include "exact/ieee.hpp"
#include "exact/instruction_set.hpp"
#include "exact/kinds.hpp"
#include "exact/natural.hpp"
#include "exact/one_by_one.hpp"
#include "exact/summation.hpp"

namespace shard::exact {
namespace {

// Doubles count from 2^-1074, products from 2^-2148.
constexpr unsigned offset_of_doubles = sum_unit - product_unit;

}  // namespace

void products::add_block(const double* x, const double* y, std::size_t count) noexcept {
  if (count < worth_cutting) return add_each(x, y, count);
  const fields in_x = functions().exponents(x, count);
  const fields in_y = x == y ? in_x : functions().exponents(y, count);
  if (in_x.highest == special_field || in_y.highest == special_field) return add_each(x, y, count);
  note_kinds(x, y, count);
  if (!add_split(x, y, count, in_x, in_y)) {
    functions().add_products(x, y, count, exact_.words(false), exact_.words(true));
  }
}

// Each product as two doubles: itself rounded, and the error. False: nothing is added, since a
// product might be no sum of two doubles.
bool products::add_split(const double* x, const double* y, std::size_t count, const fields& in_x,
                         const fields& in_y) noexcept {
  if (functions().cut_products == nullptr) return false;
  const int lowest = exponent_of(in_x.lowest) + exponent_of(in_y.lowest);
  const int top = exponent_of(in_x.highest) + exponent_of(in_y.highest) + 1;
  constexpr int digits_of_product = 2 * (format<double>::digits - 1);
  if (lowest - digits_of_product < format<double>::lowest || top >= 1023) return false;

  const fields in_products{static_cast<unsigned>(std::max(lowest + 1023, 0)),
                           static_cast<unsigned>(std::max(top + 1023, 0))};
  if (choice_.try_block() && cut(x, y, count, top, in_products)) return true;
  double rounded[block_size];
  double errors[block_size];
  functions().split_products(x, y, count, rounded, errors);
  groups_.add(rounded, count, exact_, offset_of_doubles);
  groups_.add(errors, count, exact_, offset_of_doubles);
  return true;
}

bool products::cut(const double* x, const double* y, std::size_t count, int top,
                   const fields& in_products) noexcept {
  double sums[most_product_windows + 1];
  double left[left_over_room];
  do {
    const unsigned windows = choice_.windows();
    if (top > 1023 - 11 || quantum_exponent(top, windows) < format<double>::lowest) return false;
    const int left_over = functions().cut_products(x, y, count, top, windows, sums, left);
    if (left_over == given_up) continue;
    add_doubles(sums, windows + 1);
    add_doubles(left, static_cast<std::size_t>(left_over));
    choice_.note_left_over(static_cast<std::size_t>(left_over), 2 * count);
    return true;
  } while (choice_.widen(in_products));
  return false;
}

void products::add_doubles(const double* x, std::size_t count) noexcept {
  for (std::size_t k = 0; k < count; ++k) {
    const parts of = parts_of(x[k]);
    if (of.mantissa != 0) exact_.add(of.negative, of.position + offset_of_doubles, of.mantissa);
  }
}

void products::note_kinds(const double* x, const double* y, std::size_t count) noexcept {
  for (std::size_t i = 0; i < count && (kinds_ & kind::finite) == 0; ++i) {
    kinds_ |= kind_of_product(parts_of(x[i]), parts_of(y[i]));
  }
}

void products::add_each(const double* x, const double* y, std::size_t count) noexcept {
  kinds_ |= each_product(x, y, count, [&](bool negative, unsigned position, uint128 mantissa) {
    exact_.add_wide(negative, position, mantissa);
  });
}

number<detail::words_of_products> products::total() noexcept {
  groups_.empty_into(exact_, offset_of_doubles);
  return exact_.total();
}

}  // namespace shard::exact
