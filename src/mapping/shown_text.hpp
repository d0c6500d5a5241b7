// Foreign text in drawings: never a command to a terminal, never markup.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace shard::mapping {

// UTF-8 of printable characters: control characters, and characters that turn the direction of
// writing, become '.', and bytes that are not UTF-8 become '?'.
std::string shown(std::string_view text);

// How many columns a terminal gives to what shown() has made: two to characters of East Asia and to
// pictures, none to accents that stand over another character.
std::size_t columns(std::string_view shown);

// At most so many columns: what is longer ends with `mark`.
std::string cut(std::string_view shown, std::size_t most_columns, std::string_view mark);

// With spaces before it, or behind it.
std::string right(std::string_view shown, std::size_t width);
std::string left(std::string_view shown, std::size_t width);

// As text of XML, and between quotes.
std::string xml(std::string_view text);

}  // namespace shard::mapping
