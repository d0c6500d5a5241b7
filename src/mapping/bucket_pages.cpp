#include "mapping/bucket_pages.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>

#include "exact/instruction_set.hpp"
#include "mapping/count_each.hpp"
#include "shard/detail/bucket_pages.hpp"
#include "shard/detail/fetch.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace shard::mapping {
namespace {

using detail::bucket_page;
using detail::bucket_pages;
using detail::fetch_later;

// From one page to the next, in units of the lower parts of counts.
constexpr std::uint32_t stride = sizeof(bucket_page) / sizeof(std::uint16_t);
static_assert(sizeof(bucket_page) % sizeof(std::uint16_t) == 0);
static_assert(std::uint64_t{stride} << 16 <= std::uint64_t{1} << 32);

constexpr int bits_of_bucket = std::countr_zero(bucket_page::buckets);
template <class T>
constexpr int bucket_shift = std::numeric_limits<T>::digits - 1 - bits_of_bucket;

template <class T>
using word_of = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
template <class T>
std::uint32_t bucket_of(T x) noexcept {
  const auto word = std::bit_cast<word_of<T>>(x);
  return static_cast<std::uint32_t>(word >> bucket_shift<T>);
}

// A loop without branches, for vector registers of any size.
template <class T>
[[gnu::always_inline]] inline bool find_in_window(const T* x, std::size_t count,
                                                  std::uint32_t window,
                                                  std::uint32_t* __restrict to) noexcept {
  constexpr std::uint32_t size = bucket_pages::window_groups * bucket_page::buckets;
  constexpr int sign_shift = 8 * sizeof(T) - 1 - bucket_shift<T>;
  constexpr int to_second_half = sign_shift - std::countr_zero(size);
  constexpr std::uint32_t behind_buckets = stride - bucket_page::buckets;
  const auto first = static_cast<std::uint32_t>(window * bucket_page::buckets);
  std::uint32_t seen = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t off = bucket_of(x[i]) - first;  // and the sign
    seen |= off;
    const std::uint32_t bucket = (off & (size - 1)) | (off >> to_second_half & size);
    const std::uint32_t pages_before = bucket / bucket_page::buckets;
    to[i] = stride + bucket + pages_before * behind_buckets;
  }
  return (seen & ~(std::uint32_t{1} << sign_shift | (size - 1))) == 0;
}
template <class T>
bool find_in_window_baseline(const T* x, std::size_t count, std::uint32_t window,
                             std::uint32_t* to) noexcept {
  return find_in_window(x, count, window, to);
}

template <class T>
bool find_each(const T* x, std::size_t count, const std::uint16_t* page_of,
               std::uint32_t* to) noexcept {
  bool all_placed = true;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t bucket = bucket_of(x[i]);
    const std::uint32_t page = page_of[bucket >> bits_of_bucket];
    all_placed &= page != 0;
    to[i] = page * stride + bucket % bucket_page::buckets;
  }
  return all_placed;
}

#if defined(__x86_64__)

// Eight words of 32 bits: the signs, exponents and leading bits of eight numbers.
[[gnu::target("avx2"), gnu::always_inline]] inline __m256i buckets_by_avx2(
    const float* x) noexcept {
  return _mm256_srli_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)),
                           bucket_shift<float>);
}
// Of four, as halves of 64 bits.
[[gnu::target("avx2"), gnu::always_inline]] inline __m256 four_buckets(const double* x) noexcept {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
  return _mm256_castsi256_ps(_mm256_srli_epi64(bits, bucket_shift<double>));
}
[[gnu::target("avx2"), gnu::always_inline]] inline __m256i buckets_by_avx2(
    const double* x) noexcept {
  // The lower halves: of numbers 0, 1, 4, 5, and of 2, 3, 6, 7.
  const __m256 mixed =
      _mm256_shuffle_ps(four_buckets(x), four_buckets(x + 4), _MM_SHUFFLE(2, 0, 2, 0));
  return _mm256_permute4x64_epi64(_mm256_castps_si256(mixed), _MM_SHUFFLE(3, 1, 2, 0));
}
// The counters of eight numbers. The lowest page of each of the eight is kept in lowest_page.
[[gnu::target("avx2"), gnu::always_inline]] inline __m256i counters_by_avx2(
    __m256i buckets, const std::uint16_t* page_of, __m256i& lowest_page) noexcept {
  const __m256i groups = _mm256_srli_epi32(buckets, bits_of_bucket);
  const __m256i two_pages =
      _mm256_i32gather_epi32(reinterpret_cast<const int*>(page_of), groups, sizeof *page_of);
  const __m256i pages = _mm256_and_si256(two_pages, _mm256_set1_epi32(0xffff));
  lowest_page = _mm256_min_epi32(lowest_page, pages);
  return _mm256_add_epi32(
      _mm256_mullo_epi32(pages, _mm256_set1_epi32(stride)),
      _mm256_and_si256(buckets, _mm256_set1_epi32(int{bucket_page::buckets} - 1)));
}

[[gnu::target("avx2"), gnu::always_inline]] inline bool has_zero(__m256i pages) noexcept {
  return _mm256_movemask_epi8(_mm256_cmpeq_epi32(pages, _mm256_setzero_si256())) != 0;
}

constexpr std::size_t width = 8;

template <class T>
[[gnu::target("avx2")]] bool find_by_avx2(const T* x, std::size_t count,
                                          const std::uint16_t* page_of,
                                          std::uint32_t* to) noexcept {
  __m256i lowest_page = _mm256_set1_epi32(1);
  std::size_t i = 0;
  for (; i + width <= count; i += width) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i),
                        counters_by_avx2(buckets_by_avx2(x + i), page_of, lowest_page));
  }
  return find_each(x + i, count - i, page_of, to + i) && !has_zero(lowest_page);
}

template <class T>
[[gnu::target("avx2")]] bool find_in_window_avx2(const T* x, std::size_t count,
                                                 std::uint32_t window, std::uint32_t* to) noexcept {
  return find_in_window(x, count, window, to);
}
template <class T>
[[gnu::target("avx512f")]] bool find_in_window_avx512(const T* x, std::size_t count,
                                                      std::uint32_t window,
                                                      std::uint32_t* to) noexcept {
  return find_in_window(x, count, window, to);
}

template <class T>
constexpr std::array<counter_finder<T>, 3> all_finders{
    {{find_in_window_baseline<T>, find_each<T>},
     {find_in_window_avx2<T>, find_by_avx2<T>},
     {find_in_window_avx512<T>, find_by_avx2<T>}}};
#else
template <class T>
constexpr std::array<counter_finder<T>, 1> all_finders{
    {{find_in_window_baseline<T>, find_each<T>}}};
#endif

// Adds 1 to counters. Values of later blocks are asked for meanwhile: adding leaves memory idle.
template <class T>
[[gnu::always_inline]] inline void add_to_each(bucket_page* pages, const std::uint32_t* at,
                                               std::size_t count, const T* values) noexcept {
  constexpr std::size_t ahead_bytes = 16384;
  constexpr std::size_t step = 16;
  auto* const low = reinterpret_cast<std::uint16_t*>(pages);
  const auto add = [low, pages](std::uint32_t to, std::size_t, std::uint32_t times) {
    const auto more = static_cast<std::uint16_t>(times);
    low[to] = static_cast<std::uint16_t>(low[to] + more);
    if (low[to] < more) [[unlikely]]
      ++pages[to / stride].high[to % stride];
  };
  std::size_t i = 0;
  for (; i + step <= count; i += step) {
    for (std::size_t k = 0; k < step; k += 64 / sizeof(T)) fetch_later(values + i + k, ahead_bytes);
    count_each({at + i, step}, add);
  }
  count_each({at + i, count - i}, add);
}

constexpr std::size_t block_size = 256;

template <class T>
std::size_t count_blocks(const T* values, std::size_t count, const bucket_pages& to) noexcept {
  static const counter_finder<T> find = counter_finders<T>().back();
  // After some blocks in a row that are not in the window, it is tried with one of 16.
  constexpr unsigned some = 4;
  constexpr unsigned seldom = 16;
  unsigned misses = 0;
  std::uint32_t at[block_size];
  for (std::size_t done = 0; done < count;) {
    const std::size_t n = std::min(block_size, count - done);
    const T* const x = values + done;
    const bool in_window =
        (misses < some || misses % seldom == 0) && find.in_window(x, n, to.window, at);
    if (!in_window && !find.by_page(x, n, to.page_of, at)) return done;
    misses = in_window ? 0 : misses + 1;
    add_to_each(to.pages, at, n, x);
    done += n;
  }
  return count;
}

}  // namespace

template <class T>
std::span<const counter_finder<T>> counter_finders() noexcept {
  return std::span(all_finders<T>).first(exact::instruction_sets().size());
}
template std::span<const counter_finder<double>> counter_finders<double>() noexcept;
template std::span<const counter_finder<float>> counter_finders<float>() noexcept;

}  // namespace shard::mapping

namespace shard::detail {

std::size_t count_placed(const double* values, std::size_t count, const bucket_pages& to) noexcept {
  return mapping::count_blocks(values, count, to);
}
std::size_t count_placed(const float* values, std::size_t count, const bucket_pages& to) noexcept {
  return mapping::count_blocks(values, count, to);
}

}  // namespace shard::detail
