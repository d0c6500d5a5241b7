// The types that a buffer can hold, and their names in numpy.
#pragma once

#include <array>
#include <bit>
#include <complex>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "shard/detail/padding.hpp"
#include "shard/detail/segment.hpp"
#include "shard/fields.hpp"
#include "shard/float16.hpp"
#include "shard/raw.hpp"
#include "shard/text.hpp"
#include "shard/times.hpp"
#include "shard/u32text.hpp"

namespace shard {

namespace detail {

static_assert(std::endian::native == std::endian::little,
              "shard: buffers are little-endian .npy images mapped in place");

// Types whose bytes mean something in one process only.
template <class T>
inline constexpr bool refers =
    std::is_pointer_v<T> || std::is_member_pointer_v<T> || std::is_null_pointer_v<T>;
template <class C, class Traits>
inline constexpr bool refers<std::basic_string_view<C, Traits>> = true;
template <class T, std::size_t Extent>
inline constexpr bool refers<std::span<T, Extent>> = true;
template <class T>
inline constexpr bool refers<std::reference_wrapper<T>> = true;

// Whether numpy's longdouble is this machine's long double, in 16 bytes: of x86-64 (ten bytes, and
// six of padding) or of IEEE 754's binary128.
inline constexpr bool has_long_double =
    sizeof(long double) == 16 && (std::numeric_limits<long double>::digits == 64 ||
                                  std::numeric_limits<long double>::digits == 113);

// Types whose size or meaning differs between machines, or that numpy has no equal for.
template <class T>
inline constexpr bool unportable =
    (!has_long_double &&
     (std::same_as<T, long double> || std::same_as<T, std::complex<long double>>)) ||
    std::same_as<T, wchar_t> || std::same_as<T, char8_t> || std::same_as<T, char16_t> ||
    (std::is_arithmetic_v<T> && sizeof(T) > 8 && !std::same_as<T, long double>);

template <class T>
inline constexpr std::size_t text_width = 0;
template <std::size_t N>
inline constexpr std::size_t text_width<text<N>> = N;

// In characters.
template <class T>
inline constexpr std::size_t u32text_width = 0;
template <std::size_t N>
inline constexpr std::size_t u32text_width<u32text<N>> = N;
template <>
inline constexpr std::size_t u32text_width<char32_t> = 1;

template <class T>
inline constexpr bool is_raw = false;
template <std::size_t N>
inline constexpr bool is_raw<raw<N>> = true;

}  // namespace detail

// What a buffer can hold:
//
// - integers of 8 to 64 bits, bool, std::byte, float16, float, double, enums;
// - long double, if it has 16 bytes. Its format is that of the processor: a file of them is read
//   on processors of the same kind only;
// - std::complex of float, double or long double;
// - text<N>, u32text<N>, char32_t;
// - dates and spans of time: std::chrono::sys_time, local_time and duration (times.hpp);
// - trivially copyable structs. numpy sees a struct as |V and its size, or as a structured type if
//   its fields are described (fields.hpp);
// - raw<N>: any other type of numpy's, as N bytes (raw.hpp).
//
// Pointers, string_views, spans and references are refused: what they point to is not in the
// buffer. shard cannot see a pointer inside a struct, so do not store one there.
template <class T>
concept element =
    std::is_object_v<T> && !std::is_array_v<T> && std::same_as<T, std::remove_cv_t<T>> &&
    std::is_trivially_copyable_v<T> && !detail::refers<T> && !detail::unportable<T>;

namespace detail {

template <class T>
inline constexpr bool is_string = false;
template <class C, class... Rest>
inline constexpr bool is_string<std::basic_string<C, Rest...>> = true;
template <class C, class Traits>
inline constexpr bool is_string<std::basic_string_view<C, Traits>> = true;

// One sentence for each reason why a T can't be an element.
template <class T>
constexpr bool check_element() {
  if constexpr (is_string<T>) {
    static_assert(
        !is_string<T>,
        "shard: a buffer can't hold std::string or std::string_view: their characters are "
        "elsewhere; use shard::text<N>, text of up to N bytes, or shard::u32text<N>");
  } else if constexpr (refers<T> || std::is_reference_v<T>) {
    static_assert(!refers<T> && !std::is_reference_v<T>,
                  "shard: a buffer can't hold pointers, references or spans: what they point to is "
                  "not in the buffer; store an index instead");
  } else if constexpr (unportable<T>) {
    static_assert(
        !unportable<T>,
        "shard: a buffer can't hold wchar_t, char8_t, char16_t, or a long double of other "
        "than 16 bytes: numpy has no such type; use char32_t, double, or an integer of 8 "
        "to 64 bits");
  } else {
    static_assert(
        element<T>,
        "shard: a buffer holds integers, bool, std::byte, float16, float, double, std::complex, "
        "enums, shard::text<N>, shard::u32text<N>, std::chrono times, and trivially "
        "copyable structs of these");
  }
  return true;  // no further errors about constraints: the sentence is enough
}

// numpy's type string: byte order, kind, bytes.
template <element T>
std::string descr() {
  const std::string bytes = std::to_string(sizeof(T));
  const std::string order = sizeof(T) == 1 ? "|" : "<";
  if constexpr (std::is_enum_v<T> && !std::same_as<T, std::byte>) {
    return descr<std::underlying_type_t<T>>();
  } else if constexpr (std::same_as<T, bool>) {
    return "|b1";
  } else if constexpr (std::same_as<T, char>) {
    return "|S1";
  } else if constexpr (u32text_width<T> > 0) {
    return "<U" + std::to_string(u32text_width<T>);
  } else if constexpr (std::integral<T>) {
    return order + (std::is_signed_v<T> ? "i" : "u") + bytes;
  } else if constexpr (std::same_as<T, std::byte>) {
    return "|u1";
  } else if constexpr (std::floating_point<T> || std::same_as<T, float16>) {
    return "<f" + bytes;
  } else if constexpr (std::same_as<T, std::complex<float>> ||
                       std::same_as<T, std::complex<double>> ||
                       std::same_as<T, std::complex<long double>>) {
    return "<c" + bytes;
  } else if constexpr (text_width<T> > 0) {
    return "|S" + bytes;
  } else if constexpr (time_element<T>) {
    return std::string{'<', time_traits<T>::letter} + "8" +
           unit_text<typename time_traits<T>::period>();
  } else {
    return "|V" + bytes;
  }
}

template <class M>
inline constexpr bool describable = element<M>;
template <array_like M>
inline constexpr bool describable<M> = describable<typename array_type<M>::item>;

template <class... C, class... M>
constexpr bool distinct_names(const std::tuple<field<C, M>...>& all) {
  return std::apply(
      [](const auto&... each) {
        const std::array<std::string_view, sizeof...(each)> names{each.name...};
        for (std::size_t i = 0; i < names.size(); ++i)
          for (std::size_t j = 0; j < i; ++j)
            if (names[i] == names[j]) return false;
        return true;
      },
      all);
}

template <class T, class... C, class... M>
constexpr bool check_fields(std::type_identity<const std::tuple<field<C, M>...>>) {
  static_assert(std::is_standard_layout_v<T>,
                "shard: only a standard-layout struct has its fields at fixed places");
  static_assert((std::is_convertible_v<M C::*, M T::*> && ...),
                "shard: a struct is described with a field of another struct");
  static_assert((describable<std::remove_cv_t<M>> && ...),
                "shard: a described field must be an element, or an array of elements");
  static_assert(distinct_names(fields<T>), "shard: two described fields have the same name");
  return true;
}

template <element T>
dtype dtype_of();

template <class M>
void describe(dtype_field& to) {
  if constexpr (array_like<M>) {
    using item = typename array_type<M>::item;
    constexpr std::size_t extent = array_type<M>::extent;
    if constexpr (std::same_as<item, char>) {
      to.type.code = "|S" + std::to_string(extent);
    } else if constexpr (std::same_as<item, char32_t>) {
      to.type.code = "<U" + std::to_string(extent);
    } else {
      to.shape.push_back(extent);
      describe<item>(to);
    }
  } else {
    to.type = dtype_of<M>();
  }
}

template <class T, class C, class M>
placed_field place(const field<C, M>& of) {
  placed_field placed{{std::string(of.name), {}, {}}, offset_of<T>(of), sizeof(M)};
  describe<std::remove_cv_t<M>>(placed.field);
  return placed;
}

template <element T>
dtype dtype_of() {
  using description = decltype(fields<T>);
  if constexpr (std::same_as<description, const std::tuple<>>) {
    return {descr<T>(), {}, is_raw<T>};
  } else {
    static_assert(check_fields<T>(std::type_identity<description>()));
    return std::apply([](const auto&... each) { return struct_of(sizeof(T), {place<T>(each)...}); },
                      fields<T>);
  }
}

template <class T>
element_type type_of() {
  if constexpr (element<T>) {
    return {dtype_of<T>(), sizeof(T), alignof(T), gaps_of<T>()};
  } else {
    return {};  // check_element has told the error
  }
}

}  // namespace detail

}  // namespace shard
