// Names in headers as UTF-8, whatever a file has them in.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace shard::memory {

// Takes the first character of UTF-8 away. Returns nothing, and takes nothing, if the text begins
// with none. Requires: the text is not empty.
std::optional<char32_t> take_character(std::string_view& text) noexcept;

bool is_utf8(std::string_view text) noexcept;

// Each byte is a character of its own, as latin-1 has it.
std::string utf8_of_latin1(std::string_view text);

// Returns false, and appends nothing, if there is no such character (a surrogate, or too large).
bool append_utf8(std::string& to, char32_t character);

}  // namespace shard::memory
