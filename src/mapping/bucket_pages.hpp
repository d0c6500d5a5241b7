// Where the counters of many numbers are, in vector registers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "shard/detail/bucket_pages.hpp"

namespace shard::mapping {

// Functions that find counters. to[i] is the counter of x[i]: how many lower parts of counts are in
// the pages before it. Requires: count <= 256.
template <class T>
struct counter_finder {
  // False if a number is not in the window.
  bool (*in_window)(const T* x, std::size_t count, std::uint32_t window,
                    std::uint32_t* to) noexcept;
  // False if a number's group has no page. Requires: behind page_of are two more bytes.
  bool (*by_page)(const T* x, std::size_t count, const std::uint16_t* page_of,
                  std::uint32_t* to) noexcept;
};

// Those that this processor can run, the best one last. They find the same counters.
template <class T>
std::span<const counter_finder<T>> counter_finders() noexcept;

}  // namespace shard::mapping
