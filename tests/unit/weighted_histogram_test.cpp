// What is particular to weighted histograms and profiles. tests/exact compares their sums with
// MPFR.

#include "shard/weighted_histogram.hpp"

#include <gtest/gtest.h>

#include <array>
#include <boost/histogram/axis/regular.hpp>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "refusal.hpp"
#include "shard/error.hpp"
#include "shard/profile.hpp"
#include "shard/slice.hpp"
#include "unit/states.hpp"

namespace {

namespace axis = shard::axis;
using shard::testing::add_once;

static_assert(shard::reducer<shard::weighted_histogram<axis::regular_axis>>);
static_assert(shard::reducer<shard::profile<axis::regular_axis, axis::category_axis<int>>>);

TEST(WeightedHistogram, AddsWeightsToTheBinsOfAHistogram) {
  shard::weighted_histogram bins(axis::regular(2, 0, 2), axis::category({"a", "b"}));
  add_once(bins, [](auto& to) {
    to.add(0.5, "a", shard::weight(2.5));
    to.add(0.75, "a", shard::weight(-1));
    to.add(7.0, "z", shard::weight(0.25f));
    to(1.5, "b");
  });
  EXPECT_EQ(bins.at(0, 0), (shard::weighted_bin{2, 1.5, 7.25}));
  EXPECT_EQ(bins.at(2, 2), (shard::weighted_bin{1, 0.25, 0.0625}));
  EXPECT_EQ(bins.at(1, 1), (shard::weighted_bin{1, 1, 1}));
  EXPECT_EQ(bins.at(-1, 0), (shard::weighted_bin{0, 0, 0}));
  const auto sums = bins.sums();
  const auto variances = bins.variances();
  ASSERT_EQ(sums.shape(), (std::array<std::size_t, 2>{2, 2}));
  EXPECT_EQ(sums(0, 0), 1.5);
  EXPECT_EQ(sums(1, 1), 1);
  EXPECT_EQ(variances(0, 0), 7.25);
  EXPECT_EQ(variances(0, 1), 0);
  EXPECT_THROW(bins.at(0, -1), shard::error);
}

TEST(WeightedHistogram, FillsFromSpansViewsAndStridedParts) {
  const std::vector<double> x{0.5, 1.5, 0.5, 9.0};
  const std::vector<float> w{1, 0.5f, 2, 4};
  shard::weighted_histogram bins(axis::regular(2, 0, 2));
  add_once(bins, [&](auto& to) {
    to.fill(x, shard::weight(w));
    to.fill(shard::view<double>(x.data(), {4}), shard::weight(std::vector<int>{1, 1, 1, 1}));
    const shard::strided_view<const double, 2> table(x.data(), {2, 2});
    to.fill(table.transposed().row(0), shard::weight(table.transposed().row(0)));
  });
  EXPECT_EQ(bins.at(0), (shard::weighted_bin{6, 6, 7.5}));
  EXPECT_EQ(bins.at(1), (shard::weighted_bin{2, 1.5, 1.25}));
  EXPECT_EQ(bins.at(2), (shard::weighted_bin{2, 5, 17}));
}

TEST(WeightedHistogram, LeavesOutWhatAnAxisHasNoBinFor) {
  namespace ba = boost::histogram::axis;
  using inner = ba::regular<double, boost::use_default, ba::null_type, ba::option::none_t>;
  shard::weighted_histogram bins(inner(2, 0, 2));
  add_once(bins, [](auto& to) {
    to.add(-1.0, shard::weight(1));
    to.fill(std::vector{0.5, 2.0, 1.5, 0.25}, shard::weight(std::vector{1, 2, 4, 8}));
  });
  EXPECT_EQ(bins.at(0), (shard::weighted_bin{2, 9, 65}));
  EXPECT_EQ(bins.at(1), (shard::weighted_bin{1, 4, 16}));
}

TEST(WeightedHistogram, GoesOnFromAnEarlierMap) {
  shard::weighted_histogram bins(axis::integer(0, 2));
  for (const double w : {1.0, 1e300, -1e300})
    add_once(bins, [&](auto& to) { to.add(1, shard::weight(w)); });
  EXPECT_EQ(bins.at(1).sum, 1.0);
  EXPECT_EQ(bins.at(1).count, 3U);
  const auto copy = bins;
  EXPECT_EQ(copy, bins);
  add_once(bins, [&](auto& to) { to.add(1, shard::weight(0.0)); });
  EXPECT_NE(copy, bins);
}

TEST(WeightedHistogram, RefusesMoreWeightsThanValues) {
  shard::weighted_histogram bins(axis::integer(0, 2));
  const std::string said = shard_test::refusal([&] {
    add_once(bins, [](auto& to) {
      to.fill(std::vector<int>{1, 0}, shard::weight(std::vector<double>{1}));
    });
  });
  EXPECT_EQ(said,
            "cannot fill the histogram: found 1 values in argument 1, expected 2 as in argument 0");
}

TEST(WeightedHistogram, RefusesMoreBinsThanItCanNumber) {
  const auto wide = axis::integer(0, 100'000);
  EXPECT_EQ(shard_test::refusal([&] { shard::weighted_histogram bins(wide, wide); }),
            "cannot make the histogram: found 100002 x 100002 bins, expected at most 4294967294");
}

TEST(Profile, HasTheMomentsOfEachBin) {
  shard::profile bins(axis::integer(0, 3));
  add_once(bins, [](auto& to) {
    to(0, shard::sample(1));
    to(0, shard::sample(2.5));
    to.fill(std::vector{1, 0, 7}, shard::sample(std::vector{4.0f, 3.0f, 1.0f}));
  });
  shard::exact::mean_variance_state expected;
  expected.add(std::vector{1.0, 2.5, 3.0});
  EXPECT_EQ(bins.at(0), expected);
  EXPECT_EQ(bins.at(1).mean(), 4);
  EXPECT_EQ(bins.at(3).count(), 1U);
  const auto counts = bins.counts();
  EXPECT_EQ(std::vector(counts.begin(), counts.end()), (std::vector<std::uint64_t>{3, 1, 0}));
  EXPECT_EQ(bins.means()[0], expected.mean());
  EXPECT_EQ(bins.variances()[0], expected.variance());
  EXPECT_EQ(bins.errors()[0], expected.error());
  EXPECT_TRUE(std::isnan(bins.variances()[1]));
  EXPECT_TRUE(std::isnan(bins.means()[2]));
}

}  // namespace
