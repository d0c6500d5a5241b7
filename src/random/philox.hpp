// Philox4x32-10, a function from a key and a counter to 128 random bits.
#pragma once

#include <Random123/philox.h>

#include <cstdint>

namespace shard::random {

struct block {
  std::uint64_t first;
  std::uint64_t second;
};

// Block `number` of a stream: seed is the key, index the upper half of the counter, number the
// lower.
inline block philox(std::uint64_t seed, std::uint64_t index, std::uint64_t number) noexcept {
  const auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x); };
  const auto high = [](std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); };
  const r123::Philox4x32::ctr_type counter{{low(number), high(number), low(index), high(index)}};
  const r123::Philox4x32::key_type key{{low(seed), high(seed)}};
  const auto words = r123::Philox4x32()(counter, key);
  return {words[0] | std::uint64_t{words[1]} << 32, words[2] | std::uint64_t{words[3]} << 32};
}

}  // namespace shard::random
