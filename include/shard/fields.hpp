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
// ('', '|V4')], and a file is opened as one only if its fields are these. A field is an element (a
// described struct nests) or an array of them; char[N] is text, |SN. What no field covers is
// padding, which numpy skips. The description belongs right after the struct: it must be seen
// before the first buffer.
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

// One field of T. The name must outlive it, as a literal does.
template <class T, class M>
struct field {
  std::string_view name;
  M T::*member;

  consteval field(std::string_view called, M T::*what) : name(called), member(what) {
    if (!detail::is_field_name(called))
      detail::names_of_fields_are_printable_ascii_without_quotes();
  }
};

// Specialise it with a tuple of fields. Without, a struct is opaque: |V and its size.
template <class T>
inline constexpr std::tuple<> fields{};

}  // namespace shard
