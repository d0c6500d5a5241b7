#include "mapping/regular_places.hpp"

#include <array>

#include "exact/instruction_set.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace shard::mapping {
namespace {

using axis::regular_axis;
using detail::equal_bins;

void find_each(const regular_axis& along, const equal_bins&, const double* x, std::size_t count,
               std::uint32_t* to) noexcept {
  for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<std::uint32_t>(along.index(x[i]) + 1);
}

#if defined(__x86_64__)

// As equal_bins::find(): where a value is, once too low and once too high. Here both are cut to the
// numbers from 0, underflow, to that of the overflow bin, so that they fit 32 bits. `_min_pd` gives
// its second operand for a NaN: the overflow bin. Where the two numbers differ, an edge is near,
// and the axis is asked.

[[gnu::target("avx2,fma")]] void find_by_avx2(const regular_axis& along, const equal_bins& bins,
                                              const double* x, std::size_t count,
                                              std::uint32_t* to) noexcept {
  constexpr std::size_t width = 4;
  const __m256d low = _mm256_set1_pd(bins.low());
  const __m256d scale = _mm256_set1_pd(bins.scale());
  const __m256d too_low = _mm256_set1_pd(bins.too_low());
  const __m256d too_high = _mm256_set1_pd(bins.too_high());
  const __m256d overflow = _mm256_set1_pd(static_cast<double>(bins.size()) + 1);
  const __m256d underflow = _mm256_setzero_pd();
  std::size_t i = 0;
  for (; i + width <= count; i += width) {
    const __m256d above = _mm256_sub_pd(_mm256_loadu_pd(x + i), low);
    const __m256d from = _mm256_fmadd_pd(above, scale, too_low);
    const __m256d upto = _mm256_fmadd_pd(above, scale, too_high);
    const __m128i first =
        _mm256_cvttpd_epi32(_mm256_max_pd(_mm256_min_pd(from, overflow), underflow));
    const __m128i last =
        _mm256_cvttpd_epi32(_mm256_max_pd(_mm256_min_pd(upto, overflow), underflow));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), first);
    const __m128i differ = _mm_xor_si128(first, last);
    if (_mm_testz_si128(differ, differ) == 0) [[unlikely]]
      find_each(along, bins, x + i, width, to + i);
  }
  find_each(along, bins, x + i, count - i, to + i);
}

[[gnu::target("avx512f,avx2,fma")]] void find_by_avx512(const regular_axis& along,
                                                        const equal_bins& bins, const double* x,
                                                        std::size_t count,
                                                        std::uint32_t* to) noexcept {
  constexpr std::size_t width = 8;
  const __m512d low = _mm512_set1_pd(bins.low());
  const __m512d scale = _mm512_set1_pd(bins.scale());
  const __m512d too_low = _mm512_set1_pd(bins.too_low());
  const __m512d too_high = _mm512_set1_pd(bins.too_high());
  const __m512d overflow = _mm512_set1_pd(static_cast<double>(bins.size()) + 1);
  const __m512d underflow = _mm512_setzero_pd();
  // With a mask of all: g++ 12 takes the plain ones for uses of what was never set (GCC bug
  // 105593).
  constexpr __mmask8 all = 0xff;
  std::size_t i = 0;
  for (; i + width <= count; i += width) {
    const __m512d above = _mm512_sub_pd(_mm512_loadu_pd(x + i), low);
    const __m512d from = _mm512_fmadd_pd(above, scale, too_low);
    const __m512d upto = _mm512_fmadd_pd(above, scale, too_high);
    const __m256i first = _mm512_maskz_cvttpd_epi32(
        all, _mm512_maskz_max_pd(all, _mm512_maskz_min_pd(all, from, overflow), underflow));
    const __m256i last = _mm512_maskz_cvttpd_epi32(
        all, _mm512_maskz_max_pd(all, _mm512_maskz_min_pd(all, upto, overflow), underflow));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), first);
    const __m256i differ = _mm256_xor_si256(first, last);
    if (_mm256_testz_si256(differ, differ) == 0) [[unlikely]]
      find_each(along, bins, x + i, width, to + i);
  }
  find_each(along, bins, x + i, count - i, to + i);
}

constexpr std::array<place_finder, 3> all_finders{find_each, find_by_avx2, find_by_avx512};
#else
constexpr std::array<place_finder, 1> all_finders{find_each};
#endif

}  // namespace

std::span<const place_finder> place_finders() noexcept {
  return std::span(all_finders).first(exact::instruction_sets().size());
}

}  // namespace shard::mapping

namespace shard::axis {

void regular_axis::places(const double* x, std::size_t count, std::uint32_t* to) const noexcept {
  static const mapping::place_finder best = mapping::place_finders().back();
  static const mapping::place_finder each = mapping::place_finders().front();
  (bins_.is_fine() ? best : each)(*this, bins_, x, count, to);
}

}  // namespace shard::axis
