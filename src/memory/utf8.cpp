#include "memory/utf8.hpp"

#include <algorithm>
#include <cstddef>

namespace shard::memory {
namespace {

constexpr char32_t last_character = 0x10FFFF;

bool is_surrogate(char32_t character) { return character >= 0xD800 && character <= 0xDFFF; }

// How many bytes the character has that begins with this byte; 0: none begins so.
std::size_t length_of(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first < 0xE0) return 2;
  if (first >= 0xE0 && first < 0xF0) return 3;
  if (first >= 0xF0 && first < 0xF5) return 4;
  return 0;
}

}  // namespace

std::optional<char32_t> take_character(std::string_view& text) noexcept {
  const auto first = static_cast<unsigned char>(text[0]);
  const std::size_t length = length_of(first);
  if (length == 0 || length > text.size()) return std::nullopt;
  char32_t character = first & (0x7Fu >> (length == 1 ? 0 : length));
  for (const char next : text.substr(1, length - 1)) {
    const auto byte = static_cast<unsigned char>(next);
    if ((byte & 0xC0) != 0x80) return std::nullopt;
    character = character << 6 | (byte & 0x3Fu);
  }
  const bool overlong = (length == 3 && character < 0x800) || (length == 4 && character < 0x10000);
  if (overlong || is_surrogate(character) || character > last_character) return std::nullopt;
  text.remove_prefix(length);
  return character;
}

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    if (!take_character(text)) return false;
  }
  return true;
}

std::string utf8_of_latin1(std::string_view text) {
  std::string made;
  made.reserve(text.size());
  for (const char each : text) append_utf8(made, static_cast<unsigned char>(each));
  return made;
}

bool append_utf8(std::string& to, char32_t character) {
  if (is_surrogate(character) || character > last_character) return false;
  const auto part = [&](unsigned shift) {
    return static_cast<char>(0x80 | (character >> shift & 0x3F));
  };
  if (character < 0x80) {
    to += static_cast<char>(character);
  } else if (character < 0x800) {
    to += {static_cast<char>(0xC0 | character >> 6), part(0)};
  } else if (character < 0x10000) {
    to += {static_cast<char>(0xE0 | character >> 12), part(6), part(0)};
  } else {
    to += {static_cast<char>(0xF0 | character >> 18), part(12), part(6), part(0)};
  }
  return true;
}

}  // namespace shard::memory
