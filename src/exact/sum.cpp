#include <cstddef>
#include <cstdint>

#include "exact/arithmetic_mode.hpp"
#include "exact/ieee.hpp"
#include "exact/kinds.hpp"
#include "exact/natural.hpp"
#include "exact/number.hpp"
#include "exact/one_by_one.hpp"
#include "exact/source.hpp"
#include "exact/summation.hpp"
#include "shard/exact.hpp"

namespace shard::exact {
namespace {

using detail::words_of_sum;
using sum_words = detail::packed_numbers<1, words_of_sum>;

template <class T>
[[gnu::noinline]] void add_blocks(summation& to, const numbers<T>& values) noexcept {
  const default_arithmetic mode;
  source<T> from(values);
  each_block(values.count, [&](std::size_t first, std::size_t count) {
    to.add_block(from.block(first, count), count);
  });
}

// False: nothing is added.
bool add_few(sum_words& to, const numbers<double>& values) noexcept {
  nearby sum = reader<sum_words>(to).next_nearby();
  const std::uint8_t kinds = each_number(
      values.first, values.count, [&](bool negative, unsigned position, std::uint64_t mantissa) {
        sum.add(negative, position, mantissa);
      });
  if (!sum.fits()) return false;
  writer<sum_words>(to).next(sum.close<words_of_sum>());
  to.kinds = kind::both(to.kinds, kinds);
  return true;
}

number<words_of_sum> read(const sum_words& from) noexcept {
  return reader<sum_words>(from).next<words_of_sum>();
}

void merge_into(sum_words& to, std::uint8_t kinds, const number<words_of_sum>& more) noexcept {
  writer<sum_words>(to).next(read(to) + more);
  to.kinds = kind::both(to.kinds, kinds);
}

template <class F>
F value_of(const sum_words& of) noexcept {
  if ((of.kinds & kind::not_finite) != 0) return special<F>(of.kinds);
  const auto sum = read(of);
  if (sum.is_zero()) return zero_sum<F>(of.kinds);
  return rounded<F>(sum.negative(), top_of(magnitude_of(sum, sum_unit)));
}

}  // namespace

void sum_state::add(numbers<double> values) noexcept {
  if (values.count <= nearby::few && values.stride == 1 && add_few(held_, values)) return;
  summation found;
  if (values.count < worth_cutting && values.stride == 1) {
    found.add_each(values.first, values.count);
  } else {
    add_blocks(found, values);
  }
  merge_into(held_, found.kinds(), found.total());
}

void sum_state::add(numbers<float> values) noexcept {
  summation found;
  add_blocks(found, values);
  merge_into(held_, found.kinds(), found.total());
}

void sum_state::merge(const sum_state& part) noexcept {
  merge_into(held_, part.held_.kinds, read(part.held_));
}

double sum_state::value() const noexcept { return value_of<double>(held_); }
float sum_state::value_as_float() const noexcept { return value_of<float>(held_); }

double sum(numbers<double> values) noexcept {
  sum_state all;
  all.add(values);
  return all.value();
}

}  // namespace shard::exact
