#include "shard/reduce.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "shard/error.hpp"
#include "shard/quantiles.hpp"
#include "shard/ranking.hpp"

namespace shard::detail {

void refuse_no_value(bool lowest) {
  throw error(std::errc::argument_out_of_domain, std::string("cannot read the ") +
                                                     (lowest ? "minimum" : "maximum") +
                                                     ": found no value, expected at least one");
}

void refuse_overflow(std::size_t bits, bool is_signed) {
  throw error(std::errc::value_too_large,
              "cannot read the sum: found one that is too large, expected one that fits into " +
                  std::string(is_signed ? "a signed" : "an unsigned") + " integer of " +
                  std::to_string(bits) + " bits; take a wider type");
}

void refuse_top_of_none() {
  throw error(std::errc::invalid_argument, "cannot make a top_k: found k = 0, expected at least 1");
}

void refuse_top_of_too_many(std::size_t k, std::size_t most) {
  throw error(std::errc::invalid_argument, "cannot make a top_k: found k = " + std::to_string(k) +
                                               ", expected at most " + std::to_string(most));
}

std::uint64_t rank_of_quantile(double p, std::uint64_t n) {
  if (!(p >= 0 && p <= 1)) {
    throw error(std::errc::argument_out_of_domain,
                "cannot read a quantile: found p = " + std::to_string(p) +
                    ", expected a number from 0 to 1");
  }
  if (n == 0) {
    throw error(std::errc::argument_out_of_domain,
                "cannot read a quantile: found no number, expected at least one");
  }
  const double rank = std::ceil(p * static_cast<double>(n));
  // Not below 2^64, if n rounds up to it.
  if (rank >= static_cast<double>(n)) return n;
  return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(rank));
}

void refuse_quantile_of_other_data(std::uint64_t found, std::uint64_t expected) {
  throw error(std::errc::argument_out_of_domain,
              "cannot read an exact quantile: found " + std::to_string(found) +
                  " numbers in its bucket, expected " + std::to_string(expected) +
                  ", as the quantiles counted; map once over the same numbers");
}

void refuse_quantile_of_too_many(std::uint64_t most) {
  throw error(std::errc::not_enough_memory,
              "cannot find an exact quantile: found more than " + std::to_string(most) +
                  " different numbers in its bucket, expected at most so many; give "
                  "exact_quantile more room");
}

}  // namespace shard::detail
