#include "mapping/regular_places.hpp"

#include <array>

#include "exact/instruction_set.hpp"
#include "shard/detail/fetch.hpp"
#include "shard/detail/grid.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace shard::mapping {
namespace {

using axis::regular_axis;
using detail::equal_bins;
using detail::fetch_later;

void find_each(const regular_axis& along, const equal_bins&, const double* x, std::size_t count,
               std::uint32_t* to) noexcept {
  for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<std::uint32_t>(along.index(x[i]) + 1);
}

#if defined(__x86_64__)

// Of values two blocks later: while the places of one block are used, nothing else reads values.
constexpr std::size_t ahead_bytes = 8192;

// As equal_bins::find(): where a value is, once too low and once too high. Here both are cut to the
// numbers from 0, underflow, to that of the overflow bin, so that they fit 32 bits. `_min_pd` gives
// its second operand for a NaN: the overflow bin. Where the two numbers differ, the lower edge of
// the second one is near, and the value is compared with it as by equal_bins::is_below_edge(), each
// operation rounded by itself.

[[gnu::target("avx2,fma")]] void find_by_avx2(const regular_axis& along, const equal_bins& bins,
                                              const double* x, std::size_t count,
                                              std::uint32_t* to) noexcept {
  constexpr std::size_t width = 4;
  constexpr int to_zero = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
  const __m256d low = _mm256_set1_pd(bins.low());
  const __m256d scale = _mm256_set1_pd(bins.scale());
  const __m256d too_low = _mm256_set1_pd(bins.too_low());
  const __m256d too_high = _mm256_set1_pd(bins.too_high());
  const __m256d overflow = _mm256_set1_pd(static_cast<double>(bins.size()) + 1);
  const __m256d underflow = _mm256_setzero_pd();
  const __m256d one = _mm256_set1_pd(1.0);
  const __m256d bin_width = _mm256_set1_pd(bins.width());
  const __m256d high = _mm256_set1_pd(bins.high());
  std::size_t i = 0;
  for (; i + width <= count; i += width) {
    fetch_later(x + i, ahead_bytes);
    const __m256d above = _mm256_sub_pd(_mm256_loadu_pd(x + i), low);
    const __m256d from = _mm256_fmadd_pd(above, scale, too_low);
    const __m256d upto = _mm256_fmadd_pd(above, scale, too_high);
    const __m256d first =
        _mm256_round_pd(_mm256_max_pd(_mm256_min_pd(from, overflow), underflow), to_zero);
    __m256d last =
        _mm256_round_pd(_mm256_max_pd(_mm256_min_pd(upto, overflow), underflow), to_zero);
    const __m256d differ = _mm256_cmp_pd(first, last, _CMP_NEQ_OQ);
    if (_mm256_movemask_pd(differ) != 0) [[unlikely]] {
      const __m256d k = _mm256_sub_pd(last, one);
      const __m256d inner = _mm256_add_pd(low, _mm256_mul_pd(k, bin_width));
      const __m256d edge = _mm256_blendv_pd(inner, high, _mm256_cmp_pd(last, overflow, _CMP_EQ_OQ));
      const __m256d below = _mm256_cmp_pd(_mm256_loadu_pd(x + i), edge, _CMP_LT_OQ);
      last = _mm256_sub_pd(last, _mm256_and_pd(_mm256_and_pd(below, differ), one));
    }
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), _mm256_cvttpd_epi32(last));
  }
  find_each(along, bins, x + i, count - i, to + i);
}

[[gnu::target("avx512f,avx2,fma")]] void find_by_avx512(const regular_axis& along,
                                                        const equal_bins& bins, const double* x,
                                                        std::size_t count,
                                                        std::uint32_t* to) noexcept {
  constexpr std::size_t width = 8;
  constexpr int to_zero = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
  const __m512d low = _mm512_set1_pd(bins.low());
  const __m512d scale = _mm512_set1_pd(bins.scale());
  const __m512d too_low = _mm512_set1_pd(bins.too_low());
  const __m512d too_high = _mm512_set1_pd(bins.too_high());
  const __m512d overflow = _mm512_set1_pd(static_cast<double>(bins.size()) + 1);
  const __m512d underflow = _mm512_setzero_pd();
  const __m512d one = _mm512_set1_pd(1.0);
  const __m512d bin_width = _mm512_set1_pd(bins.width());
  const __m512d high = _mm512_set1_pd(bins.high());
  // With a mask of all: g++ 12 takes the plain ones for uses of what was never set (GCC bug
  // 105593).
  constexpr __mmask8 all = 0xff;
  std::size_t i = 0;
  for (; i + width <= count; i += width) {
    fetch_later(x + i, ahead_bytes);
    const __m512d above = _mm512_sub_pd(_mm512_loadu_pd(x + i), low);
    const __m512d from = _mm512_fmadd_pd(above, scale, too_low);
    const __m512d upto = _mm512_fmadd_pd(above, scale, too_high);
    const __m512d first = _mm512_maskz_roundscale_pd(
        all, _mm512_maskz_max_pd(all, _mm512_maskz_min_pd(all, from, overflow), underflow),
        to_zero);
    __m512d last = _mm512_maskz_roundscale_pd(
        all, _mm512_maskz_max_pd(all, _mm512_maskz_min_pd(all, upto, overflow), underflow),
        to_zero);
    const __mmask8 differ = _mm512_cmp_pd_mask(first, last, _CMP_NEQ_OQ);
    if (differ != 0) [[unlikely]] {
      const __m512d k = _mm512_sub_pd(last, one);
      const __m512d inner = _mm512_add_pd(low, _mm512_mul_pd(k, bin_width));
      const __m512d edge =
          _mm512_mask_blend_pd(_mm512_cmp_pd_mask(last, overflow, _CMP_EQ_OQ), inner, high);
      const __mmask8 below =
          _mm512_mask_cmp_pd_mask(differ, _mm512_loadu_pd(x + i), edge, _CMP_LT_OQ);
      last = _mm512_mask_sub_pd(last, below, last, one);
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), _mm512_maskz_cvttpd_epi32(all, last));
  }
  find_each(along, bins, x + i, count - i, to + i);
}

constexpr std::array<place_finder, 3> all_finders{find_each, find_by_avx2, find_by_avx512};
#else
constexpr std::array<place_finder, 1> all_finders{find_each};
#endif

#if defined(__x86_64__)
[[gnu::target("avx2")]] void join_by_avx2(std::uint32_t* places, const std::uint32_t* own,
                                          std::uint32_t extent, std::size_t count) noexcept {
  const __m256i by = _mm256_set1_epi32(static_cast<int>(extent));
  for (std::size_t k = 0; k + 8 <= count; k += 8) {
    auto* const at = reinterpret_cast<__m256i*>(places + k);
    const __m256i moved = _mm256_mullo_epi32(_mm256_loadu_si256(at), by);
    const __m256i added = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(own + k));
    _mm256_storeu_si256(at, _mm256_add_epi32(moved, added));
  }
}
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

namespace shard::detail {

void join_places(std::uint32_t* places, const std::uint32_t* own, std::uint32_t extent,
                 std::size_t count) noexcept {
  std::size_t k = 0;
#if defined(__x86_64__)
  static const bool avx2 = exact::instruction_sets().size() > 1;
  if (avx2) {
    mapping::join_by_avx2(places, own, extent, count);
    k = count / 8 * 8;
  }
#endif
  for (; k < count; ++k) places[k] = places[k] * extent + own[k];
}

}  // namespace shard::detail
