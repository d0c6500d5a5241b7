// The input: five columns of one table, each a .npy file that is mapped read-only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

#include <shard/shard.hpp>

namespace flights {

using airport_code = shard::text<3>;

// Row i of every column is flight i.
struct columns {
  shard::buffer<const std::int64_t> date;      // seconds since 1970, UTC
  shard::buffer<const std::int16_t> delay;     // minutes
  shard::buffer<const std::int16_t> distance;  // miles
  shard::buffer<const airport_code> origin;
  shard::buffer<const airport_code> destination;

  std::size_t rows() const noexcept { return date.size(); }
};

// The columns in a folder. Throws shard::error if one is missing, of another type, or not as long
// as date.npy.
columns open_columns(const std::filesystem::path& folder);

}  // namespace flights
