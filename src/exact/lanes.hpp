// The loops of block.hpp, for any kind of vector register. Each file that includes this one is
// compiled for instructions of its own. So all here is internal to that file: the linker must not
// take a function of one for that of another. For the same reason nothing here calls an inline
// function of the standard library.
#pragma once

#include <cstddef>
#include <cstdint>

#include "exact/block.hpp"

#if defined(__FAST_MATH__)
#error "shard: exact sums must be compiled without -ffast-math"
#endif

namespace shard::exact {
namespace {

// What `Lanes` must have, for registers of `width` doubles:
//
//   doubles, integers      vectors of the compiler, with its operators
//   load(p), store(p, v)   without alignment
//   all(x)                 x in all lanes
//   bits(v), magnitude(v)  the bits of doubles, with and without the sign
//   highest(v, w)          of the upper halves of each lane, as integers without sign; the lower
//   lowest(v, w)           halves are anything
//   any(v)                 whether any bit but the signs is set
//   multiply_subtract(x, y, z)
//                          x y - z, rounded once; only for the functions of products

inline double power_of_two(int exponent) noexcept {
  return __builtin_bit_cast(double, static_cast<std::uint64_t>(exponent + 1023) << 52);
}

// x + m - m rounds x to the quantum, where m is 1.5 times 2^52 quanta.
inline double magic(int top, unsigned window) noexcept {
  return 1.5 * power_of_two(quantum_exponent(top, window) + 52);
}

template <class Lanes>
struct window {
  typename Lanes::doubles rounder;
  typename Lanes::doubles sums[2];

  [[gnu::always_inline]] explicit window(int top, unsigned index) noexcept
      : rounder(Lanes::all(magic(top, index))), sums{Lanes::all(0.0), Lanes::all(0.0)} {}

  [[gnu::always_inline]] void cut(typename Lanes::doubles& x, unsigned side) noexcept {
    const typename Lanes::doubles piece = (x + rounder) - rounder;
    x -= piece;
    sums[side] += piece;
  }
  [[gnu::always_inline]] double sum() const noexcept {
    double each[Lanes::width];
    Lanes::store(each, sums[0] + sums[1]);
    double all = 0;
    for (std::size_t k = 0; k < Lanes::width; ++k) all += each[k];
    return all;
  }
};

// Asks for numbers that are read some time later. They need not be there: what is behind the end of
// an array isn't touched.
inline constexpr int first_level = 3;  // as the compilers count
inline constexpr int second_level = 2;
template <std::size_t Count, int Cache = first_level>
[[gnu::always_inline]] inline void fetch(const double* x, std::size_t ahead) noexcept {
  const auto from = reinterpret_cast<std::uintptr_t>(x) + ahead * sizeof(double);
  for (std::size_t byte = 0; byte < Count * sizeof(double); byte += 64) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): a pointer must not go so far
    __builtin_prefetch(reinterpret_cast<const void*>(from + byte), 0, Cache);
  }
}

// Appends the numbers that aren't zero. Returns how many there are then.
[[gnu::noinline]] inline int append(const double* numbers, std::size_t count, double* left,
                                    int used) {
  for (std::size_t k = 0; k < count; ++k) {
    left[used] = numbers[k];
    used += __builtin_bit_cast(std::uint64_t, numbers[k]) << 1 != 0;
  }
  return used;
}

template <class Lanes, unsigned Windows>
[[gnu::noinline]] int cut_into(const double* x, std::size_t count, int top, double* sums,
                               double* left) {
  constexpr std::size_t width = Lanes::width;
  constexpr std::size_t unit = 4 * width;
  window<Lanes> w0(top, 0);
  window<Lanes> w1(top, 1);
  window<Lanes> w2(top, Windows > 2 ? 2 : 1);
  window<Lanes> w3(top, Windows > 3 ? 3 : 1);
  int used = 0;

  double last[unit];
  for (std::size_t i = 0; i < count; i += unit) {
    const double* from = x + i;
    if (count - i < unit) {
      for (std::size_t k = 0; k < unit; ++k) last[k] = k < count - i ? from[k] : 0.0;
      from = last;
    }
    // Of the next block: memory has nothing else to do meanwhile.
    fetch<unit>(x + i, block_size);
    typename Lanes::doubles a = Lanes::load(from);
    typename Lanes::doubles b = Lanes::load(from + width);
    typename Lanes::doubles c = Lanes::load(from + 2 * width);
    typename Lanes::doubles d = Lanes::load(from + 3 * width);
    const auto cut = [&](window<Lanes> & by) __attribute__((always_inline)) {
      by.cut(a, 0);
      by.cut(b, 1);
      by.cut(c, 0);
      by.cut(d, 1);
    };
    cut(w0);
    cut(w1);
    if constexpr (Windows > 2) cut(w2);
    if constexpr (Windows > 3) cut(w3);
    if (Lanes::any(Lanes::bits(a) | Lanes::bits(b) | Lanes::bits(c) | Lanes::bits(d)))
        [[unlikely]] {
      double rest[unit];
      Lanes::store(rest, a);
      Lanes::store(rest + width, b);
      Lanes::store(rest + 2 * width, c);
      Lanes::store(rest + 3 * width, d);
      used = append(rest, unit, left, used);
      if (used > static_cast<int>(most_left_over)) return given_up;
    }
  }
  sums[0] = w0.sum();
  sums[1] = w1.sum();
  if constexpr (Windows > 2) sums[2] = w2.sum();
  if constexpr (Windows > 3) sums[3] = w3.sum();
  return used;
}

template <class Lanes>
int cut(const double* x, std::size_t count, int top, unsigned windows, double* sums, double* left) {
  switch (windows) {
    case 2: return cut_into<Lanes, 2>(x, count, top, sums, left);
    case 3: return cut_into<Lanes, 3>(x, count, top, sums, left);
    default: return cut_into<Lanes, 4>(x, count, top, sums, left);
  }
}

// A product is p + e, both doubles: p rounded, and e its error. The errors are at most 2^-53 of the
// largest product, so they need no upper window.
template <class Lanes, unsigned Windows>
[[gnu::noinline]] int cut_products_into(const double* x, const double* y, std::size_t count,
                                        int top, double* sums, double* left) {
  constexpr std::size_t width = Lanes::width;
  constexpr std::size_t unit = 2 * width;
  window<Lanes> w0(top, 0);
  window<Lanes> w1(top, 1);
  window<Lanes> w2(top, 2);
  window<Lanes> w3(top, Windows > 2 ? 3 : 2);
  int used = 0;

  double last_x[unit];
  double last_y[unit];
  for (std::size_t i = 0; i < count; i += unit) {
    const double* from_x = x + i;
    const double* from_y = y + i;
    if (count - i < unit) {
      for (std::size_t k = 0; k < unit; ++k) {
        last_x[k] = k < count - i ? from_x[k] : 0.0;
        last_y[k] = k < count - i ? from_y[k] : 0.0;
      }
      from_x = last_x;
      from_y = last_y;
    }
    fetch<unit, second_level>(x + i, 2 * block_size);
    fetch<unit, second_level>(y + i, 2 * block_size);
    const typename Lanes::doubles xa = Lanes::load(from_x);
    const typename Lanes::doubles xb = Lanes::load(from_x + width);
    const typename Lanes::doubles ya = Lanes::load(from_y);
    const typename Lanes::doubles yb = Lanes::load(from_y + width);
    typename Lanes::doubles pa = xa * ya;
    typename Lanes::doubles pb = xb * yb;
    typename Lanes::doubles ea = Lanes::multiply_subtract(xa, ya, pa);
    typename Lanes::doubles eb = Lanes::multiply_subtract(xb, yb, pb);
    w0.cut(pa, 0);
    w0.cut(pb, 1);
    w1.cut(pa, 0);
    w1.cut(pb, 1);
    w1.cut(ea, 0);
    w1.cut(eb, 1);
    if constexpr (Windows > 2) {
      w2.cut(pa, 0);
      w2.cut(pb, 1);
    }
    w2.cut(ea, 0);
    w2.cut(eb, 1);
    if constexpr (Windows > 2) {
      w3.cut(ea, 0);
      w3.cut(eb, 1);
    }
    if (Lanes::any(Lanes::bits(pa) | Lanes::bits(pb) | Lanes::bits(ea) | Lanes::bits(eb)))
        [[unlikely]] {
      double rest[2 * unit];
      Lanes::store(rest, pa);
      Lanes::store(rest + width, pb);
      Lanes::store(rest + 2 * width, ea);
      Lanes::store(rest + 3 * width, eb);
      used = append(rest, 2 * unit, left, used);
      if (used > static_cast<int>(most_left_over)) return given_up;
    }
  }
  sums[0] = w0.sum();
  sums[1] = w1.sum();
  sums[2] = w2.sum();
  if constexpr (Windows > 2) sums[3] = w3.sum();
  return used;
}

template <class Lanes>
int cut_products(const double* x, const double* y, std::size_t count, int top, unsigned windows,
                 double* sums, double* left) {
  return windows == 2 ? cut_products_into<Lanes, 2>(x, y, count, top, sums, left)
                      : cut_products_into<Lanes, 3>(x, y, count, top, sums, left);
}

inline unsigned field_of(std::uint64_t bits) noexcept {
  return static_cast<unsigned>(bits >> 52) & 2047;
}

template <class Lanes>
unsigned highest_exponent(const double* x, std::size_t count) {
  constexpr std::size_t width = Lanes::width;
  typename Lanes::integers a{};
  typename Lanes::integers b{};
  std::size_t i = 0;
  for (; i + 2 * width <= count; i += 2 * width) {
    fetch<2 * width, second_level>(x + i, 2 * block_size);
    a = Lanes::highest(Lanes::magnitude(Lanes::load(x + i)), a);
    b = Lanes::highest(Lanes::magnitude(Lanes::load(x + i + width)), b);
  }
  std::uint64_t each[width];
  Lanes::store(each, Lanes::highest(a, b));
  unsigned found = 0;
  for (std::size_t k = 0; k < width; ++k) {
    const unsigned field = field_of(each[k]);
    if (field > found) found = field;
  }
  for (; i < count; ++i) {
    const unsigned field = field_of(__builtin_bit_cast(std::uint64_t, x[i]));
    if (field > found) found = field;
  }
  return found;
}

// One is subtracted from the bits, so that zero is the highest of all, and never the lowest.
template <class Lanes>
fields exponents(const double* x, std::size_t count) {
  constexpr std::size_t width = Lanes::width;
  using integers = typename Lanes::integers;
  integers high{};
  integers low = ~integers{};
  std::size_t i = 0;
  for (; i + width <= count; i += width) {
    fetch<width>(x + i, block_size);
    const integers magnitude = Lanes::magnitude(Lanes::load(x + i));
    high = Lanes::highest(magnitude, high);
    low = Lanes::lowest(magnitude - 1, low);
  }
  std::uint64_t highest[width];
  std::uint64_t lowest[width];
  Lanes::store(highest, high);
  Lanes::store(lowest, low);
  fields found{2047, 0};
  for (std::size_t k = 0; k < width; ++k) {
    if (field_of(highest[k]) > found.highest) found.highest = field_of(highest[k]);
    if (field_of(lowest[k]) < found.lowest) found.lowest = field_of(lowest[k]);
  }
  for (; i < count; ++i) {
    const std::uint64_t magnitude = __builtin_bit_cast(std::uint64_t, x[i]) << 1 >> 1;
    if (field_of(magnitude) > found.highest) found.highest = field_of(magnitude);
    if (field_of(magnitude - 1) < found.lowest) found.lowest = field_of(magnitude - 1);
  }
  return found;
}

template <class Lanes>
void split_products(const double* x, const double* y, std::size_t count, double* products,
                    double* errors) {
  constexpr std::size_t width = Lanes::width;
  std::size_t i = 0;
  for (; i + width <= count; i += width) {
    const typename Lanes::doubles a = Lanes::load(x + i);
    const typename Lanes::doubles b = Lanes::load(y + i);
    const typename Lanes::doubles product = a * b;
    Lanes::store(products + i, product);
    Lanes::store(errors + i, Lanes::multiply_subtract(a, b, product));
  }
  for (; i < count; ++i) {
    products[i] = x[i] * y[i];
    errors[i] = __builtin_fma(x[i], y[i], -products[i]);
  }
}

// ---- One by one, in integers. These are here for their shifts, which are quick where there is
// AVX2.

struct scaled_mantissa {
  std::uint64_t mantissa;
  std::uint64_t field;  // never zero: a subnormal number has the scale of the smallest normal ones
};

[[gnu::always_inline]] inline scaled_mantissa mantissa_of(std::uint64_t bits) noexcept {
  const std::uint64_t field = bits >> 52 & 2047;
  const std::uint64_t normal = field != 0;
  return {(bits & 0xfffffffffffff) | normal << 52, field + 1 - normal};
}

inline void add_to_groups(const double* x, std::size_t count, groups& to) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto bits = __builtin_bit_cast(std::uint64_t, x[i]);
    const scaled_mantissa of = mantissa_of(bits);
    const std::uint64_t shift = of.field % 32;
    groups::group& sums = to.sums[i % groups::copies][bits >> 57];
    sums.low += of.mantissa << shift & 0xffffffff;
    sums.high += of.mantissa >> (32 - shift);
  }
}

inline void add_products(const double* x, const double* y, std::size_t count,
                         std::uint64_t* positive, std::uint64_t* negative) {
  __extension__ using uint128 = unsigned __int128;
  for (std::size_t i = 0; i < count; ++i) {
    const auto a_bits = __builtin_bit_cast(std::uint64_t, x[i]);
    const auto b_bits = __builtin_bit_cast(std::uint64_t, y[i]);
    const scaled_mantissa a = mantissa_of(a_bits);
    const scaled_mantissa b = mantissa_of(b_bits);
    const uint128 product = uint128{a.mantissa} * b.mantissa;
    const std::uint64_t position = a.field + b.field - 2;
    const std::uint64_t shift = position % 64;
    const auto low = static_cast<std::uint64_t>(product);
    const auto high = static_cast<std::uint64_t>(product >> 64);

    std::uint64_t* to = ((a_bits ^ b_bits) >> 63 != 0 ? negative : positive) + position / 64;
    const std::uint64_t words[3] = {low << shift, high << shift | low >> 1 >> (63 - shift),
                                    high >> 1 >> (63 - shift)};
    std::uint64_t carry = __builtin_add_overflow(to[0], words[0], &to[0]);
    // A product has 106 bits, so its highest word is far from full, and takes a carry.
    std::uint64_t next = __builtin_add_overflow(to[1], words[1], &to[1]);
    next += __builtin_add_overflow(to[1], carry, &to[1]);
    carry = __builtin_add_overflow(to[2], words[2] + next, &to[2]);
    for (to += 3; carry != 0; ++to) carry = __builtin_add_overflow(*to, carry, to);
  }
}

}  // namespace
}  // namespace shard::exact
