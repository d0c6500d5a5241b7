// The padding of elements: which bytes it is, and that none of a program's memory gets into a file
// by it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <vector>

#include "memory/padding.hpp"
#include "padded.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"
#include "shared_names.hpp"

namespace {

using namespace shard_test;
using shard::range;
using shard::detail::gap;
using shard::detail::type_of;
using testing::IsEmpty;

template <class T>
struct Padding : testing::Test {};
using padded = testing::Types<hit, nested, aligned, short_word, wide_gap, derived, extended, wave
#if !defined(__clang__)
                              ,
                              bits
#endif
                              >;
TYPED_TEST_SUITE(Padding, padded);

template <class T>
void expect_clean(const std::vector<std::byte>& elements, std::size_t count,
                  std::size_t first = 0) {
  ASSERT_EQ(elements.size(), count * sizeof(T));
  for (std::size_t i = 0; i < count; ++i) {
    ASSERT_TRUE(is_clean<T>(elements.data() + i * sizeof(T), first + i)) << "element " << i;
  }
}

TYPED_TEST(Padding, IsClearedWithoutTouchingValues) {
  using T = TypeParam;
  for (const std::size_t count : {0u, 1u, 2u, 17u, 1000u}) {
    std::vector<T> all = many_dirty<T>(count);
    shard::memory::padding(type_of<T>()).clear(std::as_writable_bytes(std::span(all)));
    std::vector<std::byte> bytes(count * sizeof(T));
    if (count != 0) std::memcpy(bytes.data(), static_cast<const void*>(all.data()), bytes.size());
    expect_clean<T>(bytes, count);
  }
}

// What a program can hand over in bulk, into a file that it reads while it is written.
TYPED_TEST(Padding, IsZerosInAFileThatBulkTransfersFill) {
  using T = TypeParam;
  constexpr std::size_t n = 300;
  const folder in;
  auto live = shard::create_live<T>(in / "live.npy", n);
  std::vector<T> from = many_dirty<T>(n);
  live.write(range{0, 100}, {from.data(), 100});
  ASSERT_TRUE(live.try_write(range{100, 150}, {from.data() + 100, 50}));
  std::vector<std::size_t> places(50);
  std::iota(places.begin(), places.end(), 150);
  std::swap(places[3], places[17]);
  std::swap(from[153], from[167]);
  live.scatter(places, {from.data() + 150, 50});
  live.write_slab({range{200, 299}}, {from.data() + 200, 99});
  live.fill(range{299, 300}, from[299]);
  expect_clean<T>(elements_in<T>(in / "live.npy", n), n);
}

TYPED_TEST(Padding, IsZerosWhereOneValueFillsManyElements) {
  using T = TypeParam;
  // Far fewer than 64 stripes: ThreadSanitizer follows no more locks at a time.
  constexpr std::size_t n = sizeof(T) > 300 ? 21 : 630;
  shard::buffer<T, 2> filled(7, n / 7);
  T one;
  store_dirty(one, 5);
  filled.fill(range{0, n}, one);
  const std::vector<std::byte> bytes = elements_in(filled);
  for (std::size_t i = 0; i < n; ++i) ASSERT_TRUE(is_clean<T>(bytes.data() + i * sizeof(T), 5));
}

TYPED_TEST(Padding, IsZerosInWhatThePartsOfAnArrayAreWrittenTo) {
  using T = TypeParam;
  shard::buffer<T, 2> grid(10, 12);
  std::vector<T> part(6);
  for (std::size_t k = 0; k < 6; ++k) store_dirty(part[k], (2 + k / 3) * 12 + 4 + k % 3);
  grid.write_slab({range{2, 4}, range{4, 7}}, part);
  const std::vector<std::byte> bytes = elements_in(grid);
  for (std::size_t i = 0; i < 120; ++i) {
    const bool written = i / 12 >= 2 && i / 12 < 4 && i % 12 >= 4 && i % 12 < 7;
    const std::byte* const at = bytes.data() + i * sizeof(T);
    if (written) {
      ASSERT_TRUE(is_clean<T>(at, i)) << i;
    } else {
      ASSERT_TRUE(std::all_of(at, at + sizeof(T), [](std::byte b) { return b == std::byte{0}; }));
    }
  }
}

// A program's own stores, through references, spans and strided views.
template <class T>
void store_in_every_way(shard::buffer<T>& to) {
  const std::size_t n = to.size();
  for (std::size_t i = 0; i < n; ++i) {
    if (i % 3 == 0) {
      store_dirty(to[i], i);
    } else if (i % 3 == 1) {
      store_dirty(to.span()[i], i);
    } else {
      store_dirty(to.slab(range{2, n}).every(0, 3)[(i - 2) / 3], i);
    }
  }
}

TYPED_TEST(Padding, OfTheProgramsOwnStoresIsZerosInAFinishedFile) {
  using T = TypeParam;
  const folder in;
  auto file = shard::create<T>(in / "finished.npy", 100);
  store_in_every_way(file);
  file.finish();
  expect_clean<T>(elements_in<T>(in / "finished.npy", 100), 100);
}

TYPED_TEST(Padding, OfTheProgramsOwnStoresIsZerosInASavedFile) {
  using T = TypeParam;
  const folder in;
  shard::buffer<T> memory(100);
  store_in_every_way(memory);
  shard::save(in / "saved.npy", memory);
  expect_clean<T>(elements_in<T>(in / "saved.npy", 100), 100);
  shard::save(in / "again.npy", memory.read_only());
  expect_clean<T>(elements_in<T>(in / "again.npy", 100), 100);
  // What is saved isn't changed.
  EXPECT_FALSE(has_clean_padding<T>(elements_in(memory).data()));
}

TYPED_TEST(Padding, OfTheProgramsOwnStoresIsClearedOnRequest) {
  using T = TypeParam;
  const folder in;
  auto live = shard::create_live<T>(in / "live.npy", 100);
  store_in_every_way(live);
  live.clear_padding();
  expect_clean<T>(elements_in<T>(in / "live.npy", 100), 100);
  const shared_names names;
  auto named = shard::named::create<T>("padded", 100);
  store_in_every_way(named);
  shard::named::open_writable<T>("padded").clear_padding();
  expect_clean<T>(elements_in(named), 100);
}

TYPED_TEST(Padding, IsZerosInACopyOfAVector) {
  using T = TypeParam;
  const std::vector<T> from = many_dirty<T>(50);
  expect_clean<T>(elements_in(shard::buffer<T>(from)), 50);
  expect_clean<T>(elements_in(shard::buffer<const T>(from)), 50);
}

// numpy leaves gaps, too, and may have left something in them.
TYPED_TEST(Padding, OfAnOpenedFileIsZerosInACopyOfIt) {
  using T = TypeParam;
  const folder in;
  auto live = shard::create_live<T>(in / "live.npy", 40);
  store_in_every_way(live);
  ASSERT_FALSE(has_clean_padding<T>(elements_in<T>(in / "live.npy", 40).data()));
  shard::save(in / "copy.npy", shard::open<T>(in / "live.npy"));
  expect_clean<T>(elements_in<T>(in / "copy.npy", 40), 40);
  shard::save(in / "loaded.npy", shard::load<T>(in / "live.npy"));
  expect_clean<T>(elements_in<T>(in / "loaded.npy", 40), 40);
}

// ---- Which bytes ----

template <class T>
bool is_dense() {
  return type_of<T>().gaps.empty();
}

TEST(Gaps, AreNoneWhereEveryByteIsAValue) {
  struct numbers {
    double a;
    float b, c;
  };
  struct integers {
    std::int64_t a;
    std::int32_t b[2];
  };
  enum class color : std::uint8_t { red };
  EXPECT_TRUE(is_dense<bool>());
  EXPECT_TRUE(is_dense<double>());
  EXPECT_TRUE(is_dense<color>());
  EXPECT_TRUE(is_dense<std::byte>());
  EXPECT_TRUE(is_dense<std::complex<float>>());
  EXPECT_TRUE(is_dense<std::complex<double>>());
  EXPECT_TRUE(is_dense<shard::text<5>>());
  EXPECT_TRUE((is_dense<std::array<double, 3>>()));
  EXPECT_TRUE((is_dense<std::array<std::complex<float>, 3>>()));
  EXPECT_TRUE(is_dense<numbers>());
  EXPECT_TRUE(is_dense<integers>());
  EXPECT_TRUE(is_dense<real_and_complex>());
}

TEST(Gaps, AreWhatLiesBetweenFields) {
  const auto places = [](std::span<const gap> gaps) {
    std::vector<std::array<std::size_t, 2>> found;
    for (const gap& each : gaps) found.push_back({each.offset, each.bytes});
    return found;
  };
  using expected = std::vector<std::array<std::size_t, 2>>;
  EXPECT_EQ(places(type_of<hit>().gaps), (expected{{1, 7}, {18, 6}}));
  EXPECT_EQ(places(type_of<aligned>().gaps), (expected{{4, 60}}));
  EXPECT_EQ(places(type_of<wave>().gaps), (expected{{1, 3}, {21, 3}}));
  EXPECT_EQ(places(type_of<extended>().gaps), (expected{{10, 6}, {20, 12}}));
  EXPECT_EQ(places(type_of<empty>().gaps), (expected{{0, 1}}));
  EXPECT_EQ(places(type_of<std::array<hit, 2>>().gaps),
            (expected{{1, 7}, {18, 6}, {25, 7}, {42, 6}}));
}

struct mine {
  char a;
  int b;
};

}  // namespace

template <>
inline constexpr bool shard::keeps_padding<mine> = true;

namespace {

TEST(Gaps, AreLeftAloneWhereTheProgramSaysSo) {
  EXPECT_TRUE(is_dense<mine>());
  shard::buffer<mine> kept(1);
  std::memset(static_cast<void*>(&kept[0]), 0x77, sizeof(mine));
  kept.clear_padding();
  const std::vector<std::byte> bytes = elements_in(kept);
  EXPECT_THAT(bytes, testing::Each(std::byte{0x77}));
}

// Any mask, bit by bit.
RC_GTEST_PROP(Gaps, AreClearedAndNothingElse, ()) {
  const auto size = *rc::gen::inRange<std::size_t>(1, 100);
  const auto byte = rc::gen::element<unsigned>(0, 0, 0, 0xff, 0xff, 0xff, 0x0f, 0x80);
  const auto mask = *rc::gen::container<std::vector<unsigned>>(size, byte);
  const auto count = *rc::gen::inRange<std::size_t>(0, 400);
  std::vector<std::byte> values(size);
  for (std::size_t k = 0; k < size; ++k) values[k] = static_cast<std::byte>(mask[k]);
  const std::vector<gap> gaps = shard::detail::gaps_between(values);
  const shard::memory::padding all({{}, size, 1, gaps});
  constexpr std::byte garbage{0x5a};
  std::vector<std::byte> bytes(size * count + 2, garbage);
  all.clear(bytes.data() + 1, count);
  RC_ASSERT(bytes.front() == garbage && bytes.back() == garbage);
  for (std::size_t k = 0; k < size * count; ++k)
    RC_ASSERT(bytes[k + 1] == (garbage & values[k % size]));
}

}  // namespace
