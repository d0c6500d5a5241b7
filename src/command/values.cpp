#include "command/values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>

#include "command/dates.hpp"
#include "memory/utf8.hpp"
#include "shard/float16.hpp"

namespace shard::command {
namespace {

using memory::kind;
using memory::layout;

template <class Number>
Number number_at(const std::byte* at, bool big_endian) {
  std::array<std::byte, sizeof(Number)> bytes{};
  std::memcpy(bytes.data(), at, bytes.size());
  if (big_endian) std::ranges::reverse(bytes);
  Number number;
  std::memcpy(&number, bytes.data(), bytes.size());
  return number;
}

template <class Number>
void append_integer(std::string& to, const std::byte* at, bool big_endian) {
  fmt::format_to(std::back_inserter(to), "{}", number_at<Number>(at, big_endian));
}

void append_integer(std::string& to, const layout& type, const std::byte* at) {
  const bool natural = type.kind == kind::natural;
  const bool big = type.big_endian;
  switch (type.size_bytes) {
    case 1:
      return natural ? append_integer<std::uint8_t>(to, at, big)
                     : append_integer<std::int8_t>(to, at, big);
    case 2:
      return natural ? append_integer<std::uint16_t>(to, at, big)
                     : append_integer<std::int16_t>(to, at, big);
    case 4:
      return natural ? append_integer<std::uint32_t>(to, at, big)
                     : append_integer<std::int32_t>(to, at, big);
    case 8:
      return natural ? append_integer<std::uint64_t>(to, at, big)
                     : append_integer<std::int64_t>(to, at, big);
  }
}

// With a point or an exponent, so that what reads it knows it from an integer (and keeps -0.0).
template <class Number>
void append_real(std::string& to, Number number, format as) {
  if (std::isnan(number)) {
    to += as == format::json ? "null" : "nan";
    return;
  }
  if (std::isinf(number)) {
    to += as == format::json ? "null" : number < 0 ? "-inf" : "inf";
    return;
  }
  const std::size_t before = to.size();
  fmt::format_to(std::back_inserter(to), "{}", number);
  if (to.find_first_of(".e", before) == std::string::npos) to += ".0";
}

// As above, but {fmt} has no shortest decimals of these.
void append_real(std::string& to, long double number, format as) {
  if (!std::isfinite(number)) return append_real(to, static_cast<double>(number), as);
  std::array<char, 64> digits{};
  const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  const std::string_view text(digits.data(), static_cast<std::size_t>(written.ptr - digits.data()));
  to += text;
  if (text.find_first_of(".e") == std::string_view::npos) to += ".0";
}

// The shortest decimal that numpy reads as the same float16: five digits are always enough. Halfway
// between two decimals either may be the one.
double shortest_decimal(float16 number) {
  const double exact = static_cast<float>(number);
  const double away = std::copysign(std::numeric_limits<double>::infinity(), exact);
  for (int digits = 0; digits < 5; ++digits) {
    for (const double each : {exact, std::nextafter(exact, away)}) {
      const double found = std::strtod(fmt::format("{:.{}e}", each, digits).c_str(), nullptr);
      if (float16(found).bits() == number.bits()) return found;
    }
  }
  return exact;
}

void append_real(std::string& to, float16 number, format as) {
  const double exact = static_cast<float>(number);
  append_real(to, std::isfinite(exact) ? shortest_decimal(number) : exact, as);
}

void append_real(std::string& to, std::size_t bytes, const std::byte* at, bool big, format as) {
  if (bytes == sizeof(float16)) return append_real(to, number_at<float16>(at, big), as);
  if (bytes == sizeof(float)) return append_real(to, number_at<float>(at, big), as);
  if (bytes == sizeof(double)) return append_real(to, number_at<double>(at, big), as);
  append_real(to, number_at<long double>(at, big), as);
}

// [1.0,2.0] in JSON, else 1.0+2.0j, as numpy and Python read it.
void append_complex(std::string& to, const layout& type, const std::byte* at, format as) {
  const std::size_t half = type.size_bytes / 2;
  if (as == format::json) to += '[';
  append_real(to, half, at, type.big_endian, as);
  const std::size_t middle = to.size();
  append_real(to, half, at + half, type.big_endian, as);
  if (as == format::json) {
    to.insert(middle, ",");
    to += ']';
  } else {
    if (to[middle] != '-') to.insert(middle, "+");
    to += 'j';
  }
}

void append_hex(std::string& to, std::span<const std::byte> bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  for (const std::byte each : bytes) {
    to += digits[std::to_integer<std::size_t>(each >> 4)];
    to += digits[std::to_integer<std::size_t>(each & std::byte{15})];
  }
}

// Trailing NUL bytes are padding, as they are to numpy and to shard::text.
std::string_view text_of(const layout& type, const std::byte* at) {
  const std::string_view whole(reinterpret_cast<const char*>(at), type.size_bytes);
  return whole.substr(0, whole.find_last_not_of('\0') + 1);
}

void append_quoted(std::string& to, std::string_view text) {
  to += '"';
  for (const char each : text) {
    if (each == '"') to += '"';
    to += each;
  }
  to += '"';
}

void append_escaped(std::string& to, std::string_view text) {
  for (const char each : text) {
    switch (each) {
      case '\n': to += "\\n"; break;
      case '\t': to += "\\t"; break;
      case '\\': to += "\\\\"; break;
      default:
        if (each >= ' ' && each <= '~') {
          to += each;
        } else {
          to += "\\x";
          append_hex(to, std::as_bytes(std::span(&each, 1)));
        }
    }
  }
}

// To a terminal some characters are commands, and others change the order of their neighbours.
bool is_shown(char32_t character) {
  const bool control = character < 0x20 || (character >= 0x7f && character < 0xa0);
  const bool layout = character == 0x061c || (character >= 0x200b && character <= 0x200f) ||
                      (character >= 0x2028 && character <= 0x202e) ||
                      (character >= 0x2060 && character <= 0x206f) || character == 0xfeff;
  return !control && !layout && character != '\\';
}

void append_shown(std::string& to, char32_t character) {
  if (is_shown(character) && memory::append_utf8(to, character)) return;
  const auto number = static_cast<std::uint32_t>(character);
  switch (number) {
    case '\n': to += "\\n"; break;
    case '\t': to += "\\t"; break;
    case '\\': to += "\\\\"; break;
    default:
      fmt::format_to(std::back_inserter(to),
                     fmt::runtime(number < 0x100     ? "\\x{:02x}"
                                  : number < 0x10000 ? "\\u{:04x}"
                                                     : "\\U{:08x}"),
                     number);
  }
}

// In UTF-8. As elsewhere, U+FFFD stands for what is no character.
void append_characters(std::string& to, const layout& type, const std::byte* at, format as) {
  std::u32string text;
  for (std::size_t i = 0; i < type.size_bytes; i += sizeof(char32_t)) {
    text += static_cast<char32_t>(number_at<std::uint32_t>(at + i, type.big_endian));
  }
  text.resize(text.find_last_not_of(U'\0') + 1);
  if (as == format::text) {
    for (const char32_t each : text) append_shown(to, each);
    return;
  }
  std::string utf8;
  for (const char32_t each : text) {
    if (!memory::append_utf8(utf8, each)) memory::append_utf8(utf8, U'\ufffd');
  }
  append_text(to, utf8, as);
}

// NaT, as numpy has it; null in JSON, which has no dates either: those are strings.
void append_time(std::string& to, const layout& type, const std::byte* at, format as) {
  const auto count = number_at<std::int64_t>(at, type.big_endian);
  const bool quoted = as == format::json && type.kind == kind::date;
  if (count == std::numeric_limits<std::int64_t>::min()) {
    to += as == format::json ? "null" : "NaT";
  } else if (type.kind == kind::span || type.unit.base == memory::time_base::none) {
    fmt::format_to(std::back_inserter(to), "{}", count);
  } else {
    if (quoted) to += '"';
    append_date(to, count, type.unit);
    if (quoted) to += '"';
  }
}

}  // namespace

void append_value(std::string& to, const layout& type, const std::byte* at, format as) {
  switch (type.kind) {
    case kind::boolean: to += *at != std::byte{0} ? "true" : "false"; break;
    case kind::integer:
    case kind::natural: append_integer(to, type, at); break;
    case kind::real: append_real(to, type.size_bytes, at, type.big_endian, as); break;
    case kind::complex: append_complex(to, type, at, as); break;
    case kind::text: append_text(to, text_of(type, at), as); break;
    case kind::characters: append_characters(to, type, at, as); break;
    case kind::date:
    case kind::span: append_time(to, type, at, as); break;
    case kind::opaque:
      if (as == format::json) to += '"';
      append_hex(to, {at, type.size_bytes});
      if (as == format::json) to += '"';
      break;
    case kind::foreign:
    case kind::structure: break;  // refused before, and walked by the caller
  }
}

void append_text(std::string& to, std::string_view text, format as) {
  using json = nlohmann::json;
  switch (as) {
    case format::json: to += json(text).dump(-1, ' ', false, json::error_handler_t::replace); break;
    case format::text: append_escaped(to, text); break;
    case format::csv:
      if (text.empty() || text.find_first_of("\",\r\n") != std::string_view::npos) {
        append_quoted(to, text);
      } else {
        to += text;
      }
  }
}

std::string printable(std::string_view text) {
  std::string escaped;
  append_text(escaped, text, format::text);
  return escaped;
}

std::string elements(std::span<const range> all) {
  std::string text = "elements";
  for (const range& each : all) {
    text += fmt::format("{} [{}, {})", &each == all.data() ? "" : ",", each.first, each.last);
  }
  return text;
}

std::string size(std::size_t bytes) {
  constexpr std::array units{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return fmt::format("{} byte{}", bytes, bytes == 1 ? "" : "s");
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 1024; ++unit) value /= 1024;
  return fmt::format("{:.1f} {}", value, units[unit]);
}

}  // namespace shard::command
