#include "command/dates.hpp"

#include <fmt/format.h>

#include <array>
#include <iterator>

namespace shard::command {
namespace {

using memory::time_base;

// Weeks of any count and multiple are days that 64 bits don't hold.
__extension__ using wide = __int128;

constexpr wide seconds_a_day = 86'400;

// Rounded down, and what remains.
struct quotient {
  wide whole;
  wide rest;
};
quotient divided(wide number, wide by) {
  wide whole = number / by;
  wide rest = number % by;
  if (rest < 0) {
    --whole;
    rest += by;
  }
  return {whole, rest};
}

template <class... Values>
void append(std::string& to, fmt::string_view text, const Values&... values) {
  fmt::vformat_to(std::back_inserter(to), text, fmt::make_format_args(values...));
}

void append_month(std::string& to, wide months) {
  const auto [years, month] = divided(months, 12);
  append(to, "{:04}-{:02}", 1970 + years, month + 1);
}

// Of the Gregorian calendar, also before there was one. Years begin in March here, so that a leap
// day is the last of its year; 400 years have 146 097 days.
void append_day(std::string& to, wide days) {
  constexpr wide from_march_of_year_0 = 719'468;
  const auto [eras, day_of_era] = divided(days + from_march_of_year_0, 146'097);
  const wide year_of_era =
      (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const wide day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const wide month_from_march = (5 * day_of_year + 2) / 153;
  const wide day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
  const wide month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
  const wide year = eras * 400 + year_of_era + (month <= 2 ? 1 : 0);
  append(to, "{:04}-{:02}-{:02}", year, month, day);
}

// "T12:34:56", as far as the unit goes.
void append_clock(std::string& to, wide seconds, time_base unit) {
  append(to, "T{:02}", seconds / 3'600);
  if (unit >= time_base::minutes) append(to, ":{:02}", seconds / 60 % 60);
  if (unit >= time_base::seconds) append(to, ":{:02}", seconds % 60);
}

// Units of a second or less: ".123456", three digits for each step from one to the next.
void append_instant(std::string& to, wide number, time_base unit) {
  const int steps = static_cast<int>(unit) - static_cast<int>(time_base::seconds);
  wide a_second = 1;
  for (int i = 0; i < steps; ++i) a_second *= 1000;
  const auto [seconds, fraction] = divided(number, a_second);
  const auto [days, rest] = divided(seconds, seconds_a_day);
  append_day(to, days);
  append_clock(to, rest, unit);
  if (steps > 0) append(to, ".{:0{}}", fraction, 3 * steps);
}

void append_hour_or_minute(std::string& to, wide number, time_base unit) {
  const wide each = unit == time_base::hours ? 3'600 : 60;
  const auto [days, rest] = divided(number, seconds_a_day / each);
  append_day(to, days);
  append_clock(to, rest * each, unit);
}

}  // namespace

void append_date(std::string& to, std::int64_t count, const memory::time_unit& unit) {
  const wide number = wide{count} * unit.count;
  switch (unit.base) {
    case time_base::none: break;
    case time_base::years: return append(to, "{:04}", 1970 + number);
    case time_base::months: return append_month(to, number);
    case time_base::weeks: return append_day(to, number * 7);
    case time_base::days: return append_day(to, number);
    case time_base::hours:
    case time_base::minutes: return append_hour_or_minute(to, number, unit.base);
    default: return append_instant(to, number, unit.base);
  }
}

}  // namespace shard::command
