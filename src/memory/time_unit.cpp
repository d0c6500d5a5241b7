#include "memory/time_unit.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <numeric>

#include "shard/times.hpp"

namespace shard::memory {
namespace {

constexpr std::array<std::string_view, 14> names{"generic", "Y",  "M",  "W",  "D",  "h",  "m",
                                                 "s",       "ms", "us", "ns", "ps", "fs", "as"};
constexpr std::string_view greek_micro = "\xce\xbcs";

struct length {
  std::int64_t numerator;
  std::int64_t denominator;

  bool operator==(const length&) const = default;
};

length length_of(const time_unit& unit) {
  const auto place =
      static_cast<std::size_t>(unit.base) - static_cast<std::size_t>(time_base::weeks);
  const detail::time_unit& one = detail::time_units[place];
  const std::int64_t divisor = std::gcd(std::int64_t{unit.count}, one.denominator);
  return {unit.count / divisor * one.numerator, one.denominator / divisor};
}

}  // namespace

std::optional<time_unit> read_time_unit(std::string_view text) {
  if (text.empty()) return time_unit{};
  if (text.size() < 3 || text.front() != '[' || text.back() != ']') return std::nullopt;
  text = text.substr(1, text.size() - 2);
  time_unit unit;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), unit.count);
  const bool counted = end != text.data();
  if ((counted && status != std::errc{}) || unit.count < 0) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (text == greek_micro) text = "us";
  const auto found = std::ranges::find(names, text);
  if (found == names.end()) return std::nullopt;
  unit.base = static_cast<time_base>(found - names.begin());
  if (unit.base == time_base::none) unit.count = 1;
  return unit;
}

std::string text(const time_unit& unit) {
  if (unit.base == time_base::none) return {};
  return "[" + (unit.count == 1 ? "" : std::to_string(unit.count)) +
         std::string(names[static_cast<std::size_t>(unit.base)]) + "]";
}

bool has_fixed_length(const time_unit& unit) noexcept {
  return unit.base >= time_base::weeks && unit.count > 0;
}

std::string duration_words(const time_unit& unit) {
  constexpr std::array<std::string_view, 8> words{"weeks",        "days",       "hours",
                                                  "minutes",      "seconds",    "milliseconds",
                                                  "microseconds", "nanoseconds"};
  const auto place =
      static_cast<std::size_t>(unit.base) - static_cast<std::size_t>(time_base::weeks);
  if (unit.count == 1 && place < words.size()) return "std::chrono::" + std::string(words[place]);
  const length of = length_of(unit);
  return "std::chrono::duration<std::int64_t, std::ratio<" + std::to_string(of.numerator) +
         (of.denominator == 1 ? "" : ", " + std::to_string(of.denominator)) + ">>";
}

bool equally_long(const time_unit& a, const time_unit& b) noexcept {
  return length_of(a) == length_of(b);
}

}  // namespace shard::memory
