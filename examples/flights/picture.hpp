// What a terminal can show of the result.
#pragma once

#include <cstdint>
#include <string>

#include <shard/shard.hpp>

namespace flights {

// The delays of all hours together, as columns of Unicode blocks over an axis in minutes: ten lines
// of less than 80 characters.
std::string picture(const shard::buffer<const std::int64_t, 2>& delay_by_hour);

}  // namespace flights
