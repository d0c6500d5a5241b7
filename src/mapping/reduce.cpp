#include "shard/reduce.hpp"

#include <string>

#include "shard/error.hpp"

namespace shard::detail {

void refuse_no_value(bool lowest) {
  throw error(std::errc::argument_out_of_domain, std::string("cannot read the ") +
                                                     (lowest ? "minimum" : "maximum") +
                                                     ": found no value, expected at least one");
}

}  // namespace shard::detail
