// The loop that adds to counters at many places.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

namespace shard::mapping {

// Two neighbours as one word.
inline std::uint64_t pair_at(const std::uint32_t* at) noexcept {
  std::uint64_t both;
  std::memcpy(&both, at, sizeof both);
  return both;
}

// Calls add(place, copy, times), four places at a time. Equal ones are counted before they are
// added: for each addition to a counter, a processor waits until the last one is written.
template <class Add>
[[gnu::always_inline]] inline void count_each(std::span<const std::uint32_t> places,
                                              Add add) noexcept {
  const std::uint32_t* at = places.data();
  const std::uint32_t* const end = at + places.size();
  while (end - at >= 4) {
    const std::uint64_t first = pair_at(at);
    const std::uint64_t second = pair_at(at + 2);
    if (first == second && at[0] == at[1]) {
      const std::uint32_t* const begin = at;
      do {
        at += 4;
      } while (end - at >= 4 && pair_at(at) == first && pair_at(at + 2) == first);
      add(*begin, 0, static_cast<std::uint32_t>(at - begin));
      continue;
    }
    add(at[0], 0, 1);
    add(at[1], 1, 1);
    add(at[2], 2, 1);
    add(at[3], 3, 1);
    at += 4;
  }
  for (; at != end; ++at) add(*at, 0, 1);
}

}  // namespace shard::mapping
