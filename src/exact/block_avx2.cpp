#if defined(__x86_64__)

#include <immintrin.h>

#include "exact/lanes.hpp"

namespace shard::exact {
namespace {

struct lanes {
  using doubles = __m256d;
  using integers = __m256i;
  static constexpr std::size_t width = 4;

  static doubles load(const double* from) noexcept { return _mm256_loadu_pd(from); }
  static void store(double* to, doubles v) noexcept { _mm256_storeu_pd(to, v); }
  static void store(std::uint64_t* to, integers v) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), v);
  }
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

// Numbers are taken apart four at a time. The halves of one number then lie side by side, and are
// added to both sums of its group at once: memory takes no more than a store in each cycle.
void add_to_groups_by_avx2(const double* x, std::size_t count, groups& to) {
  const auto all = [](long long value) { return _mm256_set1_epi64x(value); };
  const auto add = [&to](std::size_t copy, std::uint64_t group, __m128i halves) {
    auto* const sums = reinterpret_cast<__m128i*>(&to.sums[copy][group]);
    _mm_store_si128(sums, _mm_add_epi64(_mm_load_si128(sums), halves));
  };
  std::size_t i = 0;
  for (; i + lanes::width <= count; i += lanes::width) {
    fetch<lanes::width>(x + i, block_size);
    const __m256i bits = lanes::bits(lanes::load(x + i));
    const __m256i field = _mm256_and_si256(_mm256_srli_epi64(bits, 52), all(2047));
    const __m256i subnormal = _mm256_cmpeq_epi64(field, all(0));  // all ones, or zero
    const __m256i mantissa = _mm256_or_si256(_mm256_and_si256(bits, all(0xfffffffffffff)),
                                             _mm256_andnot_si256(subnormal, all(0x10000000000000)));
    const __m256i shift = _mm256_and_si256(_mm256_sub_epi64(field, subnormal), all(31));
    const __m256i low = _mm256_and_si256(_mm256_sllv_epi64(mantissa, shift), all(0xffffffff));
    const __m256i high = _mm256_srlv_epi64(mantissa, _mm256_sub_epi64(all(32), shift));
    const __m256i first_and_third = _mm256_unpacklo_epi64(low, high);
    const __m256i second_and_fourth = _mm256_unpackhi_epi64(low, high);
    std::uint64_t group[lanes::width];
    lanes::store(group, _mm256_srli_epi64(bits, 57));
    add(0, group[0], _mm256_castsi256_si128(first_and_third));
    add(1, group[1], _mm256_castsi256_si128(second_and_fourth));
    add(0, group[2], _mm256_extracti128_si256(first_and_third, 1));
    add(1, group[3], _mm256_extracti128_si256(second_and_fourth, 1));
  }
  add_to_groups(x + i, count - i, to);
}

const block_functions avx2_functions{
    exponents<lanes>,    highest_exponent<lanes>, cut<lanes>,  add_to_groups_by_avx2,
    cut_products<lanes>, split_products<lanes>,   add_products};

}  // namespace shard::exact

#endif
