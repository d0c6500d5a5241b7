// Single values as text: of each kind, what it looks like in each format.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "memory/layout.hpp"
#include "shard/range.hpp"

namespace shard::command {

enum class format { csv, json, text };

// Appends a value that is no struct. Numbers are the shortest decimals that read back as the same
// bits. JSON has neither NaN nor infinities: they become null.
void append_value(std::string& to, const memory::layout& type, const std::byte* at, format as);

// Appends text. CSV: in quotes if RFC 4180 asks for quotes, or if the text is empty. JSON: a
// string, in which bytes that are not UTF-8 become U+FFFD. text: printable ASCII, and all other
// bytes as \n, \t, \\ or \xNN.
void append_text(std::string& to, std::string_view text, format as);

// The same for text, to be put between other words.
std::string printable(std::string_view text);

// "elements [0, 3), [5, 9)".
std::string elements(std::span<const range> all);

// "7.8 GiB", "1 byte".
std::string size(std::size_t bytes);

}  // namespace shard::command
