#include "shard/from_boost.hpp"

#include <sstream>
#include <string>

#include "shard/error.hpp"

namespace shard::detail {

void refuse_count(double found, std::span<const int> bin) {
  std::ostringstream message;
  message << "cannot take a histogram of Boost's: found " << found << " in bin";
  for (const int index : bin) message << ' ' << index;
  message << ", expected an integer of 64 bits, and in floating point one up to 2^53";
  throw error(std::errc::result_out_of_range, message.str());
}

}  // namespace shard::detail
