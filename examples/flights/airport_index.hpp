// Numbers for the airports that occur in a column, in the order of their codes.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "columns.hpp"
#include "journal.hpp"

namespace flights {

// A bitmap over all 2^24 codes of three bytes: set where the code occurs. Any bytes are a code, so
// that nothing is assumed about the input. The number of a code is how many set bits come before
// its own, which takes one lookup and a popcount.
class airport_index {
 public:
  static constexpr std::size_t words = std::size_t{1} << (24 - 5);

  // Requires: bitmap.size() == words; the bit of a code's key is bit key % 32 of word key / 32.
  explicit airport_index(std::span<const std::uint32_t> bitmap);

  std::size_t size() const noexcept { return size_; }

  // 0 … size() - 1. Requires: the code occurs.
  std::uint32_t number(airport_code code) const noexcept {
    const std::uint32_t k = key(code);
    const block& in = blocks_[k / 32];
    return in.before + static_cast<std::uint32_t>(std::popcount(in.bits & ((1u << k % 32) - 1)));
  }

  // The code of each number.
  std::vector<airport_code> codes() const;

  // The code's bytes as a number that sorts as they do.
  static std::uint32_t key(airport_code code) noexcept {
    const auto bytes = code.bytes();
    const auto byte = [bytes](std::size_t i) -> std::uint32_t {
      return static_cast<unsigned char>(bytes[i]);
    };
    return byte(0) << 16 | byte(1) << 8 | byte(2);
  }

 private:
  struct block {
    std::uint32_t bits;
    std::uint32_t before;  // set bits in all earlier blocks
  };

  std::vector<block> blocks_;
  std::size_t size_ = 0;
};

// The index of the codes in a column: one pass over it in parallel.
airport_index index_airports(const shard::buffer<const airport_code>& column, journal& log);

}  // namespace flights
