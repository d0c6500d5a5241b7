#include "exact/lanes.hpp"

namespace shard::exact {
namespace {

// Vectors of two, in whatever registers the compiler has for them.
struct lanes {
  using doubles __attribute__((vector_size(16))) = double;
  using integers __attribute__((vector_size(16))) = std::int64_t;
  using short_integers __attribute__((vector_size(16))) = std::int16_t;
  static constexpr std::size_t width = 2;

  static doubles load(const double* from) noexcept {
    doubles v;
    __builtin_memcpy(&v, from, sizeof v);
    return v;
  }
  static void store(double* to, doubles v) noexcept { __builtin_memcpy(to, &v, sizeof v); }
  static void store(std::uint64_t* to, integers v) noexcept { __builtin_memcpy(to, &v, sizeof v); }
  static doubles all(double x) noexcept { return doubles{x, x}; }
  static integers bits(doubles v) noexcept { return (integers)v; }
  static integers magnitude(doubles v) noexcept { return bits(v) & 0x7fffffffffffffff; }
  // Numbers of 16 bits are what every processor compares: sign, exponent and four digits.
  static integers highest(integers v, integers w) noexcept {
    const auto greater = (short_integers)v > (short_integers)w;
    return ((integers)greater & v) | (~(integers)greater & w);
  }
  static integers lowest(integers v, integers w) noexcept {
    using unsigned_short __attribute__((vector_size(16))) = std::uint16_t;
    const auto less = (unsigned_short)v < (unsigned_short)w;
    return ((integers)less & v) | (~(integers)less & w);
  }
  static bool any(integers v) noexcept { return ((v[0] | v[1]) & 0x7fffffffffffffff) != 0; }
};

}  // namespace

const block_functions baseline_functions{
    exponents<lanes>, highest_exponent<lanes>, cut<lanes>, add_to_groups, nullptr, nullptr,
    add_products};

}  // namespace shard::exact
