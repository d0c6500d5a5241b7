// Where numbers are added one by one: a superaccumulator, after U. Kulisch.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "exact/block.hpp"
#include "exact/ieee.hpp"
#include "exact/instruction_set.hpp"
#include "exact/number.hpp"

namespace shard::exact {

// Numbers above zero and below zero are added up apart. So a carry runs through more than one word
// once in a few thousand additions, however the signs alternate.
template <std::size_t Words>
class deposits {
 public:
  // Adds ±mantissa 2^position.
  void add(bool negative, unsigned position, std::uint64_t mantissa) noexcept {
    std::uint64_t* to = words_[negative] + position / 64;
    const uint128 shifted = uint128{mantissa} << position % 64;
    const bool low_carry = __builtin_add_overflow(to[0], static_cast<std::uint64_t>(shifted), to);
    bool carry = __builtin_add_overflow(to[1], static_cast<std::uint64_t>(shifted >> 64), to + 1);
    carry |= __builtin_add_overflow(to[1], std::uint64_t{low_carry}, to + 1);
    for (to += 2; carry; ++to) carry = ++*to == 0;
  }
  void add_wide(bool negative, unsigned position, uint128 mantissa) noexcept {
    add(negative, position, static_cast<std::uint64_t>(mantissa));
    add(negative, position + 64, static_cast<std::uint64_t>(mantissa >> 64));
  }
  // The sums of numbers above zero, or of those below.
  std::uint64_t* words(bool negative) noexcept { return words_[negative]; }

  number<Words> total() const noexcept {
    unsigned low = 0;
    unsigned high = Words + 1;
    while (low < high && (words_[0][low] | words_[1][low]) == 0) ++low;
    while (low < high && (words_[0][high - 1] | words_[1][high - 1]) == 0) --high;
    number<Words> all;
    if (low == high) return all;
    std::uint64_t borrow = 0;
    for (unsigned k = low; k < high; ++k) {
      const uint128 rest = uint128{words_[0][k]} - words_[1][k] - borrow;
      all.words[k - low] = static_cast<std::uint64_t>(rest);
      borrow = static_cast<std::uint64_t>(rest >> 64) & 1;
    }
    all.first = low;
    all.count = high - low + 1;
    all.words[all.count - 1] = borrow != 0 ? ~std::uint64_t{0} : 0;
    all.trim();
    return all;
  }

 private:
  std::uint64_t words_[2][Words + 1] = {};
};

// Groups that are emptied into deposits whenever they are full. They are 4 KiB, and not touched
// before they are used.
class group_sums {
 public:
  // Requires: finite numbers, `count` at most most_numbers. `offset` is added to their positions.
  template <std::size_t Words>
  void add(const double* x, std::size_t count, deposits<Words>& to, unsigned offset) noexcept {
    if (used_ + count > groups::most_numbers) empty_into(to, offset);
    if (used_ == 0) {
      std::fill_n(&groups_.sums[0][0], groups::copies * groups::count, groups::group{0, 0});
    }
    functions().add_to_groups(x, count, groups_);
    used_ += count;
  }

  template <std::size_t Words>
  void empty_into(deposits<Words>& to, unsigned offset) noexcept {
    if (used_ == 0) return;
    used_ = 0;
    for (unsigned k = 0; k < groups::count; ++k) {
      const std::uint64_t low = groups_.sums[0][k].low + groups_.sums[1][k].low;
      const std::uint64_t high = groups_.sums[0][k].high + groups_.sums[1][k].high;
      if ((low | high) == 0) continue;
      constexpr unsigned half = groups::count / 2;
      const bool negative = k >= half;
      const unsigned position = offset + 32 * (k % half);
      // In the lowest group all sums are even.
      if (position == 0) {
        to.add(negative, 0, low >> 1);
      } else {
        to.add(negative, position - 1, low);
      }
      to.add(negative, position + 31, high);
    }
  }

 private:
  std::size_t used_ = 0;
  groups groups_;
};

}  // namespace shard::exact
