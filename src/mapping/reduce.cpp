#include "shard/reduce.hpp"

#include <string>

#include "shard/error.hpp"
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

}  // namespace shard::detail
