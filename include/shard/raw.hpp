// Elements as bytes, for types that the program need not know: copied, moved, saved, and never
// looked into.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <span>
#include <type_traits>

namespace shard {

// N bytes. A file of any type whose elements have N bytes opens as a buffer<raw<N>>, and loads as
// one: dates in years, structs whose fields the program does not describe, numbers in the other
// byte order (the bytes stay in that order). The one exception are Python's objects. save() keeps
// the type that the file had. A new buffer<raw<N>> has the type |V and N.
//
// As a field of a described struct a raw<N> takes any type of N bytes, also an array or a struct.
template <std::size_t N>
class raw {
  static_assert(N > 0, "shard: raw<0> has no bytes; use at least raw<1>");

 public:
  constexpr raw() noexcept = default;
  explicit constexpr raw(std::span<const std::byte, N> bytes) noexcept {
    for (std::size_t i = 0; i < N; ++i) bytes_[i] = bytes[i];
  }

  constexpr std::span<const std::byte, N> bytes() const noexcept { return bytes_; }
  constexpr std::span<std::byte, N> bytes() noexcept { return bytes_; }

  // The bytes as a T, and those of a T. Whether they mean that, the program has to know.
  template <class T>
    requires(sizeof(T) == N && std::is_trivially_copyable_v<T>)
  constexpr T as() const noexcept {
    return std::bit_cast<T>(bytes_);
  }
  template <class T>
    requires(sizeof(T) == N && std::is_trivially_copyable_v<T>)
  static constexpr raw of(const T& value) noexcept {
    raw made;
    made.bytes_ = std::bit_cast<std::array<std::byte, N>>(value);
    return made;
  }

  friend constexpr bool operator==(const raw&, const raw&) noexcept = default;

 private:
  std::array<std::byte, N> bytes_{};
};

}  // namespace shard
