// UTF-8 to the characters of a shard::u32text, and back.

#include "shard/u32text.hpp"

#include <cstdint>
#include <string>
#include <system_error>

#include "memory/utf8.hpp"
#include "shard/error.hpp"

namespace shard::detail {

std::size_t characters_of(std::string_view from, std::span<char32_t> to) {
  const std::size_t size = from.size();
  std::size_t count = 0;
  for (; !from.empty(); ++count) {
    const std::size_t at = size - from.size();
    const std::optional<char32_t> next = memory::take_character(from);
    if (!next) {
      throw error(std::errc::illegal_byte_sequence,
                  "cannot store text: found a byte at " + std::to_string(at) +
                      " that begins no character, expected UTF-8");
    }
    if (count < to.size()) to[count] = *next;
  }
  return count;
}

std::string utf8_of(std::u32string_view from) {
  std::string made;
  for (const char32_t each : from) {
    if (!memory::append_utf8(made, each)) {
      throw error(std::errc::illegal_byte_sequence,
                  "cannot convert text to UTF-8: found number " +
                      std::to_string(static_cast<std::uint32_t>(each)) +
                      ", expected that of a character (no surrogate, at most 1114111)");
    }
  }
  return made;
}

void refuse_long_u32text(std::size_t found, std::size_t width) {
  throw error(std::errc::value_too_large, "cannot store text: found " + std::to_string(found) +
                                              " characters, expected at most " +
                                              std::to_string(width) +
                                              "; u32text::truncated() cuts it");
}

}  // namespace shard::detail
