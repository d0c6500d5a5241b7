// Counters of quantiles, and how many numbers are counted at once. Not for users.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shard::detail {

// The counts of a group of buckets. Each count has two parts. What is added to all the time takes
// little of the caches: 256 bytes of a page, 1 MiB of the pages of all finite doubles.
struct bucket_page {
  static constexpr std::size_t buckets = 128;

  std::uint16_t low[buckets];
  std::uint64_t high[buckets];  // in units of 2^16

  std::uint64_t count(std::size_t bucket) const noexcept {
    return high[bucket] << 16 | low[bucket];
  }
  void add_one(std::size_t bucket) noexcept {
    if (++low[bucket] == 0) ++high[bucket];
  }
};

// Where counters are. A group is a sign and an exponent. Most numbers are in the window: of a group
// there, the page is known without a look into page_of.
struct bucket_pages {
  // The window is so many neighbouring exponents. Page 1 is that of its lowest one. The pages of
  // the negative numbers follow those of the positive ones.
  static constexpr std::uint32_t window_groups = 16;
  static constexpr std::uint32_t pages_of_window = 2 * window_groups;

  // 0: a group has no page. The vector loop reads two bytes behind the last one.
  const std::uint16_t* page_of;
  bucket_page* pages;
  std::uint32_t window;  // the group of the lowest positive numbers in it
};

// Counts numbers by their sign, exponent and leading seven bits of the mantissa, from the first one
// on. Stops where one of the next 256 is of a group that has no page. Returns how many are counted.
std::size_t count_placed(const double* values, std::size_t count, const bucket_pages&) noexcept;
std::size_t count_placed(const float* values, std::size_t count, const bucket_pages&) noexcept;

}  // namespace shard::detail
