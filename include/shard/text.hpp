// Fixed-width text: the element type that numpy calls S<N>.
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
[[noreturn]] void refuse_long_text(std::size_t found, std::size_t width);
}  // namespace detail

// Up to N bytes of text, filled up with NULs to exactly N bytes, as in numpy. NULs inside the text
// are kept. NULs at the end do not belong to the text. A text converts to std::string_view; it
// compares and hashes as that string_view does.
template <std::size_t N>
class text {
  static_assert(N > 0, "shard: text<0> has no bytes to store; use at least text<1>");

 public:
  constexpr text() noexcept = default;

  // Throws shard::error if `from` has more than N bytes. Nothing is cut silently.
  explicit constexpr text(std::string_view from) {
    if (from.size() > N) detail::refuse_long_text(from.size(), N);
    std::copy(from.begin(), from.end(), bytes_.begin());
  }

  // The first N bytes of `from`. Use this to cut text on purpose.
  static constexpr text truncated(std::string_view from) { return text(from.substr(0, N)); }

  constexpr operator std::string_view() const noexcept { return {bytes_.data(), size()}; }
  constexpr bool empty() const noexcept { return size() == 0; }

  // The length of the text, without the NULs at the end.
  constexpr std::size_t size() const noexcept {
    std::size_t used = N;
    while (used > 0 && bytes_[used - 1] == '\0') --used;
    return used;
  }

  // All N bytes, with the NULs at the end.
  constexpr std::span<const char, N> bytes() const noexcept { return bytes_; }

  friend constexpr bool operator==(const text& a, std::string_view b) noexcept {
    return std::string_view(a) == b;
  }
  friend constexpr std::strong_ordering operator<=>(const text& a, std::string_view b) noexcept {
    return std::string_view(a) <=> b;
  }
  friend std::string operator+(const text& a, std::string_view b) {
    return std::string(a).append(b);
  }
  friend std::string operator+(std::string_view a, const text& b) {
    return std::string(a).append(b);
  }

  template <class Stream>
    requires requires(Stream& stream, std::string_view view) { stream << view; }
  friend Stream& operator<<(Stream& stream, const text& t) {
    stream << std::string_view(t);
    return stream;
  }

 private:
  std::array<char, N> bytes_{};
};

// Operators for two texts, which may differ in width. Without them a call would be ambiguous:
// either text could convert to std::string_view.
template <std::size_t N, std::size_t M>
constexpr bool operator==(const text<N>& a, const text<M>& b) noexcept {
  return std::string_view(a) == std::string_view(b);
}
template <std::size_t N, std::size_t M>
constexpr std::strong_ordering operator<=>(const text<N>& a, const text<M>& b) noexcept {
  return std::string_view(a) <=> std::string_view(b);
}
template <std::size_t N, std::size_t M>
std::string operator+(const text<N>& a, const text<M>& b) {
  return std::string(a).append(std::string_view(b));
}

}  // namespace shard

template <std::size_t N>
struct std::hash<shard::text<N>> {
  std::size_t operator()(const shard::text<N>& t) const noexcept {
    return std::hash<std::string_view>{}(t);
  }
};
