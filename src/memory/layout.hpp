// What the bytes of an element mean, for whoever has its description only: where in it which values
// are. Made from what a file says, so nothing of it is believed unchecked.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "memory/time_unit.hpp"
#include "shard/detail/segment.hpp"

namespace shard::memory {

enum class kind {
  boolean,
  integer,
  natural,  // an unsigned integer
  real,
  complex,
  text,        // fixed width, padded with NUL bytes
  characters,  // text of four bytes each, padded with NULs
  date,        // so many units since 1970
  span,        // of time: so many units
  opaque,      // bytes without a meaning
  foreign,     // what numpy has and shard has not: float96, Python objects, …
  structure,
};

struct layout_field;

struct layout {
  memory::kind kind = kind::opaque;
  bool big_endian = false;
  std::size_t size_bytes = 0;
  std::size_t alignment = 1;  // what its C++ type has at least
  std::size_t values = 1;     // how many there are in all fields, without padding; one at least
  bool has_foreign = false;
  bool has_objects = false;  // the data are a pickle then, whose size no header tells
  time_unit unit{};          // of a date or a span of time
  std::string name{};        // of a type that no element has: "float96"
  std::vector<layout_field> fields;
};

struct layout_field {
  std::string name;
  std::size_t offset = 0;
  layout type{};
  std::vector<std::size_t> shape{};  // of an array inside the struct
  std::size_t count = 1;             // of its elements
  bool padding = false;
};

// Throws malformed if a code is none of numpy's, if two fields have one name, and where sizes
// overflow. Requires: `type` is as parse() gives types.
layout layout_of(const detail::dtype& type);

// The type of a buffer's elements that have this layout, in this machine's order of bytes. Throws
// malformed where fields are such as no struct is described with, and of Python objects;
// shard::error as struct_of. Requires: it has bytes.
detail::element_type element_type_of(const layout& type);

// "float64", "text of up to 3 bytes", "struct of 24 bytes", "datetime64[ns]", …: for messages and
// people.
std::string words(const layout& type);

// The C++ type of a buffer that holds it as it is, but for the byte order: "double",
// "shard::text<5>", …; "a described struct" for structs. Types that no other element has are
// "shard::raw<8>".
std::string element_words(const layout& type);

// The first foreign type in an element, and where: "float96", "float96 in field 'a.b'". Python
// objects come before all others. Empty: there is none.
std::string foreign_part(const layout& type);

// The types that shard has, in words.
inline constexpr const char* own_types =
    "bool, integers, floats, complex numbers, text (S, U), datetime64, timedelta64, bytes (V), or "
    "a struct of them";

}  // namespace shard::memory
