// Dates as numpy writes them: ISO 8601, as far as the unit goes.
#pragma once

#include <cstdint>
#include <string>

#include "memory/time_unit.hpp"

namespace shard::command {

// Appends the date that is `count` units after the beginning of 1970. Requires: there is a unit.
void append_date(std::string& to, std::int64_t count, const memory::time_unit& unit);

}  // namespace shard::command
