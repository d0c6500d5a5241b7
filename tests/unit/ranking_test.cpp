#include "shard/ranking.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "refusal.hpp"
#include "shard/error.hpp"
#include "unit/states.hpp"

namespace {

using shard::ranked;
using shard::testing::random_chunks;
using shard::testing::reduce_in_chunks;
using shard_test::mentions;
using shard_test::refusal;
using testing::IsEmpty;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

const auto offer = [](auto& to, const auto& x) { to(x.value, x.index); };

// Few different values, so that many are equal, and the ones that are unlike others.
std::vector<ranked<double>> random_values() {
  const auto values = *rc::gen::container<std::vector<double>>(
      rc::gen::element(0.0, -0.0, 1.0, -1.0, 2.5, infinity, -infinity, nan, 5e-324, 1e308));
  std::vector<ranked<double>> all;
  for (std::size_t i = 0; i < values.size(); ++i) all.push_back({values[i], i});
  return all;
}

// Without NaNs, the best first; equal ones as they came.
template <class T, class Better>
std::vector<ranked<T>> sorted(std::vector<ranked<T>> all, Better better) {
  std::erase_if(all, [](const ranked<T>& one) { return one.value != one.value; });
  std::stable_sort(all.begin(), all.end(), [&](const ranked<T>& a, const ranked<T>& b) {
    return better(a.value, b.value);
  });
  return all;
}
bool above(double a, double b) { return a > b || (a == b && std::signbit(b) > std::signbit(a)); }
bool below(double a, double b) { return above(b, a); }

TEST(ArgMin, OfNothingHasNoValue) {
  shard::argmin<double> least;
  EXPECT_TRUE(least.empty());
  EXPECT_TRUE(mentions(refusal([&] { least.index(); }), {"minimum", "found no value"}));
  EXPECT_TRUE(mentions(refusal([] { shard::argmax<int>().value(); }), {"maximum"}));
}

RC_GTEST_PROP(ArgMin, IsTheFirstOfTheLowest, ()) {
  const auto values = random_values();
  const auto expected = sorted(values, below);
  shard::argmin<double> found;
  reduce_in_chunks(found, random_chunks(values), offer);
  RC_ASSERT(found.empty() == expected.empty());
  if (!expected.empty()) {
    RC_ASSERT((ranked<double>{found.value(), found.index()} == expected.front()));
  }
}

RC_GTEST_PROP(ArgMax, IsTheFirstOfTheHighest, ()) {
  const auto values = random_values();
  const auto expected = sorted(values, above);
  shard::argmax<double> found;
  reduce_in_chunks(found, random_chunks(values), offer);
  RC_ASSERT(found.empty() == expected.empty());
  if (!expected.empty()) {
    RC_ASSERT((ranked<double>{found.value(), found.index()} == expected.front()));
  }
}

TEST(ArgMax, OfASpanCountsFromItsFirst) {
  shard::argmax<int> most;
  const std::vector<int> values{3, 9, -1, 9};
  shard::testing::add_once(most, [&](auto& to) { to.add(values, 100); });
  EXPECT_EQ(most.value(), 9);
  EXPECT_EQ(most.index(), 101U);
}

TEST(ArgMax, KnowsTheLowestOfAType) {
  shard::argmax<std::int8_t> most;
  shard::testing::add_once(most, [](auto& to) { to(std::int8_t{-128}, 7); });
  EXPECT_EQ(most.value(), -128);
  EXPECT_EQ(most.index(), 7U);
}

RC_GTEST_PROP(TopK, IsTheBeginningOfAStableSort, ()) {
  const auto values = random_values();
  const std::size_t k = *rc::gen::inRange<std::size_t>(1, 12);
  auto expected = sorted(values, above);
  if (expected.size() > k) expected.resize(k);
  shard::top_k<double> found(k);
  reduce_in_chunks(found, random_chunks(values), offer);
  RC_ASSERT(std::ranges::equal(found.entries(), expected));
}

// In blocks, each of which is looked at as a whole.
RC_GTEST_PROP(TopK, OfSpansIsThatOfTheirElements, ()) {
  const std::size_t count = *rc::gen::inRange<std::size_t>(0, 3000);
  const std::size_t k = *rc::gen::inRange<std::size_t>(1, 300);
  const int different = *rc::gen::inRange(1, 2000);
  std::vector<float> values;
  for (std::size_t i = 0; i < count; ++i) {
    values.push_back(static_cast<float>(*rc::gen::inRange(0, different)));
  }
  std::vector<ranked<float>> expected;
  for (std::size_t i = 0; i < count; ++i) expected.push_back({values[i], i});
  expected = sorted(std::move(expected), std::greater<>());
  if (expected.size() > k) expected.resize(k);

  shard::top_k<float> found(k);
  shard::testing::state first(found);
  shard::testing::state second(found);
  const std::size_t cut = *rc::gen::inRange<std::size_t>(0, count + 1);
  const std::span<const float> all(values);
  shard::testing::add_to(found, second, [&](auto& to) { to.add(all.subspan(cut), cut); });
  shard::testing::add_to(found, first, [&](auto& to) { to.add(all.first(cut), 0); });
  shard::testing::merge(found, second);
  shard::testing::merge(found, first);
  RC_ASSERT(std::ranges::equal(found.entries(), expected));
}

TEST(TopK, AddsToWhatItHolds) {
  shard::top_k<int> best(2);
  shard::testing::add_once(best, [](auto& to) { to(5, 0), to(7, 1); });
  shard::testing::add_once(best, [](auto& to) { to(6, 2); });
  EXPECT_THAT(best.entries(), testing::ElementsAre(ranked<int>{7, 1}, ranked<int>{6, 2}));
}

TEST(TopK, OfNansIsEmpty) {
  shard::top_k<double> best(3);
  const std::vector<double> values(1000, nan);
  shard::testing::add_once(best, [&](auto& to) { to.add(values, 0); });
  EXPECT_THAT(best.entries(), IsEmpty());
}

TEST(TopK, RefusesNoneAndTooMany) {
  EXPECT_TRUE(mentions(refusal([] { shard::top_k<int>(0); }), {"found k = 0", "at least 1"}));
  EXPECT_TRUE(mentions(refusal([] { shard::top_k<int>(std::size_t(-1)); }), {"expected at most"}));
}

TEST(TopK, IsEqualIfItsEntriesAre) {
  shard::top_k<double> one(3);
  shard::top_k<double> other(3);
  EXPECT_EQ(one, other);
  shard::testing::add_once(one, [](auto& to) { to(1.0, 0); });
  EXPECT_NE(one, other);
  shard::testing::add_once(other, [](auto& to) { to(1.0, 0); });
  EXPECT_EQ(one, other);
}

}  // namespace
