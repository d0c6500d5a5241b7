// Fixed-width text of characters: the element type that numpy calls U<N>, which its own strings
// are.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace shard {

namespace detail {
[[noreturn]] void refuse_long_u32text(std::size_t found, std::size_t width);
// Puts the first characters of UTF-8 into `to`, as many as there is room for. Returns how many
// there are in all. Throws shard::error if `from` is not UTF-8.
std::size_t characters_of(std::string_view from, std::span<char32_t> to);
// Throws shard::error if a number is that of no character.
std::string utf8_of(std::u32string_view from);
}  // namespace detail

// Up to N characters of Unicode, filled up with NULs to exactly N, as in numpy: four bytes each. A
// u32text is made of UTF-8 or of UTF-32, and converts to both. NULs inside the text are kept. NULs
// at the end do not belong to the text. A u32text compares and hashes as the std::u32string_view
// that it converts to: by the numbers of its characters.
template <std::size_t N>
class u32text {
  static_assert(N > 0, "shard: u32text<0> has no characters to store; use at least u32text<1>");

 public:
  constexpr u32text() noexcept = default;

  // From UTF-8. Throws shard::error if `utf8` is not UTF-8 (illegal_byte_sequence), or if it has
  // more than N characters (value_too_large). Nothing is cut or replaced silently.
  explicit u32text(std::string_view utf8) {
    const std::size_t found = detail::characters_of(utf8, characters_);
    if (found > N) detail::refuse_long_u32text(found, N);
  }

  // From UTF-32, as it is. Throws shard::error if `from` has more than N characters.
  explicit constexpr u32text(std::u32string_view from) {
    if (from.size() > N) detail::refuse_long_u32text(from.size(), N);
    std::copy(from.begin(), from.end(), characters_.begin());
  }

  // The first N characters. Use this to cut text on purpose.
  static u32text truncated(std::string_view utf8) {
    u32text made;
    detail::characters_of(utf8, made.characters_);
    return made;
  }
  static constexpr u32text truncated(std::u32string_view from) {
    return u32text(from.substr(0, N));
  }

  // Throws shard::error(illegal_byte_sequence) if there is no such character: numpy's texts may
  // have surrogates, and a file any number.
  std::string utf8() const { return detail::utf8_of(*this); }

  constexpr operator std::u32string_view() const noexcept { return {characters_.data(), size()}; }
  constexpr bool empty() const noexcept { return size() == 0; }

  // The number of characters, without the NULs at the end.
  constexpr std::size_t size() const noexcept {
    std::size_t used = N;
    while (used > 0 && characters_[used - 1] == U'\0') --used;
    return used;
  }

  // All N characters, with the NULs at the end.
  constexpr std::span<const char32_t, N> characters() const noexcept { return characters_; }

  friend constexpr bool operator==(const u32text& a, std::u32string_view b) noexcept {
    return std::u32string_view(a) == b;
  }
  friend constexpr std::strong_ordering operator<=>(const u32text& a,
                                                    std::u32string_view b) noexcept {
    return std::u32string_view(a) <=> b;
  }

  // In UTF-8. Throws as utf8() does.
  template <class Stream>
    requires requires(Stream& stream, std::string utf8) { stream << utf8; }
  friend Stream& operator<<(Stream& stream, const u32text& t) {
    stream << t.utf8();
    return stream;
  }

 private:
  std::array<char32_t, N> characters_{};
};

// Operators for two texts, which may differ in width. Without them a call would be ambiguous.
template <std::size_t N, std::size_t M>
constexpr bool operator==(const u32text<N>& a, const u32text<M>& b) noexcept {
  return std::u32string_view(a) == std::u32string_view(b);
}
template <std::size_t N, std::size_t M>
constexpr std::strong_ordering operator<=>(const u32text<N>& a, const u32text<M>& b) noexcept {
  return std::u32string_view(a) <=> std::u32string_view(b);
}

}  // namespace shard

template <std::size_t N>
struct std::hash<shard::u32text<N>> {
  std::size_t operator()(const shard::u32text<N>& t) const noexcept {
    return std::hash<std::u32string_view>{}(t);
  }
};
