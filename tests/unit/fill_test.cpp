// Histograms that are given many values at once: the same bins as one by one.

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <boost/histogram/axis/regular.hpp>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "axes.hpp"
#include "mapping/regular_places.hpp"
#include "refusal.hpp"
#include "shard/error.hpp"
#include "shard/histogram.hpp"
#include "shard/slice.hpp"
#include "shard/text.hpp"
#include "unit/states.hpp"

namespace {

namespace axis = shard::axis;
using shard::testing::add_once;
using shard::testing::any_shape;
using shard::testing::hardest_values;
using shard::testing::shape;
using shard::testing::unusual_values;

template <class Bins, class... Values>
Bins one_by_one(const Bins& empty, const Values&... values) {
  Bins bins = empty;
  add_once(bins, [&](auto& to) {
    const std::size_t count = std::get<0>(std::tie(values...)).size();
    for (std::size_t i = 0; i < count; ++i) to(values[i]...);
  });
  return bins;
}

template <class Bins, class... Values>
Bins at_once(const Bins& empty, const Values&... values) {
  Bins bins = empty;
  add_once(bins, [&](auto& to) { to.fill(values...); });
  return bins;
}

std::vector<double> hard_values(const axis::regular_axis& along, std::mt19937_64& random,
                                std::size_t count) {
  std::vector<double> all = hardest_values(along, random, 0, along.size());
  for (const double x : unusual_values()) all.push_back(x);
  std::vector<double> values(count);
  for (double& x : values) x = all[random() % all.size()];
  return values;
}

RC_GTEST_PROP(RegularAxis, FindsTheSamePlacesWithAllInstructions, (std::uint64_t seed)) {
  std::mt19937_64 random(seed);
  for (int i = 0; i < 5; ++i) {
    const shape made = any_shape(random);
    const auto along = axis::regular(made.bins, made.low, made.high);
    const shard::detail::equal_bins bins("regular", made.bins, made.low, made.high, 1.0);
    RC_LOG() << made.bins << " bins from " << made.low << " to " << made.high << "\n";
    const std::vector<double> values = hard_values(along, random, 200 + random() % 20);
    std::vector<std::uint32_t> places(values.size());
    along.places(values.data(), values.size(), places.data());
    for (std::size_t k = 0; k < values.size(); ++k)
      RC_ASSERT(static_cast<int>(places[k]) == along.index(values[k]) + 1);
    if (!bins.is_fine()) continue;
    for (const auto find : shard::mapping::place_finders()) {
      find(along, bins, values.data(), values.size(), places.data());
      for (std::size_t k = 0; k < values.size(); ++k)
        RC_ASSERT(static_cast<int>(places[k]) == along.index(values[k]) + 1);
    }
  }
}

RC_GTEST_PROP(Fill, OfOneAxisIsAsOneByOne, (std::uint64_t seed)) {
  std::mt19937_64 random(seed);
  const shape made = any_shape(random);
  const auto along = axis::regular(made.bins, made.low, made.high);
  const shard::histogram empty(along);
  for (const std::size_t count : {0U, 1U, 7U, 511U, 512U, 513U, 5000U}) {
    const std::vector<double> values = hard_values(along, random, count);
    RC_ASSERT(at_once(empty, values) == one_by_one(empty, values));
  }
}

// Of few bins there are several copies, of many ones none; those of very many are fetched ahead.
TEST(Fill, OfAnyNumberOfBinsIsAsOneByOne) {
  std::mt19937_64 random(7);
  std::vector<double> values(20'000);
  for (double& x : values) x = static_cast<double>(random() >> 11) * 0x1p-53 * 1.1 - 0.05;
  for (const std::int64_t bins : {1, 2, 100, 1022, 1023, 5000, 100'000}) {
    const shard::histogram empty(axis::regular(bins, 0, 1));
    EXPECT_EQ(at_once(empty, values), one_by_one(empty, values)) << bins;
  }
  const std::vector<double> equal(20'000, 0.5);
  const shard::histogram empty(axis::regular(10, 0, 1));
  EXPECT_EQ(at_once(empty, equal).at(5), 20'000);
}

template <class T>
class FillOf : public testing::Test {};
using numbers =
    testing::Types<bool, std::int8_t, std::uint8_t, std::int16_t, std::uint16_t, std::int32_t,
                   std::uint32_t, std::int64_t, std::uint64_t, float, double, long double>;
TYPED_TEST_SUITE(FillOf, numbers);

TYPED_TEST(FillOf, EveryTypeOfNumberIsAsOneByOne) {
  using limits = std::numeric_limits<TypeParam>;
  std::mt19937_64 random(11);
  std::vector<TypeParam> some{limits::lowest(), limits::max(), TypeParam(0), TypeParam(1)};
  for (int k = 0; k < 600; ++k) some.push_back(static_cast<TypeParam>(random() % 120));
  const auto check = [](const auto& empty, const auto& all) {
    shard::histogram<std::remove_cvref_t<decltype(empty.axis())>> bins = empty, expected = empty;
    add_once(bins, [&](auto& to) { to.fill(all); });
    add_once(expected, [&](auto& to) {
      for (const TypeParam x : all) to(x);
    });
    EXPECT_EQ(bins, expected);
  };
  // A vector of bools has none that lie side by side.
  const auto values = std::make_unique<TypeParam[]>(some.size());
  for (std::size_t k = 0; k < some.size(); ++k) values[k] = some[k];
  const std::span<const TypeParam> all(values.get(), some.size());
  check(shard::histogram(axis::regular(50, 0, 100)), all);
  check(shard::histogram(axis::regular(4, 0x1p63, 0x1p64)), all);
  check(shard::histogram(axis::circular(24, 0, 24)), all);
  check(shard::histogram(axis::logarithmic(30, 0.5, 1e5)), all);
  check(shard::histogram(axis::variable({0, 1, 2.5, 100, 1e300})), all);
  if constexpr (std::is_integral_v<TypeParam>) {
    check(shard::histogram(axis::integer(-5, 90)), all);
    check(shard::histogram(axis::category({3, 1, 99})), all);
  }
}

RC_GTEST_PROP(Fill, OfSeveralAxesIsAsOneByOne, (std::uint64_t seed)) {
  std::mt19937_64 random(seed);
  const auto x_axis = axis::regular(30, -1, 1);
  namespace ba = boost::histogram::axis;
  using inner = ba::regular<double, boost::use_default, ba::null_type, ba::option::none_t>;
  const shard::histogram plane(x_axis, axis::regular(20, 0, 3));
  const shard::histogram space(x_axis, axis::integer(0, 5), axis::category({"a", "b"}));
  const shard::histogram parts(inner(4, 0, 1), axis::regular(5, 0, 1), inner(3, -1, 1));
  const std::size_t count = random() % 2000;
  const std::vector<double> x = hard_values(x_axis, random, count);
  std::vector<float> y(count);
  std::vector<int> k(count);
  std::vector<shard::text<2>> t(count);
  for (std::size_t i = 0; i < count; ++i) {
    y[i] = static_cast<float>(random() % 100) / 25 - 0.5f;
    k[i] = static_cast<int>(random() % 8) - 1;
    t[i] = shard::text<2>(std::string(1, static_cast<char>('a' + random() % 3)));
  }
  RC_ASSERT(at_once(plane, x, y) == one_by_one(plane, x, y));
  RC_ASSERT(at_once(space, x, k, t) == one_by_one(space, x, k, t));
  RC_ASSERT(at_once(parts, x, y, x) == one_by_one(parts, x, y, x));
}

TEST(Fill, TakesWhatLiesInAnyForm) {
  const std::vector<double> values{0.1, 1.1, 2.1, 3.1, 4.1, 5.1, 6.1, 7.1};
  const shard::histogram empty(axis::regular(8, 0, 8));
  const auto counts = [&](const auto& given) {
    const auto filled = at_once(empty, given).counts();
    return std::vector<std::int64_t>(filled.begin(), filled.end());
  };
  using expected = std::vector<std::int64_t>;
  const shard::strided_view<const double, 2> table(values.data(), {4, 2});
  EXPECT_EQ(counts(std::span(values).subspan(6)), (expected{0, 0, 0, 0, 0, 0, 1, 1}));
  EXPECT_EQ(counts(std::array{2.5f, 2.75f}), (expected{0, 0, 2, 0, 0, 0, 0, 0}));
  EXPECT_EQ(counts(shard::view<double>(values.data(), {8})), (expected{1, 1, 1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(counts(table.transposed().row(1)), (expected{0, 1, 0, 1, 0, 1, 0, 1}));
  EXPECT_EQ(counts(std::vector<double>()), (expected{0, 0, 0, 0, 0, 0, 0, 0}));
}

TEST(Fill, AddsToWhatIsThereAndWrapsAround) {
  using limits = std::numeric_limits<std::int64_t>;
  shard::histogram bins(axis::integer(0, 2));
  add_once(bins, [](auto& to) {
    to.add(limits::max(), 1);
    to.fill(std::vector<int>(100, 1));
    to(0);
  });
  EXPECT_EQ(bins.at(1), limits::min() + 99);
  EXPECT_EQ(bins.at(0), 1);
}

TEST(Fill, RefusesMoreValuesForOneAxisThanForAnother) {
  shard::histogram bins(axis::integer(0, 2), axis::integer(0, 2));
  const std::string said = shard_test::refusal([&] {
    add_once(bins, [](auto& to) { to.fill(std::vector<int>{1, 0}, std::vector<int>{1}); });
  });
  EXPECT_EQ(said,
            "cannot fill the histogram: found 1 values in argument 1, expected 2 as in argument 0");
}

}  // namespace
