// What a buffer can hold, and how numpy calls it.
#pragma once

#include <bit>
#include <complex>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "shard/detail/segment.hpp"
#include "shard/text.hpp"

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

// Types whose size or meaning differs between machines, or that numpy has no equal for.
template <class T>
inline constexpr bool unportable =
    std::same_as<T, long double> || std::same_as<T, std::complex<long double>> ||
    std::same_as<T, wchar_t> || std::same_as<T, char8_t> || std::same_as<T, char16_t> ||
    std::same_as<T, char32_t> || (std::is_arithmetic_v<T> && sizeof(T) > 8);

template <class T>
inline constexpr std::size_t text_width = 0;
template <std::size_t N>
inline constexpr std::size_t text_width<text<N>> = N;

}  // namespace detail

// Integers of 8 to 64 bits, bool, std::byte, float, double, std::complex of these two, enums,
// text<N>, and trivially copyable structs. No pointers, string_views, spans or references: what
// they point to is not in the buffer. (A struct that hides one inside can't be seen from here:
// don't.)
template <class T>
concept element =
    std::is_object_v<T> && !std::is_array_v<T> && std::same_as<T, std::remove_cv_t<T>> &&
    std::is_trivially_copyable_v<T> && !detail::refers<T> && !detail::unportable<T>;

namespace detail {

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
  } else if constexpr (std::integral<T>) {
    return order + (std::is_signed_v<T> ? "i" : "u") + bytes;
  } else if constexpr (std::same_as<T, std::byte>) {
    return "|u1";
  } else if constexpr (std::floating_point<T>) {
    return "<f" + bytes;
  } else if constexpr (std::same_as<T, std::complex<float>> ||
                       std::same_as<T, std::complex<double>>) {
    return "<c" + bytes;
  } else if constexpr (text_width<T> > 0) {
    return "|S" + bytes;
  } else {
    return "|V" + bytes;
  }
}

template <element T>
element_type type_of() {
  return {descr<T>(), sizeof(T), alignof(T)};
}

}  // namespace detail

}  // namespace shard
