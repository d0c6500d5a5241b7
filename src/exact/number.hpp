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
  // Any word of the endless number.
  std::uint64_t at(unsigned k) const noexcept {
    if (k < first) return 0;
    return k - first < count ? words[k - first] : (negative() ? ~std::uint64_t{0} : 0);
  }

  // Leaves out words that say nothing: there is one form of each number.
  void trim() noexcept {
    while (count > 1 && words[count - 1] == (words[count - 2] >> 63 != 0 ? ~std::uint64_t{0} : 0)) {
      --count;
    }
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
  number<Words> sum;
  sum.first = std::min(a.first, b.first);
  // One more, for what the highest words carry.
  const unsigned end = std::max(a.first + a.count, b.first + b.count) + 1;
  std::uint64_t carry = 0;
  for (unsigned k = sum.first; k < end; ++k) {
    const uint128 both = uint128{a.at(k)} + b.at(k) + carry;
    sum.words[k - sum.first] = static_cast<std::uint64_t>(both);
    carry = static_cast<std::uint64_t>(both >> 64);
  }
  sum.count = end - sum.first;
  sum.trim();
  return sum;
}

// Reads the numbers of a state, or writes them, one after the other.
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

 private:
  const Packed& from_;
  std::size_t index_ = 0;
  std::size_t used_ = 0;
};

template <class Packed>
class writer {
 public:
  explicit writer(Packed& to) noexcept : to_(to) {}

  template <std::size_t Words>
  void next(const number<Words>& written) noexcept {
    to_.places[index_] = {static_cast<std::uint8_t>(written.first),
                          static_cast<std::uint8_t>(written.count)};
    std::copy_n(written.words, written.count, to_.words.data() + used_);
    used_ += written.count;
    ++index_;
  }

 private:
  Packed& to_;
  std::size_t index_ = 0;
  std::size_t used_ = 0;
};

}  // namespace shard::exact
