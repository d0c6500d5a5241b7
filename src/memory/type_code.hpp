// numpy's codes of types: in every spelling that numpy reads, and in the spelling that it writes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "memory/time_unit.hpp"

namespace shard::memory {

// "<f8", taken apart.
struct type_code {
  char order = '|';       // '<' or '>'; '|' where the order of bytes means nothing
  char letter = 'V';      // numpy's letter: b i u f c S U V M m O
  std::size_t count = 0;  // of bytes; for 'U' of characters, which have four bytes each
  time_unit unit{};       // of dates and spans of time
};

// "i4", "=i4", "float64", "?", …; nothing if the text is no code of numpy's.
std::optional<type_code> read_type_code(std::string_view text);

// The code as numpy writes it: "<i4". Text that is no code of numpy's stays as it is.
std::string canonical_code(std::string_view text);

// "datetime64[ns]": numpy's name of a date or of a span of time.
std::string time_name(const type_code& code);

// "float96", "datetime64[Y], whose unit has no fixed length", "Python objects": the types that
// numpy has and shard has not. Empty for any other type.
std::string foreign_name(const type_code& code);

}  // namespace shard::memory
