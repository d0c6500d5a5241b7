#include "exact/summation.hpp"

#include "exact/ieee.hpp"
#include "exact/instruction_set.hpp"
#include "exact/kinds.hpp"
#include "exact/one_by_one.hpp"

namespace shard::exact {
namespace {

// Whether windows are within the range of double.
constexpr bool fit(int top, unsigned windows) noexcept {
  return top <= 1023 - 11 && quantum_exponent(top, windows - 1) >= format<double>::lowest;
}

}  // namespace

void summation::add_block(const double* x, std::size_t count) noexcept {
  if (count < worth_cutting) return add_each(x, count);
  const unsigned highest = functions().highest_exponent(x, count);
  if (highest == special_field) return add_each(x, count);
  if (highest == 0) {
    note_kinds(x, count);
  } else {
    kinds_ |= kind::finite;
  }
  if (!choice_.try_block() || !cut(x, count, highest)) groups_.add(x, count, exact_, 0);
}

// False: nothing is added.
bool summation::cut(const double* x, std::size_t count, unsigned highest) noexcept {
  const int top = exponent_of(highest);
  double sums[most_windows];
  double left[left_over_room];
  do {
    const unsigned windows = choice_.windows();
    if (!fit(top, windows)) return false;
    const int left_over = functions().cut(x, count, top, windows, sums, left);
    if (left_over == given_up) continue;
    add_each(sums, windows);
    add_each(left, static_cast<std::size_t>(left_over));
    choice_.note_left_over(static_cast<std::size_t>(left_over), count);
    return true;
  } while (choice_.widen(functions().exponents(x, count)));
  return false;
}

void summation::note_kinds(const double* x, std::size_t count) noexcept {
  for (std::size_t i = 0; i < count && (kinds_ & kind::finite) == 0; ++i) {
    const parts of = parts_of(x[i]);
    kinds_ |= of.mantissa == 0 ? kind::zero(of.negative) : kind::finite;
  }
}

void summation::add_each(const double* x, std::size_t count) noexcept {
  kinds_ |= each_number(x, count, [&](bool negative, unsigned position, std::uint64_t mantissa) {
    exact_.add(negative, position, mantissa);
  });
}

number<detail::words_of_sum> summation::total() noexcept {
  groups_.empty_into(exact_, 0);
  return exact_.total();
}

}  // namespace shard::exact
