// Which bytes of an element belong to a value, and which are padding. Not for users.
//
// Compilers differ in what they tell. g++ clears padding itself. clang 14 has no such function, but
// in a constant expression it knows which bytes of an object have no value. Where neither helps, a
// description of the fields does. Where nothing helps, the program does not compile.
#pragma once

#include <array>
#include <bit>
#include <complex>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "shard/detail/segment.hpp"
#include "shard/fields.hpp"

namespace shard {

namespace detail {

// What a field's array type holds, and how many of them.
template <class M>
struct array_type {};
template <class M, std::size_t N>
struct array_type<M[N]> {
  using item = M;
  static constexpr std::size_t extent = N;
};
template <class M, std::size_t N>
struct array_type<std::array<M, N>> : array_type<M[N]> {};

template <class M>
concept array_like = requires { typename array_type<M>::item; };

// Where a field lies in T. The ABI (Itanium's) has that number in the pointer to the member. An
// address would need a reference to the field, which a packed struct can't give.
template <class T, class C, class M>
std::size_t offset_of(const field<C, M>& of) noexcept {
  M T::*const member = of.member;
  return static_cast<std::size_t>(std::bit_cast<std::ptrdiff_t>(member));
}

// x86's long double has ten bytes, and padding behind them.
template <class T>
inline constexpr bool is_extended = false;
template <>
inline constexpr bool is_extended<long double> = std::numeric_limits<long double>::digits == 64;
template <>
inline constexpr bool is_extended<std::complex<long double>> = is_extended<long double>;
inline constexpr std::size_t extended_bytes = 10;

// Whether all bits of a T belong to values.
template <class T>
inline constexpr bool has_only_values =
    (std::is_arithmetic_v<T> && !is_extended<T>) || std::is_enum_v<T> ||
    std::has_unique_object_representations_v<T>;
template <class R>
inline constexpr bool has_only_values<std::complex<R>> = has_only_values<R>;

#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
#define SHARD_CLEARS_PADDING 1
#endif
#endif

#if defined(SHARD_CLEARS_PADDING)
template <class T>
inline constexpr bool tells_padding = true;

template <class T>
void mark_as_told(std::byte* values) {
  std::allocator<T> memory;
  T* const one = memory.allocate(1);
  std::memset(static_cast<void*>(one), 0xff, sizeof(T));
  __builtin_clear_padding(one);
  std::memcpy(values, static_cast<const void*>(one), sizeof(T));
  memory.deallocate(one, 1);
}
#else
template <class T>
consteval std::array<bool, sizeof(T)> bytes_without_value() {
  using bytes = std::array<unsigned char, sizeof(T)>;
  constexpr bytes zeros{};
  // Padding does not survive the way through a T.
  const bytes after = std::bit_cast<bytes>(std::bit_cast<T>(zeros));
  std::array<bool, sizeof(T)> found{};
  for (std::size_t k = 0; k < sizeof(T); ++k) found[k] = !__builtin_constant_p(after[k]);
  return found;
}

// Later compilers take bit-fields, too: a byte that is a value in part would be taken for padding.
#if __clang_major__ < 19
template <class T>
concept tells_padding =
    requires { typename std::bool_constant<bytes_without_value<T>()[sizeof(T) - 1]>; };
#else
template <class T>
concept tells_padding = false;
#endif

template <class T>
void mark_as_told(std::byte* values) {
  static constexpr auto without = bytes_without_value<T>();
  for (std::size_t k = 0; k < sizeof(T); ++k)
    values[k] = without[k] ? std::byte{0} : std::byte{0xff};
}
#endif

// Converts to the type of any member.
struct any_member {
  template <class U>
  operator U() const noexcept;  // not defined: only its type is asked for
};
template <class T, std::size_t... K>
constexpr bool takes_members(std::index_sequence<K...>) {
  return requires { T{(static_cast<void>(K), any_member{})...}; };
}
// Whether T is an aggregate of so many members, each element of an array counted for itself.
template <class T, std::size_t Count>
constexpr bool has_members() {
  return std::is_aggregate_v<T> && takes_members<T>(std::make_index_sequence<Count>()) &&
         !takes_members<T>(std::make_index_sequence<Count + 1>());
}
template <class M>
inline constexpr std::size_t elements_in = 1;
template <class M, std::size_t N>
inline constexpr std::size_t elements_in<M[N]> = N * elements_in<M>;

// Whether the described fields, as a compiler places them, fill T, and are all of its members: a
// member that is left out would be taken for padding.
template <class T>
constexpr bool is_filled_by(const std::tuple<>&) {
  return false;
}
template <class T, class... C, class... M>
constexpr bool is_filled_by(const std::tuple<field<C, M>...>&) {
  const auto round_up = [](std::size_t bytes, std::size_t to) {
    return (bytes + to - 1) / to * to;
  };
  std::size_t end = 0;
  ((end = round_up(end, alignof(M)) + sizeof(M)), ...);
  const bool packed = (sizeof(M) + ... + 0) == sizeof(T);
  return packed || (round_up(end, alignof(T)) == sizeof(T) &&
                    has_members<T, (elements_in<M> + ... + std::size_t{0})>());
}

// Sets the bits of a T that belong to values, in sizeof(T) zeroed bytes.
template <class T>
void mark_values(std::byte* values) {
  if constexpr (keeps_padding<T> || has_only_values<T>) {
    std::memset(values, 0xff, sizeof(T));
  } else if constexpr (is_extended<T>) {
    for (std::size_t at = 0; at < sizeof(T); at += sizeof(long double)) {
      std::memset(values + at, 0xff, extended_bytes);
    }
  } else if constexpr (array_like<T>) {
    using item = typename array_type<T>::item;
    for (std::size_t k = 0; k < array_type<T>::extent; ++k) {
      mark_values<std::remove_cv_t<item>>(values + k * sizeof(item));
    }
  } else if constexpr (tells_padding<T>) {
    mark_as_told<T>(values);
  } else {
    constexpr bool described = is_filled_by<T>(fields<T>);
    static_assert(
        described,
        "shard: this compiler can't tell which bytes of the struct are padding (it has bit-fields, "
        "a union, a pointer, std::complex, or no constexpr constructor): describe all its fields "
        "(shard::fields), or let shard leave its padding as it is: template <> inline constexpr "
        "bool shard::keeps_padding<T> = true;");
    if constexpr (described) {
      const auto mark = [&]<class C, class M>(const field<C, M>& of) {
        mark_values<std::remove_cv_t<M>>(values + offset_of<T>(of));
      };
      std::apply([&](const auto&... each) { (mark(each), ...); }, fields<T>);
    }
  }
}

// Found once, for all buffers of T.
template <class T>
std::span<const gap> gaps_of() {
  if constexpr (keeps_padding<T> || has_only_values<T>) {
    return {};
  } else {
    static const std::vector<gap> found = [] {
      std::vector<std::byte> values(sizeof(T));
      mark_values<T>(values.data());
      return gaps_between(values);
    }();
    return found;
  }
}

}  // namespace detail

}  // namespace shard
