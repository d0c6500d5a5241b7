// Many numbers of a stream at once, in vector registers where the processor has them. Each way to
// do it gives the bits that the others give.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shard::random {

enum class instructions { scalar, avx2, avx512 };

// The quickest that this processor has.
instructions widest() noexcept;

// Where blocks are taken from.
struct source {
  std::uint64_t seed;
  std::uint64_t index;
  std::uint64_t number;  // of the first block
};

// Numbers come in groups of so many.
constexpr std::size_t group = 32;

// The words of blocks in their order, and numbers from words. Requires: count is a multiple of
// `group`, and the processor has these instructions.
void make_words(std::uint64_t* to, std::size_t count, const source& from,
                instructions with) noexcept;
void uniform_from_words(double* to, const std::uint64_t* from, std::size_t count,
                        instructions with) noexcept;
void normal_from_words(double* to, const std::uint64_t* from, std::size_t count,
                       instructions with) noexcept;

}  // namespace shard::random
