// Numbers that make sums go wrong.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace shard_test {

class hard_cases {
 public:
  using random = std::mt19937_64;

  explicit hard_cases(std::uint64_t seed) : random_(seed) {}

  random& generator() { return random_; }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }
  bool chance(std::size_t one_in) { return below(one_in) == 0; }

  // How many numbers: few, around the size of a vector loop, or several blocks.
  std::size_t length() {
    switch (below(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
      case 5: return below(12);
      case 6: return below(400);
      case 7: return chance(16) ? below(5000) : below(64);
      default: return 30 + below(40);
    }
  }

  // Finite numbers.
  std::vector<double> numbers(std::size_t count) {
    std::vector<double> made(count);
    switch (below(14)) {
      case 0: fill_orders(made, 1); break;
      case 1: fill_orders(made, 20); break;
      case 2: fill_orders(made, 70); break;
      case 3: fill_orders(made, 150); break;
      case 4: fill_orders(made, 2046); break;
      case 5: fill(made, [&] { return finite_bits(); }); break;
      case 6: fill(made, [&] { return whole(); }); break;
      case 7: fill(made, [&] { return -std::abs(whole()); }); break;
      case 8: fill(made, [&] { return subnormal(); }); break;
      case 9: fill(made, [&] { return at_a_power(); }); break;
      case 10: fill(made, [&] { return -all_ones(int(below(2046)) - 1022); }); break;
      case 11: {  // overflows, and comes back if the signs are so
        fill(made, [&] { return signed_by_chance(all_ones(1023 - int(below(3)))); });
        break;
      }
      case 12: {  // one small number among large ones
        fill_orders(made, 3);
        if (count != 0) made[below(count)] = ldexp(mantissa(), -int(below(1074)));
        break;
      }
      default: fill(made, [&] { return chance(2) ? signed_by_chance(0.0) : at_a_power(); });
    }
    if (chance(3)) cancel(made);
    return made;
  }

  double finite_bits() {
    for (;;) {
      const auto x = std::bit_cast<double>(random_());
      if (std::isfinite(x)) return x;
    }
  }
  double special() {
    switch (below(5)) {
      case 0: return std::numeric_limits<double>::infinity();
      case 1: return -std::numeric_limits<double>::infinity();
      case 2: return std::bit_cast<double>(0xfff0000000000001U + (random_() >> 13));
      case 3: return std::bit_cast<double>(0x7ff0000000000001U + (random_() >> 13));
      default: return std::numeric_limits<double>::quiet_NaN();
    }
  }

 private:
  template <class Make>
  void fill(std::vector<double>& made, Make make) {
    std::generate(made.begin(), made.end(), make);
  }
  void fill_orders(std::vector<double>& made, int orders) {
    const int highest = int(below(2046)) - 1022;
    fill(made, [&] { return ldexp(mantissa(), highest - int(below(std::size_t(orders)))); });
  }
  // Each number once more with the other sign, but for a few, anywhere.
  void cancel(std::vector<double>& made) {
    const std::size_t half = made.size() / 2;
    for (std::size_t k = 0; k < half; ++k) {
      if (!chance(20)) made[half + k] = -made[k];
    }
    std::shuffle(made.begin(), made.end(), random_);
  }

  // From 1 to 2, of either sign; often with few digits, or with all.
  double mantissa() {
    std::uint64_t digits = random_() >> 12;
    if (chance(4)) digits &= ~std::uint64_t{0} << below(52);
    if (chance(8)) digits |= (std::uint64_t{1} << below(52)) - 1;
    return signed_by_chance(std::bit_cast<double>(0x3ff0000000000000U | digits));
  }
  static double ldexp(double x, int exponent) { return std::ldexp(x, std::max(exponent, -1200)); }
  double signed_by_chance(double x) { return chance(2) ? x : -x; }
  double whole() { return double(std::int64_t(random_()) >> below(64)); }
  double subnormal() { return std::bit_cast<double>(random_() & 0x800fffffffffffff); }
  static double all_ones(int exponent) {
    return std::ldexp(2 - std::numeric_limits<double>::epsilon(), exponent);
  }
  // A power of two, or a neighbour.
  double at_a_power() {
    const double power = ldexp(1.0, int(below(200)) - 100);
    const auto step = std::int64_t(below(5)) - 2;
    return signed_by_chance(std::bit_cast<double>(std::bit_cast<std::int64_t>(power) + step));
  }

  random random_;
};

}  // namespace shard_test
