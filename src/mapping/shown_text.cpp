#include "mapping/shown_text.hpp"

#include <algorithm>

#include "memory/utf8.hpp"

namespace shard::mapping {
namespace {

struct character {
  char32_t code = 0;
  std::string_view bytes{};
};

// The first character. Where there is none, code 0xFFFFFFFF and one byte.
character first_of(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  const std::string_view bytes = text.substr(0, length);
  if (!memory::is_utf8(bytes)) return {0xFFFFFFFF, text.substr(0, 1)};
  if (length == 1) return {lead, bytes};
  char32_t code = lead & (0x7Fu >> length);
  for (const char next : bytes.substr(1))
    code = code << 6 | (static_cast<unsigned char>(next) & 0x3F);
  return {code, bytes};
}

template <class Visit>
void each_character(std::string_view text, Visit visit) {
  while (!text.empty()) {
    const character next = first_of(text);
    visit(next);
    text.remove_prefix(next.bytes.size());
  }
}

struct interval {
  char32_t first;
  char32_t last;
};
template <std::size_t N>
bool is_in(char32_t code, const interval (&all)[N]) {
  return std::ranges::any_of(all, [&](interval i) { return i.first <= code && code <= i.last; });
}

// Controls, directions of writing, and what XML 1.0 has no place for.
constexpr interval commands[] = {{0, 0x1F},        {0x7F, 0x9F},     {0x61C, 0x61C},
                                 {0x200E, 0x200F}, {0x2028, 0x202E}, {0x2066, 0x2069},
                                 {0xFEFF, 0xFEFF}, {0xFFFE, 0xFFFF}};
constexpr interval narrow[] = {
    {0x300, 0x36F}, {0x200B, 0x200D}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}};
constexpr interval wide[] = {{0x1100, 0x115F},   {0x2E80, 0x303E},  {0x3041, 0xA4CF},
                             {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},  {0xFE30, 0xFE6F},
                             {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},  {0x1F300, 0x1F64F},
                             {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD}};

std::size_t columns_of(char32_t code) {
  return is_in(code, narrow) ? 0 : is_in(code, wide) ? 2 : 1;
}

}  // namespace

std::string shown(std::string_view text) {
  std::string made;
  each_character(text, [&](const character& next) {
    if (next.code == 0xFFFFFFFF) {
      made += '?';
    } else if (is_in(next.code, commands)) {
      made += '.';
    } else {
      made += next.bytes;
    }
  });
  return made;
}

std::size_t columns(std::string_view shown) {
  std::size_t count = 0;
  each_character(shown, [&](const character& next) { count += columns_of(next.code); });
  return count;
}

std::string cut(std::string_view shown, std::size_t most_columns, std::string_view mark) {
  if (columns(shown) <= most_columns) return std::string(shown);
  const std::size_t room = most_columns - std::min(most_columns, columns(mark));
  std::string made;
  std::size_t used = 0;
  each_character(shown, [&](const character& next) {
    used += columns_of(next.code);
    if (used <= room) made += next.bytes;
  });
  return made + std::string(mark);
}

std::string right(std::string_view shown, std::size_t width) {
  return std::string(width - std::min(width, columns(shown)), ' ') + std::string(shown);
}

std::string left(std::string_view shown, std::size_t width) {
  return std::string(shown) + std::string(width - std::min(width, columns(shown)), ' ');
}

std::string xml(std::string_view text) {
  std::string made;
  for (const char c : shown(text)) {
    switch (c) {
      case '&': made += "&amp;"; break;
      case '<': made += "&lt;"; break;
      case '>': made += "&gt;"; break;
      case '"': made += "&quot;"; break;
      default: made += c;
    }
  }
  return made;
}

}  // namespace shard::mapping
