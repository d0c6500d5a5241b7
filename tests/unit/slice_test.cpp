// Views, slices and atomics on plain arrays; SHARD_CHECKED is tested where this is built with it.

#include "shard/slice.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "refusal.hpp"

namespace {

using shard::range;
using shard::shared_view;
using shard::slice;
using shard::tile;
using shard::view;
using shard_test::refusal;

std::vector<int> counting(std::size_t n) {
  std::vector<int> values(n);
  std::iota(values.begin(), values.end(), 0);
  return values;
}

TEST(View, ReadsTheWholeBufferByGlobalIndex) {
  const std::vector<int> values = counting(10);
  const view<int> all(values.data(), {10});
  EXPECT_EQ(all[7], 7);
  EXPECT_EQ(all.size(), 10u);
  EXPECT_EQ(std::accumulate(all.begin(), all.end(), 0), 45);
  EXPECT_EQ(all.span({3, 6}).size(), 3u);
  EXPECT_EQ(all.span({3, 6})[0], 3);
  const std::span<const int> converted = all;
  EXPECT_EQ(converted.size(), 10u);
}

TEST(View, IsRowMajor) {
  const std::vector<int> values = counting(12);
  const view<int, 2> square(values.data(), {3, 4});
  EXPECT_EQ(square(2, 1), 9);
  EXPECT_EQ(square.row(1)[0], 4);
  EXPECT_EQ(square.span({1, 3}).size(), 8u);
  EXPECT_EQ(square.span({1, 3})[0], 4);
  EXPECT_EQ((view<int, 3>(values.data(), {2, 3, 2})(1, 2, 1)), 11);
}

TEST(Slice, WritesItsChunkByGlobalIndex) {
  std::vector<int> values(10);
  const slice<int> part(values.data(), {10}, range{4, 7});
  for (std::size_t i : part.chunk()) part[i] = int(i);
  EXPECT_EQ(values, (std::vector<int>{0, 0, 0, 0, 4, 5, 6, 0, 0, 0}));
  EXPECT_EQ(part.span().data(), values.data() + 4);
  EXPECT_EQ(part.span().size(), 3u);
}

TEST(Slice, OfARankTwoBufferIsItsRows) {
  std::vector<int> values(12);
  const slice<int, 2> rows(values.data(), {4, 3}, range{1, 3});
  rows(2, 1) = 5;
  EXPECT_EQ(values[7], 5);
  EXPECT_EQ(rows.row(2)[1], 5);
  EXPECT_EQ(rows.span().size(), 6u);
  EXPECT_EQ(rows.cells(), (tile{{1, 3}, {0, 3}}));
}

TEST(Slice, OfATileIsLimitedInItsColumnsToo) {
  std::vector<int> values(12);
  const slice<int, 2> cells(values.data(), {4, 3}, tile{{1, 3}, {1, 3}});
  for (std::size_t i : cells.cells().rows) {
    for (int& value : cells.row(i)) value = 1;
  }
  EXPECT_EQ(values, (std::vector<int>{0, 0, 0, 0, 1, 1, 0, 1, 1, 0, 0, 0}));
}

TEST(Handles, AreTriviallyCopyable) {
  static_assert(std::is_trivially_copyable_v<view<int, 2>>);
  static_assert(std::is_trivially_copyable_v<slice<int, 2>>);
  static_assert(std::is_trivially_copyable_v<shared_view<int, 2>>);
  static_assert(sizeof(slice<double>) == 4 * sizeof(void*));
}

#ifdef SHARD_CHECKED
TEST(CheckedSlice, NamesTheIndexAndTheChunk) {
  std::vector<int> values(10);
  const slice<int> part(values.data(), {10}, range{4, 7});
  const std::string message = refusal([&] { part[7] = 1; });
  EXPECT_NE(message.find("element 7"), std::string::npos) << message;
  EXPECT_NE(message.find("[4, 7)"), std::string::npos) << message;
  EXPECT_NE(message.find("shared()"), std::string::npos) << message;
  EXPECT_EQ(values, std::vector<int>(10));
}

TEST(CheckedSlice, RefusesOtherRowsAndColumns) {
  std::vector<int> values(12);
  const slice<int, 2> cells(values.data(), {4, 3}, tile{{1, 3}, {1, 3}});
  EXPECT_NE(refusal([&] { cells(0, 1) = 1; }).find("row 0"), std::string::npos);
  EXPECT_NE(refusal([&] { cells(1, 0) = 1; }).find("column 0"), std::string::npos);
  EXPECT_NE(refusal([&] { (void)cells.row(3); }).find("row 3"), std::string::npos);
  EXPECT_NE(refusal([&] { (void)cells.span(); }).find("tile"), std::string::npos);
}

TEST(CheckedView, RefusesWhatIsOutsideTheBuffer) {
  const std::vector<int> values(10);
  const view<int> all(values.data(), {10});
  EXPECT_NE(refusal([&] { (void)all[10]; }).find("index 10"), std::string::npos);
  EXPECT_NE(refusal([&] { (void)all.span({5, 11}); }).find("[5, 11)"), std::string::npos);
  std::vector<int> cells(4);
  const shared_view<int> atomics(cells.data(), {4});
  EXPECT_NE(refusal([&] { atomics.fetch_add(4, 1); }).find("index 4"), std::string::npos);
}
#endif

TEST(SharedView, ReturnsWhatWasThereBefore) {
  std::vector<std::int64_t> cells{5, std::numeric_limits<std::int64_t>::min()};
  const shared_view<std::int64_t> all(cells.data(), {2});
  EXPECT_EQ(all.fetch_add(0, -5), 5);
  EXPECT_EQ(all.load(0), 0);
  EXPECT_EQ(all.fetch_sub(1, 1), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(all.load(1), std::numeric_limits<std::int64_t>::max()) << "wraps";
  all.store(0, 6);
  std::int64_t expected = 6;
  EXPECT_TRUE(all.compare_exchange(0, expected, 100));
  EXPECT_FALSE(all.compare_exchange(0, expected, 100));
  EXPECT_EQ(expected, 100);
  EXPECT_EQ(all.exchange(0, 3), 100);
  EXPECT_EQ(all.fetch_min(0, 2), 3);
  EXPECT_EQ(all.fetch_max(0, 9), 2);
  EXPECT_EQ(all.load(0), 9);
}

TEST(SharedView, WrapsNarrowIntegers) {
  std::vector<std::int8_t> small{127};
  shared_view<std::int8_t>(small.data(), {1}).fetch_add(0, 1);
  EXPECT_EQ(small[0], -128);
  std::vector<std::uint8_t> bytes{255};
  shared_view<std::uint8_t>(bytes.data(), {1}).fetch_add(0, 1);
  EXPECT_EQ(bytes[0], 0);
}

TEST(SharedView, ChangesBits) {
  std::vector<std::uint8_t> cells{0xFF};
  const shared_view<std::uint8_t> all(cells.data(), {1});
  EXPECT_EQ(all.fetch_and(0, 0x0F), 0xFF);
  EXPECT_EQ(all.fetch_or(0, 0xF0), 0x0F);
  EXPECT_EQ(all.fetch_xor(0, 0x55), 0xFF);
  EXPECT_EQ(all.load(0), 0xAA);
}

TEST(SharedView, CountsInFloatingPoint) {
  std::vector<double> cells{1.5, std::nan(""), 3.0};
  const shared_view<double, 2> all(cells.data(), {3, 1});
  EXPECT_EQ(all.fetch_add({0, 0}, 0.25), 1.5);
  EXPECT_EQ(all.fetch_sub({0, 0}, 1.0), 1.75);
  EXPECT_EQ(all.load({0, 0}), 0.75);
  all.fetch_max({1, 0}, 2.0);
  EXPECT_EQ(cells[1], 2.0) << "NaN loses";
  all.fetch_min({2, 0}, std::nan(""));
  EXPECT_EQ(cells[2], 3.0);
}

template <class T>
concept adds = requires(shared_view<T> all, T x) { all.fetch_add(0, x); };
template <class T>
concept masks = requires(shared_view<T> all, T x) { all.fetch_and(0, x); };

TEST(SharedView, HasOnlyWhatTheTypeHas) {
  static_assert(adds<int> && adds<float> && !adds<bool> && !adds<std::byte>);
  static_assert(masks<int> && !masks<double> && !masks<bool>);
  static_assert(!shard::atomic_element<long double>);
  bool flag = false;
  EXPECT_FALSE(shared_view<bool>(&flag, {1}).exchange(0, true));
  EXPECT_TRUE(flag);
}

TEST(SharedView, LosesNoIncrementOfManyThreads) {
  std::vector<double> sum(1);
  std::vector<int> count(1);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        shared_view<double>(sum.data(), {1}).fetch_add(0, 1.0);
        shared_view<int>(count.data(), {1}).fetch_add(0, 1, std::memory_order_relaxed);
      }
    });
  }
  for (std::thread& each : threads) each.join();
  EXPECT_EQ(sum[0], 4000.0);
  EXPECT_EQ(count[0], 4000);
}

}  // namespace
