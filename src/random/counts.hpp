// Counts: numbers of arrivals, and of successes.
#pragma once

#include <cstdint>

#include "shard/random.hpp"

namespace shard::random {

// Requires: 0 <= mean <= 2^52.
std::uint64_t poisson(random_stream& from, double mean) noexcept;

// Requires: n <= 2^52 and 0 <= p <= 1.
std::uint64_t binomial(random_stream& from, std::uint64_t n, double p) noexcept;

}  // namespace shard::random
