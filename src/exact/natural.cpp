#include "exact/natural.hpp"

#include <algorithm>
#include <bit>

namespace shard::exact {
namespace {

std::size_t bits_of(const natural& a) noexcept {
  return 64 * a.count - static_cast<std::size_t>(std::countl_zero(a.words[a.count - 1]));
}

// The words of a 2^bits, `count` of them.
void shifted(const natural& a, std::size_t bits, std::uint64_t* to, std::size_t count) noexcept {
  std::fill_n(to, count, 0);
  const std::size_t whole = bits / 64;
  const std::size_t part = bits % 64;
  for (std::size_t k = 0; k < a.count; ++k) {
    to[k + whole] |= a.words[k] << part;
    if (part != 0 && k + whole + 1 < count) to[k + whole + 1] |= a.words[k] >> (64 - part);
  }
}

bool less(const std::uint64_t* a, const std::uint64_t* b, std::size_t count) noexcept {
  for (std::size_t k = count; k-- > 0;) {
    if (a[k] != b[k]) return a[k] < b[k];
  }
  return false;
}

void subtract(std::uint64_t* from, const std::uint64_t* what, std::size_t count) noexcept {
  std::uint64_t borrow = 0;
  for (std::size_t k = 0; k < count; ++k) {
    const uint128 rest = uint128{from[k]} - what[k] - borrow;
    from[k] = static_cast<std::uint64_t>(rest);
    borrow = static_cast<std::uint64_t>(rest >> 64) & 1;
  }
}

// Two numbers in words of the same weights.
struct aligned {
  std::int64_t exponent;
  std::size_t count;
  std::uint64_t a[natural::most_words];
  std::uint64_t b[natural::most_words];
};

aligned align(const natural& a, const natural& b) noexcept {
  aligned both;
  both.exponent = std::min(a.exponent, b.exponent);
  const auto offset_of = [&](const natural& x) {
    return static_cast<std::size_t>((x.exponent - both.exponent) / 64);
  };
  both.count = std::max(offset_of(a) + a.count, offset_of(b) + b.count);
  std::fill_n(both.a, both.count, 0);
  std::fill_n(both.b, both.count, 0);
  std::copy_n(a.words, a.count, both.a + offset_of(a));
  std::copy_n(b.words, b.count, both.b + offset_of(b));
  return both;
}

natural from_words(const std::uint64_t* words, std::size_t count, std::int64_t exponent) noexcept {
  natural made;
  made.exponent = exponent;
  made.count = count;
  std::copy_n(words, count, made.words);
  made.trim();
  return made;
}

// The largest whole number whose square isn't above x.
std::uint64_t whole_root(uint128 x) noexcept {
  std::uint64_t root = 0;
  for (std::uint64_t bit = std::uint64_t{1} << 63; bit != 0; bit >>= 1) {
    const std::uint64_t tried = root | bit;
    if (uint128{tried} * tried <= x) root = tried;
  }
  return root;
}

}  // namespace

void natural::trim() noexcept {
  while (count != 0 && words[count - 1] == 0) --count;
  std::size_t zeros = 0;
  while (zeros < count && words[zeros] == 0) ++zeros;
  if (zeros == 0) return;
  std::copy(words + zeros, words + count, words);
  count -= zeros;
  exponent += 64 * static_cast<std::int64_t>(zeros);
}

natural natural_of(std::uint64_t x) noexcept { return from_words(&x, 1, 0); }

natural operator*(const natural& a, const natural& b) noexcept {
  natural product;
  if (a.is_zero() || b.is_zero()) return product;
  product.exponent = a.exponent + b.exponent;
  product.count = a.count + b.count;
  std::fill_n(product.words, product.count, 0);
  for (std::size_t i = 0; i < a.count; ++i) {
    std::uint64_t carry = 0;
    for (std::size_t k = 0; k < b.count; ++k) {
      const uint128 sum = uint128{a.words[i]} * b.words[k] + product.words[i + k] + carry;
      product.words[i + k] = static_cast<std::uint64_t>(sum);
      carry = static_cast<std::uint64_t>(sum >> 64);
    }
    product.words[i + b.count] = carry;
  }
  product.trim();
  return product;
}

difference operator-(const natural& a, const natural& b) noexcept {
  if (b.is_zero()) return {false, a};
  if (a.is_zero()) return {true, b};
  aligned both = align(a, b);
  const bool negative = less(both.a, both.b, both.count);
  std::uint64_t* const larger = negative ? both.b : both.a;
  subtract(larger, negative ? both.a : both.b, both.count);
  return {negative, from_words(larger, both.count, both.exponent)};
}

natural operator+(const natural& a, const natural& b) noexcept {
  if (b.is_zero()) return a;
  if (a.is_zero()) return b;
  const aligned both = align(a, b);
  std::uint64_t sum[natural::most_words];
  std::uint64_t carry = 0;
  for (std::size_t k = 0; k < both.count; ++k) {
    const uint128 word = uint128{both.a[k]} + both.b[k] + carry;
    sum[k] = static_cast<std::uint64_t>(word);
    carry = static_cast<std::uint64_t>(word >> 64);
  }
  sum[both.count] = carry;
  return from_words(sum, both.count + 1, both.exponent);
}

scaled top_of(const natural& a) noexcept {
  if (a.count == 0) return {0, 0, false};
  if (a.count == 1) return {a.words[0], a.exponent, false};
  // The lowest word isn't zero.
  return {uint128{a.words[a.count - 1]} << 64 | a.words[a.count - 2],
          a.exponent + 64 * static_cast<std::int64_t>(a.count - 2), a.count > 2};
}

// One bit after the other: this is done once for a result.
scaled quotient(const natural& a, const natural& b) noexcept {
  if (a.is_zero()) return {0, 0, false};
  // Both begin at the same bit, with room for one more.
  const std::size_t bits = std::max(bits_of(a), bits_of(b));
  const std::size_t count = bits / 64 + 1;
  std::uint64_t rest[natural::most_words];
  std::uint64_t by[natural::most_words];
  shifted(a, bits - bits_of(a), rest, count);
  shifted(b, bits - bits_of(b), by, count);

  uint128 digits = 0;
  for (int k = 0; k < 128; ++k) {
    if (k != 0) {
      for (std::size_t w = count; w-- > 1;) rest[w] = rest[w] << 1 | rest[w - 1] >> 63;
      rest[0] <<= 1;
    }
    digits <<= 1;
    if (!less(rest, by, count)) {
      subtract(rest, by, count);
      digits |= 1;
    }
  }
  const auto shift = static_cast<std::int64_t>(bits_of(a)) - static_cast<std::int64_t>(bits_of(b));
  return {digits, a.exponent - b.exponent + shift - 127,
          std::any_of(rest, rest + count, [](std::uint64_t word) { return word != 0; })};
}

scaled square_root(const scaled& of) noexcept {
  if (of.top == 0) return of;
  scaled even = of;
  if (even.exponent % 2 != 0) {
    even.has_rest = even.has_rest || (even.top & 1) != 0;
    even.top >>= 1;
    ++even.exponent;
  }
  const std::uint64_t root = whole_root(even.top);
  return {root, even.exponent / 2, even.has_rest || uint128{root} * root != even.top};
}

}  // namespace shard::exact
