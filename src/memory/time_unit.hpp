// The units of dates and spans of time: "[ns]", "[25s]".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace shard::memory {

// The longest one first. Years and months have no fixed length.
enum class time_base {
  none,  // numpy calls it generic: a number of who knows what
  years,
  months,
  weeks,
  days,
  hours,
  minutes,
  seconds,
  milliseconds,
  microseconds,
  nanoseconds,
  picoseconds,
  femtoseconds,
  attoseconds,
};

struct time_unit {
  time_base base = time_base::none;
  std::int32_t count = 1;  // "[25s]" has 25; 0 is possible
};

// "[ns]", "[25s]", "[generic]"; nothing for text that is no unit of numpy's. Does not read numpy's
// divisors ("[s/1000]"), which numpy itself never writes. No text is no unit.
std::optional<time_unit> read_time_unit(std::string_view text);

// As numpy writes it. Empty for none.
std::string text(const time_unit& unit);

// Whether a number of these units is a span of time.
bool has_fixed_length(const time_unit& unit) noexcept;

// "[60s]" and "[m]" are. Requires: both have a fixed length.
bool equally_long(const time_unit& a, const time_unit& b) noexcept;

// "std::chrono::nanoseconds", "std::chrono::duration<std::int64_t, std::ratio<25>>". Requires: it
// has a fixed length.
std::string duration_words(const time_unit& unit);

}  // namespace shard::memory
