// A whole number in two's complement, while it is worked on.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "exact/ieee.hpp"
#include "shard/detail/exact_numbers.hpp"

namespace shard::exact {

// words[0] is worth 2^(64 first). Of most numbers few words are kept, so this is not zeroed.
template <std::size_t Words>
struct number {
  unsigned first = 0;
  unsigned count = 0;
  std::uint64_t words[Words + 2];

  bool is_zero() const noexcept { return count == 0; }
  bool negative() const noexcept { return count != 0 && words[count - 1] >> 63 != 0; }
  // All words above those that are kept.
  std::uint64_t sign() const noexcept { return negative() ? ~std::uint64_t{0} : 0; }

  // Leaves out words that say nothing: there is one form of each number.
  void trim() noexcept {
    const auto sign_of = [this](unsigned k) {
      return words[k] >> 63 != 0 ? ~std::uint64_t{0} : std::uint64_t{0};
    };
    while (count > 1 && words[count - 1] == sign_of(count - 2)) --count;
    if (count == 1 && words[0] == 0) count = 0;
    unsigned zeros = 0;
    while (zeros < count && words[zeros] == 0) ++zeros;
    if (zeros != 0) std::copy(words + zeros, words + count, words);
    count -= zeros;
    first = count == 0 ? 0 : first + zeros;
  }
};

// Requires: no carry leaves the words. A sum of 2^63 numbers keeps to that.
template <std::size_t Words>
number<Words> operator+(const number<Words>& a, const number<Words>& b) noexcept {
  if (a.is_zero()) return b;
  if (b.is_zero()) return a;
  if (b.first < a.first) return b + a;
  number<Words> sum;
  sum.first = a.first;
  const unsigned offset = b.first - a.first;
  // One more, for what the highest words carry.
  sum.count = std::max(a.count, offset + b.count) + 1;
  std::copy_n(a.words, a.count, sum.words);
  std::fill(sum.words + a.count, sum.words + sum.count, a.sign());
  bool carry = false;
  for (unsigned k = offset; k < sum.count; ++k) {
    const std::uint64_t word = k - offset < b.count ? b.words[k - offset] : b.sign();
    const bool first = __builtin_add_overflow(sum.words[k], word, sum.words + k);
    carry = first | __builtin_add_overflow(sum.words[k], std::uint64_t{carry}, sum.words + k);
  }
  sum.trim();
  return sum;
}

// A number of few words, to which numbers of similar size are added. Quick where there are few of
// them: all else is set up for many.
class nearby {
 public:
  static constexpr std::size_t few = 16;  // more are quicker otherwise

  // `words` are those that `at` counts.
  nearby(const std::uint64_t* words, unsigned first, unsigned count) noexcept
      : placed_(count != 0), below_(static_cast<int>(first) - 1), fits_(count <= size - 2) {
    if (!fits_) return;
    const bool negative = count != 0 && words[count - 1] >> 63 != 0;
    const std::uint64_t sign = negative ? ~std::uint64_t{0} : 0;
    for (unsigned k = 0; k < size - 1; ++k) words_[k + 1] = k < count ? words[k] : sign;
  }

  // Adds ±mantissa 2^position. Once one doesn't fit, close() is not to be called.
  void add(bool negative, unsigned position, uint128 mantissa) noexcept {
    const auto word = static_cast<int>(position / 64);
    if (!placed_) {
      below_ = word - 1;
      placed_ = true;
    }
    const auto at = static_cast<unsigned>(word - below_);
    // Three words, and one for the sign.
    if (at > size - 4) fits_ = false;
    if (!fits_) return;
    const unsigned shift = position % 64;
    const uint128 low = mantissa << shift;
    const std::uint64_t flip = negative ? ~std::uint64_t{0} : 0;
    const std::uint64_t added[3] = {
        static_cast<std::uint64_t>(low) ^ flip, static_cast<std::uint64_t>(low >> 64) ^ flip,
        static_cast<std::uint64_t>(mantissa >> 1 >> (127 - shift)) ^ flip};
    const std::uint64_t none = negative ? 1 : 0;
    std::uint64_t carry = none;
    const auto add_word = [&](unsigned k, std::uint64_t piece) {
      const uint128 sum = uint128{words_[k]} + piece + carry;
      words_[k] = static_cast<std::uint64_t>(sum);
      carry = static_cast<std::uint64_t>(sum >> 64);
    };
    for (unsigned k = 0; k < 3; ++k) add_word(at + k, added[k]);
    // To add ~0 and a carry changes nothing, and carries on.
    for (unsigned k = at + 3; k < size && carry != none; ++k) add_word(k, flip);
  }
  bool fits() const noexcept { return fits_; }

  template <std::size_t Words>
  number<Words> close() const noexcept {
    number<Words> closed;
    if (!placed_) return closed;
    // Without the word below the lowest of all. It is zero then.
    const unsigned missing = below_ < 0 ? 1 : 0;
    closed.first = static_cast<unsigned>(below_ + static_cast<int>(missing));
    closed.count = size - missing;
    std::copy_n(words_ + missing, closed.count, closed.words);
    closed.trim();
    return closed;
  }

 private:
  static constexpr unsigned size = 8;

  bool placed_;  // whether it is known where the words are
  int below_;    // where words_[0] is
  bool fits_;
  std::uint64_t words_[size] = {};
};

// Writes the numbers of a state, one after the other.
template <class Packed>
class writer {
 public:
  explicit writer(Packed& to) noexcept : to_(to) {}

  template <std::size_t Words>
  void next(const number<Words>& written) noexcept {
    to_.places[index_] = {static_cast<std::uint8_t>(written.first),
                          static_cast<std::uint8_t>(written.count)};
    for (unsigned k = 0; k < written.count; ++k) to_.words[used_ + k] = written.words[k];
    used_ += written.count;
    ++index_;
  }

 private:
  Packed& to_;
  std::size_t index_ = 0;
  std::size_t used_ = 0;
};

// Reads them. What was read is a copy.
template <class Packed>
class reader {
 public:
  explicit reader(const Packed& from) noexcept : from_(from) {}

  template <std::size_t Words>
  number<Words> next() noexcept {
    number<Words> read;
    read.first = from_.places[index_].first;
    read.count = from_.places[index_].count;
    std::copy_n(from_.words.data() + used_, read.count, read.words);
    used_ += read.count;
    ++index_;
    return read;
  }
  nearby next_nearby() noexcept {
    const auto place = from_.places[index_++];
    const std::uint64_t* const words = from_.words.data() + used_;
    used_ += place.count;
    return {words, place.first, place.count};
  }

 private:
  const Packed& from_;
  std::size_t index_ = 0;
  std::size_t used_ = 0;
};

}  // namespace shard::exact
