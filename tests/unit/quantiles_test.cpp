#include "shard/quantiles.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "mapping/bucket_pages.hpp"
#include "refusal.hpp"
#include "shard/error.hpp"
#include "shard/random.hpp"
#include "unit/states.hpp"

namespace {

using shard::exact_quantile;
using shard::quantiles;
using shard::testing::add_once;
using shard::testing::random_chunks;
using shard::testing::reduce_in_chunks;
using shard_test::mentions;
using shard_test::refusal;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

const auto one_by_one = [](auto& to, const auto& x) { to(x); };

template <class T>
using word_of = std::conditional_t<std::is_same_v<T, double>, std::uint64_t, std::uint32_t>;

template <class T>
constexpr int limits_digits = std::numeric_limits<T>::digits;

template <class T>
auto bits(T x) {
  return std::bit_cast<word_of<T>>(x);
}

// Any bits, small integers, and the ones that are unlike others.
template <class T>
std::vector<T> random_values() {
  using limits = std::numeric_limits<T>;
  const auto any = rc::gen::map(rc::gen::arbitrary<word_of<T>>(),
                                [](word_of<T> word) { return std::bit_cast<T>(word); });
  const auto small =
      rc::gen::map(rc::gen::inRange(-9, 10), [](int x) { return static_cast<T>(x); });
  const auto odd =
      rc::gen::element(T{0}, -T{0}, limits::infinity(), -limits::infinity(), limits::quiet_NaN(),
                       limits::denorm_min(), -limits::denorm_min(), limits::min(), limits::max(),
                       limits::lowest(), std::bit_cast<T>(bits(limits::infinity()) + 1));
  return *rc::gen::container<std::vector<T>>(rc::gen::oneOf(any, small, odd));
}

template <class T>
bool comes_before(T a, T b) {
  return a < b || (a == b && std::signbit(a) && !std::signbit(b));
}

// Without NaNs, in order.
template <class T>
std::vector<T> sorted(std::vector<T> all) {
  std::erase_if(all, [](T x) { return std::isnan(x); });
  std::sort(all.begin(), all.end(), comes_before<T>);
  return all;
}

template <class T>
T number_at(const std::vector<T>& in_order, double p) {
  const double rank = std::ceil(p * static_cast<double>(in_order.size()));
  return in_order[rank < 1 ? 0 : static_cast<std::size_t>(rank) - 1];
}

template <class T>
void estimate_and_find() {
  const auto values = random_values<T>();
  const auto expected = sorted(values);
  RC_PRE(!expected.empty());
  const auto p = *rc::gen::map(rc::gen::inRange(0, 1001), [](int k) { return k / 1000.0; });

  quantiles<T> counted;
  reduce_in_chunks(counted, random_chunks(values), one_by_one);
  RC_ASSERT(counted.count() == expected.size());

  const T exact = number_at(expected, p);
  const auto [lowest, highest] = counted.bounds(p);
  RC_ASSERT(!comes_before(exact, lowest) && !comes_before(highest, exact));
  const T estimate = counted.at(p);
  if (std::isinf(exact) || exact == 0) {
    RC_ASSERT(bits(estimate) == bits(exact));
  } else {
    const double off = std::abs(double{estimate} - double{exact});
    const double allowed = std::isnormal(exact) ? std::abs(double{exact}) / 256
                                                : std::ldexp(1.0, sizeof(T) == 8 ? -1029 : -133);
    RC_ASSERT(off <= allowed);
  }

  exact_quantile<T> found(counted, p);
  reduce_in_chunks(found, random_chunks(values), one_by_one);
  RC_ASSERT(bits(found.value()) == bits(exact));
}

RC_GTEST_PROP(Quantiles, AreEstimatedAndFoundAsSortingFindsThem, ()) {
  estimate_and_find<double>();
}
RC_GTEST_PROP(Quantiles, OfFloatAreEstimatedAndFoundAsSortingFindsThem, ()) {
  estimate_and_find<float>();
}

RC_GTEST_PROP(Quantiles, OfManyNumbersAtOnceAreThoseOfEach, ()) {
  const auto values = random_values<double>();
  const auto several = *rc::gen::inRange<std::size_t>(1, 400);
  std::vector<double> many;
  for (std::size_t i = 0; i < several * values.size(); ++i)
    many.push_back(values[i % values.size()]);

  quantiles<double> one, all, apart;
  add_once(one, [&](auto& to) {
    for (const double x : many) to(x);
  });
  add_once(all, [&](auto& to) { to.add(many); });
  std::vector<double> twice(2 * many.size(), 7e77);
  for (std::size_t i = 0; i < many.size(); ++i) twice[2 * i] = many[i];
  add_once(apart, [&](auto& to) { to.add({twice.data(), many.size(), 2}); });
  RC_ASSERT(one == all);
  RC_ASSERT(one == apart);
}

TEST(Quantiles, OfTenNumbersAreTheFirstToTheLast) {
  std::vector<double> values{10, 9, 8, 7, 6, 5, 4, 3, 2, 1};
  quantiles<double> counted;
  add_once(counted, [&](auto& to) { to.add(values); });
  for (int k = 0; k <= 10; ++k) {
    exact_quantile found(counted, k / 10.0);
    add_once(found, [&](auto& to) { to.add(values); });
    EXPECT_EQ(found.value(), std::max(k, 1)) << k;
  }
}

TEST(Quantiles, AreRefusedOfNothingAndOfNoProbability) {
  quantiles<double> counted;
  EXPECT_TRUE(mentions(refusal([&] { counted.at(0.5); }), {"quantile", "found no number"}));
  add_once(counted, [](auto& to) { to(nan); });
  EXPECT_EQ(counted.count(), 0u);
  EXPECT_TRUE(mentions(refusal([&] { counted.bounds(0.5); }), {"found no number"}));
  add_once(counted, [](auto& to) { to(1.0); });
  for (const double p : {-0.1, 1.1, nan, infinity}) {
    EXPECT_TRUE(mentions(refusal([&] { counted.at(p); }), {"found p = ", "from 0 to 1"}));
    EXPECT_TRUE(mentions(refusal([&] { exact_quantile(counted, p); }), {"from 0 to 1"}));
  }
}

TEST(Quantiles, FollowWhatWasAddedBefore) {
  quantiles<float> counted;
  add_once(counted, [](auto& to) { to(1.0f); });
  add_once(counted, [](auto& to) { to(3.0f); });
  add_once(counted, [](auto& to) { to(3.0f); });
  EXPECT_EQ(counted.count(), 3u);
  EXPECT_NEAR(counted.at(0.5), 3, 3.0 / 256);
}

// A count of a bucket has a part of 16 bits and one for all beyond.
TEST(Quantiles, CountMoreThanFitsIntoAPartOfACounter) {
  constexpr std::size_t many = 200'001;
  // Equal ones in a row, and others in between.
  std::vector<double> values(many, 3.0);
  for (std::size_t i = 0; i < many; ++i) values.push_back(i % 2 == 0 ? 1.0 : -1e300);
  quantiles<double> all, one;
  add_once(all, [&](auto& to) { to.add(values); });
  add_once(one, [&](auto& to) {
    for (const double x : values) to(x);
  });
  EXPECT_EQ(all.count(), 2 * many);
  EXPECT_EQ(all, one);
  EXPECT_LT(all.at(0.2499), 0);
  EXPECT_EQ(all.bounds(0.2501).lowest, 1.0);
  EXPECT_EQ(all.bounds(0.5001).lowest, 3.0);
}

// The window of the exponents, which the first numbers choose, and all that is beyond it.
template <class T>
void count_around_a_window() {
  using limits = std::numeric_limits<T>;
  std::mt19937_64 random(3);
  for (const T first : {T{0}, limits::denorm_min(), limits::min(), T{1}, T{-1}, limits::max(),
                        limits::lowest(), limits::infinity(), limits::quiet_NaN()}) {
    std::vector<T> values(300, first);
    for (int i = 0; i < 3000; ++i) {
      const int by = static_cast<int>(random() % 50) - 25;
      const T near = std::ldexp(first == 0 ? limits::min() : first, by);
      values.push_back(random() % 2 == 0 ? near : -near);
      if (random() % 1000 == 0)
        values.push_back(std::bit_cast<T>(static_cast<word_of<T>>(random())));
    }
    quantiles<T> all, one;
    add_once(all, [&](auto& to) { to.add(values); });
    add_once(one, [&](auto& to) {
      for (const T x : values) to(x);
    });
    EXPECT_EQ(all, one) << first;
  }
}

TEST(Quantiles, AreThoseOfEachAroundAWindow) { count_around_a_window<double>(); }
TEST(Quantiles, OfFloatAreThoseOfEachAroundAWindow) { count_around_a_window<float>(); }

template <class T>
void find_counters_of_any() {
  using shard::detail::bucket_page;
  using shard::detail::bucket_pages;
  constexpr std::size_t groups = std::size_t{1} << (8 * sizeof(T) - limits_digits<T> + 1);
  std::vector<std::uint16_t> page_of(groups + 1);
  for (std::size_t k = 0; k < groups; ++k) page_of[k] = static_cast<std::uint16_t>(k + 1);
  std::vector<T> values = random_values<T>();
  const T near = *rc::gen::element(T{1}, T{-1}, std::numeric_limits<T>::min());
  for (int k = -9; k < 9; ++k) values.push_back(std::ldexp(near, k));
  values.resize(std::min<std::size_t>(values.size(), 256));
  const auto group = [](T x) {
    return static_cast<std::uint32_t>(bits(x) >> (limits_digits<T> - 1));
  };
  const std::uint32_t window =
      *rc::gen::inRange<std::uint32_t>(0, static_cast<std::uint32_t>(groups / 2) - 16);
  const auto page_in_window = [&](T x) -> std::uint32_t {
    const std::uint32_t from = group(std::abs(x)) - window;
    return from >= 16 ? 0 : 1 + from + (std::signbit(x) ? 16 : 0);
  };
  const auto counter = [](std::uint32_t page, T x) {
    const auto bucket = static_cast<std::uint32_t>(bits(x) >> (limits_digits<T> - 8)) % 128;
    return page * static_cast<std::uint32_t>(sizeof(bucket_page) / 2) + bucket;
  };
  std::vector<std::uint32_t> found(values.size());
  for (const auto& find : shard::mapping::counter_finders<T>()) {
    RC_ASSERT(find.by_page(values.data(), values.size(), page_of.data(), found.data()));
    for (std::size_t k = 0; k < values.size(); ++k)
      RC_ASSERT(found[k] == counter(group(values[k]) + 1, values[k]));
    const bool all_there = std::ranges::all_of(values, page_in_window);
    RC_ASSERT(find.in_window(values.data(), values.size(), window, found.data()) == all_there);
    for (std::size_t k = 0; k < values.size(); ++k) {
      const std::uint32_t page = page_in_window(values[k]);
      RC_ASSERT(find.in_window(&values[k], 1, window, &found[k]) == (page != 0));
      if (page != 0) RC_ASSERT(found[k] == counter(page, values[k]));
    }
    std::vector<T> inside;
    for (std::size_t k = 0; k < values.size(); ++k) {
      const word_of<T> fraction = bits(values[k]) % (word_of<T>{1} << (limits_digits<T> - 1));
      const auto there = static_cast<word_of<T>>(window + k * 7 % 16) << (limits_digits<T> - 1);
      const T x = std::bit_cast<T>(there | fraction);
      inside.push_back(k % 3 == 0 ? -x : x);
    }
    RC_ASSERT(find.in_window(inside.data(), inside.size(), window, found.data()));
    for (std::size_t k = 0; k < inside.size(); ++k)
      RC_ASSERT(found[k] == counter(page_in_window(inside[k]), inside[k]));
    const std::size_t without = *rc::gen::inRange<std::size_t>(0, values.size());
    const std::uint16_t page = std::exchange(page_of[group(values[without])], std::uint16_t{0});
    RC_ASSERT(!find.by_page(values.data(), values.size(), page_of.data(), found.data()));
    page_of[group(values[without])] = page;
  }
}

RC_GTEST_PROP(Quantiles, FindTheSameCountersWithAllInstructions, ()) {
  find_counters_of_any<double>();
}
RC_GTEST_PROP(Quantiles, OfFloatFindTheSameCountersWithAllInstructions, ()) {
  find_counters_of_any<float>();
}

// As after an exception: the published bytes come back, and behind them is what was there.
TEST(Quantiles, NeedNothingBehindTheLiveBytesOfAState) {
  std::vector<double> values(1000);
  shard::random_stream(1, 0).fill_normal(values);
  quantiles<double> expected, found;
  shard::testing::state before(found), after(found);
  shard::testing::add_to(found, before, [&](auto& to) { to.add(std::span(values).first(10)); });
  std::memset(after.data(), 0xff, found.state_bytes());
  std::memcpy(after.data(), before.data(), quantiles<double>::live_bytes(before.data()));
  shard::testing::add_to(found, after, [&](auto& to) { to.add(std::span(values).subspan(10)); });
  shard::testing::merge(found, after);
  add_once(expected, [&](auto& to) { to.add(values); });
  EXPECT_EQ(found, expected);
}

TEST(Quantiles, PublishLittleOfOrdinaryNumbers) {
  std::vector<double> values(100'000);
  shard::random_stream(1, 0).fill_normal(values);
  quantiles<double> counted;
  shard::testing::state state(counted);
  shard::testing::add_to(counted, state, [&](auto& to) { to.add(values); });
  EXPECT_LT(quantiles<double>::live_bytes(state.data()), 80u << 10);
  EXPECT_GT(counted.state_bytes(), 4u << 20);
}

TEST(ExactQuantile, OfManyEqualNumbersKeepsOneOfEach) {
  // One bucket: all of 1 to 1 + 1/128.
  std::vector<double> values;
  for (int i = 0; i < 100'000; ++i) values.push_back(1 + (i * 7 % 50) / 8192.0);
  quantiles<double> counted;
  add_once(counted, [&](auto& to) { to.add(values); });
  exact_quantile median(counted, 0.5, 50);
  EXPECT_LT(median.state_bytes(), 4096u);
  add_once(median, [&](auto& to) { to.add(values); });
  std::ranges::sort(values);
  EXPECT_EQ(median.value(), values[values.size() / 2 - 1]);
}

TEST(ExactQuantile, RefusesMoreDifferentNumbersThanItHasRoomFor) {
  std::vector<double> values;
  for (int i = 0; i < 1000; ++i) values.push_back(1 + i / 1e6);
  quantiles<double> counted;
  add_once(counted, [&](auto& to) { to.add(values); });
  exact_quantile median(counted, 0.5, 100);
  EXPECT_TRUE(mentions(refusal([&] { add_once(median, [&](auto& to) { to.add(values); }); }),
                       {"more than 100 different numbers", "more room"}));
}

TEST(ExactQuantile, RefusesOtherNumbersThanWereCounted) {
  const std::vector<double> values{1, 2, 3};
  quantiles<double> counted;
  add_once(counted, [&](auto& to) { to.add(values); });
  exact_quantile median(counted, 0.5);
  EXPECT_TRUE(mentions(refusal([&] { median.value(); }), {"found 0 numbers", "expected 1"}));
  add_once(median, [](auto& to) { to(7.0); });
  EXPECT_TRUE(mentions(refusal([&] { median.value(); }), {"found 0 numbers", "expected 1"}));
  add_once(median, [&](auto& to) { to.add(values); });
  EXPECT_EQ(median.value(), 2);
  add_once(median, [&](auto& to) { to.add(values); });
  EXPECT_TRUE(mentions(refusal([&] { median.value(); }), {"found 2 numbers", "expected 1"}));
}

}  // namespace
