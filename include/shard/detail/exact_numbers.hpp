// How the states of exact.hpp keep their numbers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace shard::detail {

// Whole numbers in two's complement, each in as few words as it needs, one number behind the other.
// The words of one number begin with its lowest word that isn't zero. They end where all further
// words would only repeat the sign. So equal numbers have equal bytes, and numbers of ordinary size
// fill a cache line or two. All zeros: every number is zero, and nothing was added.
//
// `Words` is how many words all numbers need together at most.
template <std::size_t Numbers, std::size_t Words>
struct packed_numbers {
  struct place {
    std::uint8_t first = 0;  // words below the lowest word that is kept
    std::uint8_t count = 0;  // words that are kept

    bool operator==(const place&) const = default;
  };
  static constexpr std::size_t head_bytes = Numbers <= 3 ? 8 : 16;

  std::uint8_t kinds = 0;  // what else was added: the bits of exact::kind
  std::array<place, Numbers> places{};
  std::array<std::uint8_t, head_bytes - 1 - 2 * Numbers> unused{};
  std::array<std::uint64_t, Words> words{};  // behind the last word that is kept: anything

  constexpr std::size_t words_used() const noexcept {
    std::size_t used = 0;
    for (const place& each : places) used += each.count;
    return used;
  }
  constexpr std::size_t live_bytes() const noexcept {
    return head_bytes + words_used() * sizeof(std::uint64_t);
  }

  bool operator==(const packed_numbers& other) const noexcept {
    if (kinds != other.kinds || places != other.places) return false;
    for (std::size_t k = 0; k < words_used(); ++k) {
      if (words[k] != other.words[k]) return false;
    }
    return true;
  }
};

// The sums of the numbers of one bin of a histogram, and of their squares, as long as all of them
// are normal numbers whose exponents lie in a window of 64. One cache line.
struct alignas(64) moment_window {
  static constexpr unsigned orders = 64;
  static constexpr unsigned chosen = 2048;

  std::uint64_t sum[2] = {};      // in two's complement, in units of the window
  std::uint64_t squares[4] = {};  // in units of their squares
  std::uint64_t count = 0;        // how many numbers were added here; others have no sum to add
  std::uint32_t elsewhere = 0;    // 0, or 1 + which full state has the numbers outside
  std::uint16_t place = 0;  // 0, or `chosen` + the lowest exponent of the window, as it is stored
  std::uint8_t kinds = 0;   // what was added: the bits of exact::kind
};

// Words of 64 bits that hold any sum of 2^63 doubles: 2^-1074 to 2^1023, the carries and the sign.
inline constexpr std::size_t words_of_sum = 34;
// The same for products of two doubles: 2^-2148 to 2^2047.
inline constexpr std::size_t words_of_products = 67;

}  // namespace shard::detail
