#if defined(__x86_64__)

#include <immintrin.h>

#include "exact/lanes.hpp"

namespace shard::exact {
namespace {

struct lanes {
  using doubles = __m256d;
  using integers = __m256i;
  using words __attribute__((vector_size(32))) = std::uint64_t;
  static constexpr bool shifts_lanes = true;
  static constexpr std::size_t width = 4;

  static doubles load(const double* from) noexcept { return _mm256_loadu_pd(from); }
  static void store(double* to, doubles v) noexcept { _mm256_storeu_pd(to, v); }
  static void store(std::uint64_t* to, integers v) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), v);
  }
  static void store(std::uint64_t* to, words v) noexcept { store(to, (integers)v); }
  static doubles all(double x) noexcept { return _mm256_set1_pd(x); }
  static integers sign_free() noexcept { return _mm256_set1_epi64x(0x7fffffffffffffff); }
  static integers bits(doubles v) noexcept { return _mm256_castpd_si256(v); }
  static integers magnitude(doubles v) noexcept { return _mm256_and_si256(bits(v), sign_free()); }
  static integers highest(integers v, integers w) noexcept { return _mm256_max_epu32(v, w); }
  static integers lowest(integers v, integers w) noexcept { return _mm256_min_epu32(v, w); }
  static bool any(integers v) noexcept { return _mm256_testz_si256(v, sign_free()) == 0; }
  static doubles multiply_subtract(doubles x, doubles y, doubles z) noexcept {
    return _mm256_fmsub_pd(x, y, z);
  }
};

}  // namespace

void add_to_groups_by_avx2(const double* x, std::size_t count, groups& to) {
  add_to_groups<lanes>(x, count, to);
}

const block_functions avx2_functions{
    exponents<lanes>,    highest_exponent<lanes>, cut<lanes>,  add_to_groups_by_avx2,
    cut_products<lanes>, split_products<lanes>,   add_products};

}  // namespace shard::exact

#endif
