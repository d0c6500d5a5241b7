// Probabilities of counts, by the saddle-point form of C. Loader, "Fast and accurate computation of
// binomial probabilities", 2000: no large terms cancel each other, so it holds for counts of 10^15.
#pragma once

#include <cstdint>

namespace shard::random {

// log(e^-mean mean^k / k!). Requires: 0 < mean, and k is a whole number of at most 2^63.
double log_poisson_mass(double k, double mean) noexcept;

// log(n! / (k! (n - k)!) p^k q^(n - k)) for the odds p and q = 1 - p. Requires: all are positive, k
// and n are whole numbers, and k <= n.
double log_binomial_mass(double k, double n, double p, double q) noexcept;

}  // namespace shard::random
