#include "shard/from_boost.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <boost/histogram/accumulators/thread_safe.hpp>
#include <boost/histogram/axis/regular.hpp>
#include <boost/histogram/axis/variable.hpp>
#include <boost/histogram/make_histogram.hpp>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "refusal.hpp"
#include "shard/error.hpp"
#include "unit/states.hpp"

namespace {

namespace axis = shard::axis;
namespace bh = boost::histogram;
using shard::testing::add_once;
using shard_test::mentions;
using shard_test::refusal;

RC_GTEST_PROP(FromBoost, GivesBackWhatToBoostGave, (std::vector<std::int16_t> values)) {
  shard::histogram bins(axis::integer(-7, 40), axis::regular(5, -3, 3), axis::category({1, 2, 3}));
  add_once(bins, [&](auto& add) {
    for (const std::int16_t x : values) add(x, x / 100.0, x & 3);
  });
  const shard::histogram again = shard::from_boost(bins.to_boost());
  RC_ASSERT(again == bins);
  RC_ASSERT(again.to_boost() == bins.to_boost());
}

// What each of Boost's storages has counted.
template <class Storage>
void expect_counts(const Storage& storage) {
  auto filled =
      bh::make_histogram_with(storage, bh::axis::regular<>(4, 0, 1), axis::category({"a", "b"}));
  for (const double x : {-1.0, 0.1, 0.1, 0.9, 7.0}) filled(x, x < 0.5 ? "a" : "elsewhere");
  const shard::histogram bins = shard::from_boost(filled);
  EXPECT_EQ(bins.at(-1, 0), 1);
  EXPECT_EQ(bins.at(0, 0), 2);
  EXPECT_EQ(bins.at(3, 2), 1);
  EXPECT_EQ(bins.at(4, 2), 1);
  EXPECT_EQ(bins.at(4, 0), 0);
}

TEST(FromBoost, TakesEveryStorageOfCounts) {
  expect_counts(bh::dense_storage<int>());
  expect_counts(bh::dense_storage<std::uint8_t>());
  expect_counts(bh::dense_storage<double>());
  expect_counts(bh::unlimited_storage<>());
  expect_counts(bh::dense_storage<bh::accumulators::thread_safe<std::uint64_t>>());
}

TEST(FromBoost, TakesAxesWithoutUnderflowAndOverflow) {
  using none = bh::axis::option::none_t;
  auto filled =
      bh::make_histogram(bh::axis::variable<double, bh::use_default, none>({0.0, 1.0, 3.0}));
  for (const double x : {-1.0, 0.5, 2.0, 2.5, 4.0}) filled(x);
  const shard::histogram bins = shard::from_boost(filled);
  EXPECT_EQ(bins.at(0), 1);
  EXPECT_EQ(bins.at(1), 2);
  EXPECT_THROW(bins.at(2), shard::error);
}

TEST(FromBoost, RefusesWhatIsNoIntegerOf64Bits) {
  auto fractions = bh::make_histogram_with(bh::dense_storage<double>(), axis::integer(0, 3),
                                           axis::integer(0, 2));
  fractions.at(1, -1) = 2.5;
  EXPECT_EQ(refusal([&] { shard::from_boost(fractions); }),
            "cannot take a histogram of Boost's: found 2.5 in bin 1 -1, expected an integer of 64 "
            "bits, and in floating point one up to 2^53");
  for (const double x : {0x1p54, -0x1p54, std::numeric_limits<double>::infinity(),
                         std::numeric_limits<double>::quiet_NaN()}) {
    fractions.at(1, -1) = x;
    EXPECT_TRUE(mentions(refusal([&] { shard::from_boost(fractions); }), {"in bin 1 -1"})) << x;
  }
  auto large = bh::make_histogram_with(bh::dense_storage<std::uint64_t>(), axis::integer(0, 3));
  large.at(2) = std::uint64_t{1} << 63;
  EXPECT_TRUE(mentions(refusal([&] { shard::from_boost(large); }), {"9.22337e+18 in bin 2"}));
  large.at(2) = (std::uint64_t{1} << 63) - 1;
  EXPECT_EQ(shard::from_boost(large).at(2), std::numeric_limits<std::int64_t>::max());
}

}  // namespace
