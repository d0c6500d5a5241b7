// Dates and spans of time: the element types that numpy calls datetime64[unit] and
// timedelta64[unit].
//
//   | element                                                  | numpy            |
//   |----------------------------------------------------------|------------------|
//   | std::chrono::sys_time<D>, std::chrono::local_time<D>     | datetime64[unit] |
//   | D, a std::chrono::duration of 64-bit integers            | timedelta64[unit]|
//
// The unit is the period of D: buffer<std::chrono::sys_time<std::chrono::nanoseconds>> is
// datetime64[ns]. numpy's units are W D h m s ms us ns ps fs as, and their multiples: a period of
// 25 seconds is [25s]. Units of the same length are the same type: a file of [60s] opens as
// minutes. Durations of any other number, and of any other period, are opaque bytes.
//
// numpy's years and months have no fixed length, and so no type here. (std::chrono::months are
// 2629746 seconds: [2629746s].)
#pragma once

#include <array>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <string_view>
#include <type_traits>

namespace shard {

namespace detail {

template <class R>
concept counts_time = std::integral<R> && std::is_signed_v<R> && sizeof(R) == 8;

// How long a unit is: numerator / denominator seconds.
struct time_unit {
  std::string_view name;
  std::int64_t numerator;
  std::int64_t denominator;
};
// The longest one first.
inline constexpr std::array time_units{
    time_unit{"W", 604'800, 1},
    time_unit{"D", 86'400, 1},
    time_unit{"h", 3'600, 1},
    time_unit{"m", 60, 1},
    time_unit{"s", 1, 1},
    time_unit{"ms", 1, 1'000},
    time_unit{"us", 1, 1'000'000},
    time_unit{"ns", 1, 1'000'000'000},
    time_unit{"ps", 1, 1'000'000'000'000},
    time_unit{"fs", 1, 1'000'000'000'000'000},
    time_unit{"as", 1, 1'000'000'000'000'000'000},
};
inline constexpr std::int64_t most_units = std::numeric_limits<std::int32_t>::max();

// How many units are numerator / denominator seconds, which have no common divisor. 0: no whole
// number, or more than numpy can say.
constexpr std::int64_t units_in(std::int64_t numerator, std::int64_t denominator,
                                const time_unit& unit) {
  if (numerator < 1 || denominator < 1) return 0;
  if (numerator % unit.numerator != 0 || unit.denominator % denominator != 0) return 0;
  const std::int64_t a = numerator / unit.numerator;
  const std::int64_t b = unit.denominator / denominator;
  return a <= most_units / b ? a * b : 0;
}

// The longest unit of which the period is a whole number. nullptr: there is none.
template <class Period>
constexpr const time_unit* unit_of() {
  for (const time_unit& unit : time_units) {
    if (units_in(Period::type::num, Period::type::den, unit) > 0) return &unit;
  }
  return nullptr;
}

// "[25s]".
template <class Period>
std::string unit_text() {
  constexpr const time_unit* unit = unit_of<Period>();
  constexpr std::int64_t count = units_in(Period::type::num, Period::type::den, *unit);
  return "[" + (count == 1 ? "" : std::to_string(count)) + std::string(unit->name) + "]";
}

// numpy's letter, and the period.
template <class T>
struct time_traits {
  static constexpr char letter = '\0';
};
template <counts_time R, class Period>
  requires(unit_of<Period>() != nullptr)
struct time_traits<std::chrono::duration<R, Period>> {
  static constexpr char letter = 'm';
  using period = Period;
};
template <class Clock, class D>
  requires(time_traits<D>::letter == 'm' && (std::same_as<Clock, std::chrono::system_clock> ||
                                             std::same_as<Clock, std::chrono::local_t>))
struct time_traits<std::chrono::time_point<Clock, D>> {
  static constexpr char letter = 'M';
  using period = typename time_traits<D>::period;
};

}  // namespace detail

// A time point or a duration of 64-bit integers that numpy has a unit for.
template <class T>
concept time_element = detail::time_traits<T>::letter != '\0';

// What numpy calls NaT, "not a time": the least number there is. To C++ that is a value like any
// other: it equals itself, is less than all others, and arithmetic with it overflows. So ask first.
// Zeros, as in a new buffer, are no NaT.
template <time_element T>
inline constexpr T not_a_time = T::min();

template <time_element T>
constexpr bool is_not_a_time(const T& time) noexcept {
  return time == not_a_time<T>;
}

}  // namespace shard
