#include "shard/reduce.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <compare>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <numeric>
#include <vector>

#include "refusal.hpp"
#include "shard/error.hpp"
#include "unit/states.hpp"

namespace {

using shard::testing::random_chunks;
using shard::testing::reduce_in_chunks;
using shard::testing::split;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::uint64_t bits(double x) { return std::bit_cast<std::uint64_t>(x); }

const auto plus = [](auto& total, auto x) { total += x; };
const auto offer = [](auto& best, auto x) { best(x); };

// A reducer as a user would write one from the comment in reduce.hpp: the greatest common divisor.
class common_divisor {
 public:
  class accumulator;
  static constexpr bool ordered = false;

  std::uint64_t value() const { return value_; }
  std::size_t state_bytes() const { return sizeof(std::uint64_t); }
  void start(std::byte*) const {}
  void merge(const accumulator& part);

 private:
  std::uint64_t value_ = 0;
};

class common_divisor::accumulator {
 public:
  accumulator(const common_divisor&, const std::byte* state) { std::memcpy(&value_, state, 8); }
  accumulator(const accumulator&) = delete;
  void operator()(std::uint64_t x) { value_ = std::gcd(value_, x); }
  void store(std::byte* state) const { std::memcpy(state, &value_, 8); }

 private:
  friend common_divisor;
  std::uint64_t value_;
};

void common_divisor::merge(const accumulator& part) { value_ = std::gcd(value_, part.value_); }

static_assert(shard::reducer<shard::sum<float>> && shard::reducer<shard::counter>);
static_assert(shard::reducer<shard::minimum<char>> && shard::reducer<shard::maximum<long double>>);
static_assert(shard::reducer<common_divisor>);
static_assert(!shard::reducer<int> && !shard::reducer<std::vector<int>>);

struct copyable_accumulator {
  struct accumulator {
    accumulator(const copyable_accumulator&, std::byte*) {}
    void store(std::byte*) const {}
  };
  static constexpr bool ordered = true;
  std::size_t state_bytes() const { return 1; }
  void start(std::byte*) const {}
  void merge(const accumulator&) {}
};
static_assert(!shard::reducer<copyable_accumulator>);

TEST(Reducer, WrittenByAUserGivesWhatTheSerialLoopGives) {
  common_divisor divisor;
  reduce_in_chunks(divisor, split<std::uint64_t>({84, 36, 120, 60, 24}, {2, 3}), offer);
  EXPECT_EQ(divisor.value(), 12u);
}

RC_GTEST_PROP(Sum, OfIntegersIsTheSerialSumWhateverTheChunks, (std::vector<std::int64_t> values)) {
  shard::sum<std::int64_t> total;
  reduce_in_chunks(total, random_chunks(values), plus);
  std::uint64_t expected = 0;
  for (const std::int64_t x : values) expected += static_cast<std::uint64_t>(x);
  RC_ASSERT(total.value() == static_cast<std::int64_t>(expected));
}

// The oracle adds each chunk from left to right, and then the chunks: what the documentation says.
RC_GTEST_PROP(OrderedSum, AddsChunksAndThenTheirSumsToTheLastBit, (std::vector<double> values)) {
  const auto chunks = random_chunks(values);
  double expected = 0;
  for (const auto& chunk : chunks) {
    double partial = 0;
    for (const double x : chunk) partial += x;
    expected += partial;
  }
  shard::ordered_sum<double> total;
  reduce_in_chunks(total, chunks, plus);
  RC_ASSERT(bits(total.value()) == bits(expected));
}

RC_GTEST_PROP(OrderedSum, OfASpanHasTheBitsOfTheLoop, (std::vector<float> values)) {
  shard::ordered_sum<float> looped, whole;
  reduce_in_chunks(looped, split(values, {}), plus);
  shard::testing::add_once(whole, [&](auto& total) { total.add(values); });
  RC_ASSERT(std::bit_cast<std::uint32_t>(looped.value()) ==
            std::bit_cast<std::uint32_t>(whole.value()));
}

TEST(OrderedSum, GoesOnFromItsInitialValue) {
  shard::ordered_sum total(0.25L);
  reduce_in_chunks(total, split<long double>({1, 2}, {1}), plus);
  EXPECT_EQ(total.value(), 3.25L);
}

// exact_test.cpp compares these functions with MPFR. Here: that chunks, and ways to add, make no
// difference.
RC_GTEST_PROP(Sum, OfDoublesHasTheSameBitsWhateverTheChunks, (std::vector<double> values)) {
  shard::sum<double> total, whole;
  reduce_in_chunks(total, random_chunks(values), plus);
  shard::testing::add_once(whole, [&](auto& to) { to.add(values); });
  const double expected = shard::exact::sum(values);
  RC_ASSERT(bits(total.value()) == bits(expected));
  RC_ASSERT(bits(whole.value()) == bits(expected));
  RC_ASSERT(total == whole);
}

TEST(Sum, OfDoublesIsRoundedOnce) {
  const std::vector<double> values{1, 1e100, 1, -1e100};
  shard::sum<double> total(0.5);
  reduce_in_chunks(total, split(values, {1, 2, 3}), plus);
  EXPECT_EQ(total.value(), 2.5);
}

TEST(Sum, OfFloatsIsRoundedToAFloat) {
  shard::sum<float> total;
  reduce_in_chunks(total, split<float>({16777216, 1, 1}, {1, 2}), plus);
  EXPECT_EQ(total.value(), 16777218.0f);
}

TEST(Sum, OfDoublesTakesNumbersOfOtherTypes) {
  shard::sum<double> total;
  const std::vector<float> floats{0.5f, 0.25f};
  const std::vector<int> whole{1, 2, 3};
  shard::testing::add_once(total, [&](auto& to) {
    to.add(floats);
    to.add(whole);
    to += 1;
  });
  EXPECT_EQ(total.value(), 7.75);
}

// Ordinary numbers take little of a state.
TEST(Sum, OfDoublesPublishesWhatCounts) {
  shard::sum<double> total;
  shard::testing::state on(total);
  shard::testing::add_to(total, on, [](auto& to) { to += 1.5, to += 1e6; });
  EXPECT_LE(shard::sum<double>::live_bytes(on.data()), 64U);
  EXPECT_GT(total.state_bytes(), 256U);
  shard::testing::add_to(total, on, [](auto& to) { to += 1e300, to += 1e-300; });
  EXPECT_GT(shard::sum<double>::live_bytes(on.data()), 200U);
}

TEST(Sum, GoesOnFromItsInitialValueAndFromAnEarlierMap) {
  shard::sum<int> total(10);
  std::vector<int> values(20);
  std::iota(values.begin(), values.end(), 1);
  reduce_in_chunks(total, split(values, {7, 8, 15}), plus);
  EXPECT_EQ(total.value(), 220);
  reduce_in_chunks(total, split(values, {}), plus);
  EXPECT_EQ(total.value(), 430);
}

TEST(Sum, OfNothingIsTheInitialValue) {
  shard::sum<double> total(-0.5);
  reduce_in_chunks(total, split<double>({}, {}), plus);
  EXPECT_EQ(total.value(), -0.5);
  EXPECT_EQ(shard::sum<int>().value(), 0);
}

TEST(Sum, OfIntegersWrapsAroundInEveryWidth) {
  shard::sum<std::int8_t> narrow;
  reduce_in_chunks(narrow, split<std::int8_t>({127, 1}, {1}), plus);
  EXPECT_EQ(narrow.value(), -128);

  shard::sum<std::uint8_t> byte;
  reduce_in_chunks(byte, split<std::uint8_t>({255, 1}, {}), plus);
  EXPECT_EQ(byte.value(), 0);

  using wide_limits = std::numeric_limits<std::int64_t>;
  shard::sum<std::int64_t> wide(wide_limits::min());
  reduce_in_chunks(wide, split<std::int64_t>({-1}, {}), plus);
  EXPECT_EQ(wide.value(), wide_limits::max());
}

RC_GTEST_PROP(CheckedSum, IsTheTrueSumOrTellsOfIt, (std::vector<std::int64_t> values)) {
  shard::checked_sum<std::int64_t> total, whole;
  reduce_in_chunks(total, random_chunks(values), plus);
  shard::testing::add_once(whole, [&](auto& to) { to.add(values); });
  shard::detail::int128 expected = 0;
  for (const std::int64_t x : values) expected += x;
  RC_ASSERT(total == whole);
  RC_ASSERT(total.overflows() == (expected != static_cast<std::int64_t>(expected)));
  if (!total.overflows()) RC_ASSERT(total.value() == expected);
}

TEST(CheckedSum, ComesBackFromAnOverflow) {
  shard::checked_sum<std::uint8_t> byte(std::uint8_t{200});
  reduce_in_chunks(byte, split<std::uint8_t>({55, 1}, {1}), plus);
  EXPECT_TRUE(byte.overflows());
  EXPECT_TRUE(shard_test::mentions(shard_test::refusal([&] { byte.value(); }),
                                   {"too large", "an unsigned integer of 8 bits"}));
  shard::checked_sum<std::int8_t> narrow;
  reduce_in_chunks(narrow, split<std::int8_t>({127, 1, -1, -128, -128}, {1, 3}), plus);
  EXPECT_TRUE(narrow.overflows());
  reduce_in_chunks(narrow, split<std::int8_t>({1}, {}), plus);
  EXPECT_EQ(narrow.value(), -128);
}

TEST(Sum, KeepsInfinitiesAndNaNs) {
  shard::sum<double> up, undefined;
  reduce_in_chunks(up, split<double>({1, infinity, 2}, {1}), plus);
  reduce_in_chunks(undefined, split<double>({infinity, -infinity}, {1}), plus);
  EXPECT_EQ(up.value(), infinity);
  EXPECT_TRUE(std::isnan(undefined.value()));
}

TEST(Counter, CountsOnesAndMore) {
  shard::counter hits(5);
  shard::testing::add_once(hits, [](auto& a) { ++a, a++, a += 40, a += -2; });
  EXPECT_EQ(hits.value(), 45);
}

RC_GTEST_PROP(Counter, CountsWhatTheSerialLoopCounts, (std::vector<bool> values)) {
  shard::counter hits;
  const auto chunks = random_chunks(std::vector<char>(values.begin(), values.end()));
  reduce_in_chunks(hits, chunks, [](auto& a, char hit) {
    if (hit) ++a;
  });
  RC_ASSERT(hits.value() == std::count(values.begin(), values.end(), true));
}

RC_GTEST_PROP(Extremes, OfIntegersAreTheSerialOnes, (std::vector<std::int32_t> values)) {
  shard::minimum<std::int32_t> smallest;
  shard::maximum<std::int32_t> largest;
  reduce_in_chunks(smallest, random_chunks(values), offer);
  reduce_in_chunks(largest, random_chunks(values), offer);
  RC_ASSERT(smallest.empty() == values.empty());
  RC_ASSERT(largest.empty() == values.empty());
  if (values.empty()) return;
  RC_ASSERT(smallest.value() == *std::min_element(values.begin(), values.end()));
  RC_ASSERT(largest.value() == *std::max_element(values.begin(), values.end()));
}

// std::strong_order on doubles is IEEE's total order, in which -0.0 < +0.0.
RC_GTEST_PROP(Extremes, OfSpecialDoublesHaveTheSameBitsInEveryOrder, ()) {
  const auto values = *rc::gen::container<std::vector<double>>(
      rc::gen::element(0.0, -0.0, nan, infinity, -infinity, 1.0, -1.0, 5e-324));
  const auto before = [](double a, double b) { return std::strong_order(a, b) < 0; };
  std::vector<double> sorted;
  std::copy_if(values.begin(), values.end(), std::back_inserter(sorted),
               [](double x) { return !std::isnan(x); });
  std::sort(sorted.begin(), sorted.end(), before);

  shard::minimum<double> smallest;
  shard::maximum<double> largest;
  reduce_in_chunks(smallest, random_chunks(values), offer);
  reduce_in_chunks(largest, random_chunks(values), offer);
  RC_ASSERT(smallest.empty() == sorted.empty());
  RC_ASSERT(largest.empty() == sorted.empty());
  if (sorted.empty()) return;
  RC_ASSERT(bits(smallest.value()) == bits(sorted.front()));
  RC_ASSERT(bits(largest.value()) == bits(sorted.back()));
}

TEST(Extremes, OfTheFarthestValuesAreFound) {
  shard::minimum<std::int8_t> smallest;
  shard::maximum<double> largest;
  reduce_in_chunks(smallest, split<std::int8_t>({127, 127}, {1}), offer);
  reduce_in_chunks(largest, split<double>({-infinity}, {}), offer);
  EXPECT_EQ(smallest.value(), 127);
  EXPECT_EQ(largest.value(), -infinity);
}

TEST(Extremes, GoOnFromAnInitialValue) {
  shard::minimum smallest(-3.0);
  shard::maximum largest(-3.0);
  reduce_in_chunks(smallest, split<double>({1, 2}, {1}), offer);
  reduce_in_chunks(largest, split<double>({1, 2}, {1}), offer);
  EXPECT_EQ(smallest.value(), -3);
  EXPECT_EQ(largest.value(), 2);
  EXPECT_TRUE(shard::minimum<double>(nan).empty());
}

TEST(Extremes, OfNothingCannotBeRead) {
  const shard::minimum<double> smallest;
  const shard::maximum<int> largest;
  EXPECT_TRUE(smallest.empty());
  EXPECT_TRUE(largest.empty());
  try {
    smallest.value();
    FAIL() << "expected an error";
  } catch (const shard::error& e) {
    EXPECT_STREQ(e.what(), "cannot read the minimum: found no value, expected at least one");
  }
  EXPECT_THROW(largest.value(), shard::error);
}

TEST(Extremes, OverwriteWhateverWasInTheStateTheyAreStoredTo) {
  const shard::minimum<double> smallest;
  shard::testing::state blank(smallest), used(smallest);
  {
    shard::minimum<double>::accumulator a(smallest, used.data());
    a(1.0);
    a.store(used.data());
  }
  shard::minimum<double>::accumulator(smallest, blank.data()).store(used.data());
  shard::minimum<double> result;
  result.merge(shard::minimum<double>::accumulator(smallest, used.data()));
  EXPECT_TRUE(result.empty());
}

}  // namespace
