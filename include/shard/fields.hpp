// Names for the fields of a struct, so that numpy knows them, too: a["price"].
//
//   struct tick {
//     std::int64_t time;
//     double price;
//     shard::text<4> venue;
//   };
//   template <>
//   inline constexpr auto shard::fields<tick> = std::tuple{
//       shard::field{"time", &tick::time},
//       shard::field{"price", &tick::price},
//       shard::field{"venue", &tick::venue},
//   };
//
// A buffer<tick> is then the structured array [('time', '<i8'), ('price', '<f8'), ('venue', '|S4'),
// ('', '|V4')]. A file opens as a buffer<tick> only if the file has these fields.
//
// A field is an element, a described struct, or an array of those: T[N] or std::array<T, N>, of any
// depth. char[N] is text, |SN, and char32_t[N] is <UN. numpy skips the bytes that no field covers.
//
// Put the description right after the struct: the compiler must see it before the first buffer.
#pragma once

#include <string_view>
#include <tuple>

namespace shard {

namespace detail {

constexpr bool is_field_name(std::string_view name) {
  for (char c : name) {
    if (c < ' ' || c > '~' || c == '\'' || c == '"' || c == '\\') return false;
  }
  return !name.empty();
}

// Not constexpr: a description that calls it does not compile, and the error has this name.
inline void names_of_fields_are_printable_ascii_without_quotes() {}

}  // namespace detail

// One field of T. The name must outlive the field, as a literal does.
template <class T, class M>
struct field {
  std::string_view name;
  M T::*member;

  consteval field(std::string_view called, M T::*what) : name(called), member(what) {
    if (!detail::is_field_name(called))
      detail::names_of_fields_are_printable_ascii_without_quotes();
  }
};

// Specialise this with a tuple of fields. A struct without a description is opaque: |V and its
// size.
template <class T>
inline constexpr std::tuple<> fields{};

// shard writes zeros to the padding of structs, so that no part of the program's memory gets into a
// file (docs/buffers.md). Specialise this with true for an element type whose padding shard must
// not change, or whose padding the compiler cannot tell: the program is then responsible for it.
//
//   template <>
//   inline constexpr bool shard::keeps_padding<record> = true;
template <class T>
inline constexpr bool keeps_padding = false;

}  // namespace shard
