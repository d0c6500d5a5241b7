// Structs with padding in many places, and what their bytes are where a program leaves garbage in
// the padding, and where it doesn't.
#pragma once

#include <array>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "shard/buffer.hpp"
#include "shard/text.hpp"

namespace shard_test {

struct hit {
  char flag;
  double energy;
  std::int16_t id;
};
struct nested {
  std::uint8_t first;
  hit hits[2];
  std::array<shard::text<3>, 2> names;
  std::uint32_t last;
};
struct aligned {
  alignas(64) std::int32_t x;
};
struct short_word {  // copied as one word
  std::uint8_t low;
  std::uint16_t high;
};
struct wide_gap {  // fills a block of a transfer, and more
  std::int32_t x;
  alignas(4096) std::int32_t y;
};
struct base {
  std::int32_t x;
  char y;
};
struct derived : base {
  char z;
};
struct extended {
  long double x;
  std::int32_t y;
};
struct wave {  // which clang knows by its description alone
  char tag;
  std::complex<float> z[2];
  char end;
};
struct real_and_complex {  // without padding, though no type of its fields has a unique image
  float x;
  std::complex<float> z;
};
struct empty {};

inline void set(hit& to, std::size_t i) {
  to.flag = static_cast<char>('a' + i % 7);
  to.energy = static_cast<double>(i) / 3;
  to.id = static_cast<std::int16_t>(i * 31);
}
inline void set(nested& to, std::size_t i) {
  to.first = static_cast<std::uint8_t>(i);
  set(to.hits[0], i + 1);
  set(to.hits[1], i + 2);
  to.names = {shard::text<3>("ab"), shard::text<3>("xyz")};
  to.last = static_cast<std::uint32_t>(i * 77);
}
inline void set(aligned& to, std::size_t i) { to.x = static_cast<std::int32_t>(i + 5); }
inline void set(short_word& to, std::size_t i) {
  to.low = static_cast<std::uint8_t>(i);
  to.high = static_cast<std::uint16_t>(i * 3);
}
inline void set(wide_gap& to, std::size_t i) {
  to.x = static_cast<std::int32_t>(i);
  to.y = static_cast<std::int32_t>(i + 1);
}
inline void set(derived& to, std::size_t i) {
  to.x = static_cast<std::int32_t>(i);
  to.y = 'y';
  to.z = static_cast<char>(i);
}
inline void set(extended& to, std::size_t i) {
  const long double x = static_cast<long double>(i) / 7;
  std::memcpy(&to.x, &x, 10);  // an assignment may take along what is behind them
  to.y = static_cast<std::int32_t>(i);
}
inline void set(wave& to, std::size_t i) {
  to.tag = 't';
  to.z[0] = {static_cast<float>(i), -1};
  to.z[1] = {2, static_cast<float>(i)};
  to.end = 'e';
}

#if !defined(__clang__)
struct bits {
  unsigned low : 3;
  unsigned high : 7;
  double x;
};
inline void set(bits& to, std::size_t i) {
  to.low = i % 8;
  to.high = i % 128;
  to.x = static_cast<double>(i);
}
#endif

// The bytes of element i, as a program stores it that leaves `garbage` in the padding.
template <class T>
std::vector<std::byte> image(std::size_t i, int garbage) {
  T one;
  std::memset(static_cast<void*>(&one), garbage, sizeof one);
  set(one, i);
  std::vector<std::byte> bytes(sizeof one);
  std::memcpy(bytes.data(), static_cast<const void*>(&one), sizeof one);
  return bytes;
}

// Stores it as it is: assigning might leave the garbage behind.
template <class T>
void store_dirty(T& to, std::size_t i) {
  const std::vector<std::byte> bytes = image<T>(i, 0xa5);
  std::memcpy(static_cast<void*>(&to), bytes.data(), sizeof to);
}
template <class T>
std::vector<T> many_dirty(std::size_t count) {
  std::vector<T> all(count);
  for (std::size_t i = 0; i < count; ++i) store_dirty(all[i], i);
  return all;
}

// Whether these are the bytes of element i with zeros in its padding.
template <class T>
bool is_clean(const std::byte* bytes, std::size_t i) {
  const std::vector<std::byte> expected = image<T>(i, 0);
  return std::memcmp(bytes, expected.data(), sizeof(T)) == 0;
}
// Whether the padding is zeros, whatever the values are.
template <class T>
bool has_clean_padding(const std::byte* bytes) {
  static const std::vector<std::byte> without = image<T>(1, 0);
  static const std::vector<std::byte> all = image<T>(1, 0xff);
  for (std::size_t k = 0; k < sizeof(T); ++k) {
    if ((bytes[k] & (all[k] ^ without[k])) != std::byte{0}) return false;
  }
  return true;
}

// The elements of a file that has `count` of them.
template <class T>
std::vector<std::byte> elements_in(const std::filesystem::path& path, std::size_t count) {
  std::ifstream file(path, std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(file), {}};
  constexpr std::size_t header = 4096;
  if (all.size() < header + count * sizeof(T)) return {};
  std::vector<std::byte> bytes(count * sizeof(T));
  std::memcpy(bytes.data(), all.data() + header, bytes.size());
  return bytes;
}
template <class T, std::size_t Rank>
std::vector<std::byte> elements_in(const shard::buffer<T, Rank>& of) {
  std::vector<std::byte> bytes(of.size() * sizeof(T));
  std::memcpy(bytes.data(), static_cast<const void*>(of.span().data()), bytes.size());
  return bytes;
}

}  // namespace shard_test

template <>
inline constexpr auto shard::fields<shard_test::wave> =
    std::tuple{shard::field{"tag", &shard_test::wave::tag}, shard::field{"z", &shard_test::wave::z},
               shard::field{"end", &shard_test::wave::end}};
template <>
inline constexpr auto shard::fields<shard_test::real_and_complex> =
    std::tuple{shard::field{"x", &shard_test::real_and_complex::x},
               shard::field{"z", &shard_test::real_and_complex::z}};
