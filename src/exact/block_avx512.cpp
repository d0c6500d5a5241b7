#if defined(__x86_64__)

#include <immintrin.h>

#include "exact/lanes.hpp"

namespace shard::exact {
namespace {

struct lanes {
  using doubles = __m512d;
  using integers = __m512i;
  static constexpr std::size_t width = 8;

  static doubles load(const double* from) noexcept { return _mm512_loadu_pd(from); }
  static void store(double* to, doubles v) noexcept { _mm512_storeu_pd(to, v); }
  static void store(std::uint64_t* to, integers v) noexcept { _mm512_storeu_si512(to, v); }
  static doubles all(double x) noexcept { return _mm512_set1_pd(x); }
  static integers sign_free() noexcept { return _mm512_set1_epi64(0x7fffffffffffffff); }
  static integers bits(doubles v) noexcept { return _mm512_castpd_si512(v); }
  static integers magnitude(doubles v) noexcept { return _mm512_and_si512(bits(v), sign_free()); }
  // With a mask of all: g++ 12 takes the plain ones for uses of what was never set (GCC bug
  // 105593).
  static integers highest(integers v, integers w) noexcept {
    return _mm512_maskz_max_epu32(0xffff, v, w);
  }
  static integers lowest(integers v, integers w) noexcept {
    return _mm512_maskz_min_epu32(0xffff, v, w);
  }
  static bool any(integers v) noexcept { return _mm512_test_epi64_mask(v, sign_free()) != 0; }
  static doubles multiply_subtract(doubles x, doubles y, doubles z) noexcept {
    return _mm512_fmsub_pd(x, y, z);
  }
};

}  // namespace

const block_functions avx512_functions{
    exponents<lanes>,    highest_exponent<lanes>, cut<lanes>,  add_to_groups_by_avx2,
    cut_products<lanes>, split_products<lanes>,   add_products};

}  // namespace shard::exact

#endif
