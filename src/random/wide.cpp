#include "random/wide.hpp"

#include <array>

#include "random/distributions.hpp"
#include "random/philox.hpp"
#include "random/tables.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

// g++ 12 takes registers that its own intrinsics leave undefined on purpose for ours: GCC bug
// 105593.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#endif

namespace shard::random {

namespace {

void make_words_scalar(std::uint64_t* to, std::size_t count, const source& from) noexcept {
  for (std::size_t i = 0; i < count; i += 2) {
    const block made = philox(from.seed, from.index, from.number + i / 2);
    to[i] = made.first;
    to[i + 1] = made.second;
  }
}

#if defined(__x86_64__)

// What Philox multiplies by, and what it adds to the two halves of the key in each round. The same
// as in Random123; the scalar code takes them from there.
constexpr std::uint32_t multiplier_0 = PHILOX_M4x32_0;
constexpr std::uint32_t multiplier_1 = PHILOX_M4x32_1;
constexpr std::uint32_t step_0 = PHILOX_W32_0;
constexpr std::uint32_t step_1 = PHILOX_W32_1;
constexpr int rounds = 10;

constexpr std::uint64_t sign_bit = std::uint64_t{1} << 63;

// Each lane of 64 bits has one 32-bit word of the state of one block, in its lower half. The upper
// half may be anything: multiplications ignore it. Two groups of blocks go side by side, since one
// would wait for its own multiplications.

#define SHARD_AVX2 __attribute__((target("avx2")))

SHARD_AVX2 void make_words_avx2(std::uint64_t* to, std::size_t count, const source& from) noexcept {
  constexpr std::size_t lanes = 4;
  const __m256i m0 = _mm256_set1_epi64x(multiplier_0);
  const __m256i m1 = _mm256_set1_epi64x(multiplier_1);
  const __m256i index = _mm256_set1_epi64x(static_cast<long long>(from.index));
  for (std::size_t b = 0; b < count / 2; b += 2 * lanes) {
    __m256i x0[2];
    __m256i x1[2];
    __m256i x2[2];
    __m256i x3[2];
    for (std::size_t g = 0; g < 2; ++g) {
      const std::uint64_t number = from.number + b + g * lanes;
      x0[g] = _mm256_add_epi64(_mm256_set1_epi64x(static_cast<long long>(number)),
                               _mm256_setr_epi64x(0, 1, 2, 3));
      x1[g] = _mm256_srli_epi64(x0[g], 32);
      x2[g] = index;
      x3[g] = _mm256_srli_epi64(index, 32);
    }
    auto key_0 = static_cast<std::uint32_t>(from.seed);
    auto key_1 = static_cast<std::uint32_t>(from.seed >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < rounds; ++round) {
      const __m256i k0 = _mm256_set1_epi64x(key_0);
      const __m256i k1 = _mm256_set1_epi64x(key_1);
#pragma GCC unroll 2
      for (std::size_t g = 0; g < 2; ++g) {
        const __m256i p0 = _mm256_mul_epu32(m0, x0[g]);
        const __m256i p1 = _mm256_mul_epu32(m1, x2[g]);
        x0[g] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p1, 32), x1[g]), k0);
        x1[g] = p1;
        x2[g] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p0, 32), x3[g]), k1);
        x3[g] = p0;
      }
      key_0 += step_0;
      key_1 += step_1;
    }
    for (std::size_t g = 0; g < 2; ++g) {
      const __m256i first = _mm256_blend_epi32(x0[g], _mm256_slli_epi64(x1[g], 32), 0xaa);
      const __m256i second = _mm256_blend_epi32(x2[g], _mm256_slli_epi64(x3[g], 32), 0xaa);
      const __m256i even = _mm256_unpacklo_epi64(first, second);  // of blocks 0 and 2
      const __m256i odd = _mm256_unpackhi_epi64(first, second);
      auto* out = reinterpret_cast<__m256i*>(&to[2 * (b + g * lanes)]);
      _mm256_storeu_si256(out, _mm256_permute2x128_si256(even, odd, 0x20));
      _mm256_storeu_si256(out + 1, _mm256_permute2x128_si256(even, odd, 0x31));
    }
  }
}

// An integer below 2^53 in each lane becomes a double. Its halves do first, as the mantissas of
// 2^52 and 2^84; nothing is rounded.
SHARD_AVX2 __m256d as_doubles_avx2(__m256i x) noexcept {
  const __m256i low_one = _mm256_set1_epi64x(0x4330'0000'0000'0000);
  const __m256i high_one = _mm256_set1_epi64x(0x4530'0000'0000'0000);
  const __m256d both_ones = _mm256_set1_pd(0x1p84 + 0x1p52);
  const __m256i low = _mm256_blend_epi32(x, low_one, 0xaa);
  const __m256i high = _mm256_or_si256(_mm256_srli_epi64(x, 32), high_one);
  return _mm256_add_pd(_mm256_sub_pd(_mm256_castsi256_pd(high), both_ones),
                       _mm256_castsi256_pd(low));
}

SHARD_AVX2 void uniform_avx2(double* to, const std::uint64_t* from, std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; i += 4) {
    const auto word = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(&from[i]));
    _mm256_storeu_pd(to + i, _mm256_mul_pd(as_doubles_avx2(_mm256_srli_epi64(word, 11)),
                                           _mm256_set1_pd(0x1p-53)));
  }
}

// Coefficients 2 * Pair and 2 * Pair + 1 of rows[First] and rows[First + 2].
template <int Pair, int First>
SHARD_AVX2 inline __m256d two_of_rows(const row* const (&rows)[4]) noexcept {
  const __m256d lower =
      _mm256_castpd128_pd256(_mm_load_pd(rows[First]->c.data() + std::size_t{2} * Pair));
  return _mm256_insertf128_pd(lower, _mm_load_pd(rows[First + 2]->c.data() + std::size_t{2} * Pair),
                              1);
}

// The same of all four, each in a register of its own.
template <int Pair>
SHARD_AVX2 inline void coefficients(const row* const (&rows)[4], __m256d (&c)[8]) noexcept {
  const __m256d even = two_of_rows<Pair, 0>(rows);
  const __m256d odd = two_of_rows<Pair, 1>(rows);
  c[2 * Pair] = _mm256_unpacklo_pd(even, odd);
  c[2 * Pair + 1] = _mm256_unpackhi_pd(even, odd);
}

// normal_from of four words. There is no instruction that counts leading zeros: the exponent of the
// word as a double does, which is exact for the upper 52 of the 63 bits.
SHARD_AVX2 void normal_avx2(double* to, const std::uint64_t* from, std::size_t count) noexcept {
  const __m256i one = _mm256_set1_epi64x(1);
  const __m256i all = _mm256_set1_epi64x(-1);
  const __m256i sign = _mm256_set1_epi64x(static_cast<long long>(sign_bit));
  for (std::size_t i = 0; i < count; i += 4) {
    const auto word = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(&from[i]));
    const __m256i odd = _mm256_or_si256(_mm256_slli_epi64(word, 1), one);
    const __m256i upper = _mm256_srli_epi64(odd, 12);
    const __m256d magic = _mm256_set1_pd(0x1p52);
    const __m256d size = _mm256_sub_pd(
        _mm256_castsi256_pd(_mm256_or_si256(upper, _mm256_castpd_si256(magic))), magic);
    if (_mm256_movemask_pd(_mm256_cmp_pd(size, _mm256_setzero_pd(), _CMP_EQ_OQ)) != 0)
        [[unlikely]] {
      for (std::size_t k = i; k < i + 4; ++k) to[k] = normal_from(from[k]);
      continue;
    }
    // 2^51 is octave 0.
    const __m256i octave = _mm256_sub_epi64(_mm256_set1_epi64x(1023 + 51),
                                            _mm256_srli_epi64(_mm256_castpd_si256(size), 52));
    const __m256i rest =
        _mm256_xor_si256(_mm256_sllv_epi64(odd, _mm256_add_epi64(octave, one)), all);
    const __m256i number =
        _mm256_add_epi64(_mm256_slli_epi64(octave, 4), _mm256_srli_epi64(rest, 60));
    const __m256i place = _mm256_or_si256(_mm256_srli_epi64(_mm256_slli_epi64(rest, 4), 12),
                                          _mm256_set1_epi64x(static_cast<long long>(bits_of_one)));
    const __m256d t = _mm256_sub_pd(_mm256_castsi256_pd(place), _mm256_set1_pd(1 - 0x1p-53));

    const row* const first = normal_rows.data();
    const row* const rows[4] = {
        first + _mm256_extract_epi64(number, 0), first + _mm256_extract_epi64(number, 1),
        first + _mm256_extract_epi64(number, 2), first + _mm256_extract_epi64(number, 3)};
    __m256d c[8];
    coefficients<0>(rows, c);
    coefficients<1>(rows, c);
    coefficients<2>(rows, c);
    coefficients<3>(rows, c);
    const __m256d t2 = t * t;
    const __m256d t4 = t2 * t2;
    const __m256d z = ((c[0] + c[1] * t) + (c[2] + c[3] * t) * t2) +
                      ((c[4] + c[5] * t) + (c[6] + c[7] * t) * t2) * t4;
    const __m256i signs = _mm256_and_si256(word, sign);
    _mm256_storeu_pd(to + i, _mm256_or_pd(z, _mm256_castsi256_pd(signs)));
  }
}

#undef SHARD_AVX2

#define SHARD_AVX512 __attribute__((target("avx512f,avx512dq,avx512cd")))

SHARD_AVX512 void make_words_avx512(std::uint64_t* to, std::size_t count,
                                    const source& from) noexcept {
  constexpr std::size_t lanes = 8;
  const __m512i m0 = _mm512_set1_epi64(multiplier_0);
  const __m512i m1 = _mm512_set1_epi64(multiplier_1);
  const __m512i index = _mm512_set1_epi64(static_cast<long long>(from.index));
  const __m512i front = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
  const __m512i back = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
  for (std::size_t b = 0; b < count / 2; b += 2 * lanes) {
    __m512i x0[2];
    __m512i x1[2];
    __m512i x2[2];
    __m512i x3[2];
    for (std::size_t g = 0; g < 2; ++g) {
      const std::uint64_t number = from.number + b + g * lanes;
      x0[g] = _mm512_add_epi64(_mm512_set1_epi64(static_cast<long long>(number)),
                               _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
      x1[g] = _mm512_srli_epi64(x0[g], 32);
      x2[g] = index;
      x3[g] = _mm512_srli_epi64(index, 32);
    }
    auto key_0 = static_cast<std::uint32_t>(from.seed);
    auto key_1 = static_cast<std::uint32_t>(from.seed >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < rounds; ++round) {
      const __m512i k0 = _mm512_set1_epi64(key_0);
      const __m512i k1 = _mm512_set1_epi64(key_1);
#pragma GCC unroll 2
      for (std::size_t g = 0; g < 2; ++g) {
        constexpr int xor_of_three = 0x96;
        const __m512i p0 = _mm512_mul_epu32(m0, x0[g]);
        const __m512i p1 = _mm512_mul_epu32(m1, x2[g]);
        x0[g] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p1, 32), x1[g], k0, xor_of_three);
        x1[g] = p1;
        x2[g] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p0, 32), x3[g], k1, xor_of_three);
        x3[g] = p0;
      }
      key_0 += step_0;
      key_1 += step_1;
    }
    for (std::size_t g = 0; g < 2; ++g) {
      constexpr __mmask16 upper_halves = 0xaaaa;
      const __m512i first =
          _mm512_mask_blend_epi32(upper_halves, x0[g], _mm512_slli_epi64(x1[g], 32));
      const __m512i second =
          _mm512_mask_blend_epi32(upper_halves, x2[g], _mm512_slli_epi64(x3[g], 32));
      std::uint64_t* const out = &to[2 * (b + g * lanes)];
      _mm512_storeu_si512(out, _mm512_permutex2var_epi64(first, front, second));
      _mm512_storeu_si512(out + lanes, _mm512_permutex2var_epi64(first, back, second));
    }
  }
}

SHARD_AVX512 void uniform_avx512(double* to, const std::uint64_t* from,
                                 std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; i += 8) {
    const __m512i word = _mm512_loadu_si512(&from[i]);
    _mm512_storeu_pd(to + i, _mm512_mul_pd(_mm512_cvtepi64_pd(_mm512_srli_epi64(word, 11)),
                                           _mm512_set1_pd(0x1p-53)));
  }
}

// Coefficients 2 * Pair and 2 * Pair + 1 of every other row from First on. Loads of pairs into
// lanes take less time than gathers do, and far less on some processors.
template <int Pair, int First>
SHARD_AVX512 inline __m512d four_of_rows(const row* const (&rows)[8]) noexcept {
  constexpr std::size_t at = std::size_t{2} * Pair;
  __m512d four = _mm512_castpd128_pd512(_mm_load_pd(rows[First]->c.data() + at));
  four = _mm512_mask_broadcast_f64x2(four, 0x0c, _mm_load_pd(rows[First + 2]->c.data() + at));
  four = _mm512_mask_broadcast_f64x2(four, 0x30, _mm_load_pd(rows[First + 4]->c.data() + at));
  return _mm512_mask_broadcast_f64x2(four, 0xc0, _mm_load_pd(rows[First + 6]->c.data() + at));
}

// The same of all eight, each in a register of its own.
template <int Pair>
SHARD_AVX512 inline void coefficients(const row* const (&rows)[8], __m512d (&c)[8]) noexcept {
  const __m512d even = four_of_rows<Pair, 0>(rows);
  const __m512d odd = four_of_rows<Pair, 1>(rows);
  c[2 * Pair] = _mm512_unpacklo_pd(even, odd);
  c[2 * Pair + 1] = _mm512_unpackhi_pd(even, odd);
}

// normal_from of eight words.
SHARD_AVX512 void normal_avx512(double* to, const std::uint64_t* from, std::size_t count) noexcept {
  const __m512i one = _mm512_set1_epi64(1);
  const __m512i all = _mm512_set1_epi64(-1);
  const __m512i sign = _mm512_set1_epi64(static_cast<long long>(sign_bit));
  for (std::size_t i = 0; i < count; i += 8) {
    const __m512i word = _mm512_loadu_si512(&from[i]);
    const __m512i odd = _mm512_or_si512(_mm512_slli_epi64(word, 1), one);
    const __m512i octave = _mm512_lzcnt_epi64(odd);
    const __m512i rest =
        _mm512_xor_si512(_mm512_sllv_epi64(odd, _mm512_add_epi64(octave, one)), all);
    const __m512i number =
        _mm512_add_epi64(_mm512_slli_epi64(octave, 4), _mm512_srli_epi64(rest, 60));
    const __m512i place = _mm512_or_si512(_mm512_srli_epi64(_mm512_slli_epi64(rest, 4), 12),
                                          _mm512_set1_epi64(static_cast<long long>(bits_of_one)));
    const __m512d t = _mm512_sub_pd(_mm512_castsi512_pd(place), _mm512_set1_pd(1 - 0x1p-53));

    alignas(64) std::array<std::uint64_t, 8> numbers;
    _mm512_store_si512(numbers.data(), number);
    const row* const first = normal_rows.data();
    const row* const rows[8] = {first + numbers[0], first + numbers[1], first + numbers[2],
                                first + numbers[3], first + numbers[4], first + numbers[5],
                                first + numbers[6], first + numbers[7]};
    __m512d c[8];
    coefficients<0>(rows, c);
    coefficients<1>(rows, c);
    coefficients<2>(rows, c);
    coefficients<3>(rows, c);
    const __m512d t2 = t * t;
    const __m512d t4 = t2 * t2;
    const __m512d z = ((c[0] + c[1] * t) + (c[2] + c[3] * t) * t2) +
                      ((c[4] + c[5] * t) + (c[6] + c[7] * t) * t2) * t4;
    const __m512i signs = _mm512_and_si512(word, sign);
    _mm512_storeu_pd(to + i, _mm512_or_pd(z, _mm512_castsi512_pd(signs)));
  }
}

#undef SHARD_AVX512

#endif

template <double (*Convert)(std::uint64_t)>
void convert_scalar(double* to, const std::uint64_t* from, std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; ++i) to[i] = Convert(from[i]);
}

}  // namespace

instructions widest() noexcept {
#if defined(__x86_64__)
  // The first processors with AVX-512 lower their clock for it, those with VBMI2 hardly.
  if (__builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
      __builtin_cpu_supports("avx512cd") != 0 && __builtin_cpu_supports("avx512vbmi2") != 0)
    return instructions::avx512;
  if (__builtin_cpu_supports("avx2") != 0) return instructions::avx2;
#endif
  return instructions::scalar;
}

void make_words(std::uint64_t* to, std::size_t count, const source& from,
                [[maybe_unused]] instructions with) noexcept {
#if defined(__x86_64__)
  if (with == instructions::avx512) return make_words_avx512(to, count, from);
  if (with == instructions::avx2) return make_words_avx2(to, count, from);
#endif
  make_words_scalar(to, count, from);
}

void uniform_from_words(double* to, const std::uint64_t* from, std::size_t count,
                        [[maybe_unused]] instructions with) noexcept {
#if defined(__x86_64__)
  if (with == instructions::avx512) return uniform_avx512(to, from, count);
  if (with == instructions::avx2) return uniform_avx2(to, from, count);
#endif
  convert_scalar<uniform_from>(to, from, count);
}

void normal_from_words(double* to, const std::uint64_t* from, std::size_t count,
                       [[maybe_unused]] instructions with) noexcept {
#if defined(__x86_64__)
  if (with == instructions::avx512) return normal_avx512(to, from, count);
  if (with == instructions::avx2) return normal_avx2(to, from, count);
#endif
  convert_scalar<normal_from>(to, from, count);
}

}  // namespace shard::random
