#include "shard/category_counts.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "refusal.hpp"
#include "shard/text.hpp"
#include "unit/states.hpp"

namespace {

using shard::category_counts;
using shard::testing::add_once;
using shard::testing::add_to;
using shard::testing::merge;
using shard::testing::random_chunks;
using shard::testing::reduce_in_chunks;
using shard::testing::state;

static_assert(shard::reducer<category_counts<int>>);

template <class T>
std::map<T, std::int64_t> map_of(const category_counts<T>& counts) {
  std::map<T, std::int64_t> all;
  for (const auto& [category, count] : counts.entries()) all[category] = count;
  return all;
}

RC_GTEST_PROP(CategoryCounts, AreThoseOfAMap, (const std::vector<std::int16_t>& values)) {
  category_counts<std::int16_t> counts(1000);
  std::map<std::int16_t, std::int64_t> expected;
  for (const std::int16_t x : values) ++expected[x];
  reduce_in_chunks(counts, random_chunks(values), [](auto& to, std::int16_t x) { to(x); });
  RC_ASSERT(map_of(counts) == expected);
  const auto entries = counts.entries();
  RC_ASSERT(std::is_sorted(entries.begin(), entries.end(),
                           [](const auto& a, const auto& b) { return a.category < b.category; }));
  category_counts<std::int16_t> at_once(1000);
  add_once(at_once, [&](auto& to) { to.fill(values); });
  RC_ASSERT(at_once == counts);
}

TEST(CategoryCounts, SortTextAndEnumeratorsAndGiveAnAxis) {
  category_counts<shard::text<3>> airports(3);
  add_once(airports, [](auto& to) {
    for (const char* name : {"SFO", "JFK", "SFO", "BOS"}) to(shard::text<3>(name));
    to.add(-5, shard::text<3>("JFK"));
  });
  ASSERT_EQ(airports.entries().size(), 3U);
  EXPECT_EQ(airports.entries()[0].category, "BOS");
  EXPECT_EQ(airports.entries()[2].count, 2);
  EXPECT_EQ(airports.at(shard::text<3>("JFK")), -4);
  EXPECT_EQ(airports.at(shard::text<3>("LAX")), 0);
  EXPECT_EQ(airports.axis().value(1), "JFK");
  EXPECT_EQ(airports.axis().size(), 3);

  enum class suit { hearts, spades };
  category_counts<suit> suits(2);
  add_once(suits, [](auto& to) { to(suit::spades), to(suit::hearts), to(suit::spades); });
  EXPECT_EQ(suits.entries()[0].category, suit::hearts);
  EXPECT_EQ(suits.at(suit::spades), 2);
}

TEST(CategoryCounts, GoOnFromAnEarlierMap) {
  category_counts<int> counts(10);
  add_once(counts, [](auto& to) { to(7), to(std::int8_t{-1}); });
  add_once(counts, [](auto& to) { to(3), to(7); });
  EXPECT_EQ(map_of(counts), (std::map<int, std::int64_t>{{-1, 1}, {3, 1}, {7, 2}}));
}

TEST(CategoryCounts, RefuseMoreThanThereIsRoomFor) {
  const std::string expected =
      "cannot count the categories: found more than 2 different ones, expected at most as many as "
      "the category_counts was made for";
  category_counts<int> counts(2);
  EXPECT_EQ(
      shard_test::refusal([&] { add_once(counts, [](auto& to) { to(1), to(2), to(1), to(3); }); }),
      expected);
  state one(counts), other(counts);
  add_to(counts, one, [](auto& to) { to(1), to(2); });
  add_to(counts, other, [](auto& to) { to(3); });
  merge(counts, one);
  EXPECT_EQ(shard_test::refusal([&] { merge(counts, other); }), expected);
  EXPECT_EQ(
      shard_test::refusal([] { category_counts<int> none(0); }),
      "cannot make the category_counts: found room for 0 categories, expected 1 to 1073741824");
}

// Who publishes a state copies no more than its live bytes, over what was there before.
TEST(CategoryCounts, HoldNothingBehindTheirLiveBytes) {
  category_counts<std::int64_t> all(100), again(100);
  state first(all), copy(all);
  const auto add = [&](state& to, int from) {
    add_to(all, to, [&](auto& a) {
      for (int k = from; k < from + 50; ++k) a(k % 77);
    });
  };
  add(first, 0);
  std::memset(copy.data(), 0xa5, all.state_bytes());
  std::memcpy(copy.data(), first.data(), all.live_bytes(first.data()));
  add(first, 30);
  add(copy, 30);
  merge(all, first);
  merge(again, copy);
  EXPECT_EQ(all, again);
}

}  // namespace
