// exact_test.cpp compares these states with MPFR. Here: that reducers give what the states give,
// whatever the chunks, and however the numbers are added.

#include "shard/moments.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "unit/states.hpp"

namespace {

using shard::testing::add_once;
using shard::testing::random_chunks;
using shard::testing::reduce_in_chunks;

std::uint64_t bits(double x) { return std::bit_cast<std::uint64_t>(x); }

using pair = std::pair<double, double>;

std::vector<double> firsts(const std::vector<pair>& of) {
  std::vector<double> all;
  for (const pair& one : of) all.push_back(one.first);
  return all;
}
std::vector<double> seconds(const std::vector<pair>& of) {
  std::vector<double> all;
  for (const pair& one : of) all.push_back(one.second);
  return all;
}

const auto give = [](auto& to, const auto& x) { to(x); };
const auto give_both = [](auto& to, const pair& one) { to(one.first, one.second); };

RC_GTEST_PROP(Dot, IsThatOfTheVectors, (const std::vector<pair>& values)) {
  shard::dot<double> found, whole;
  reduce_in_chunks(found, random_chunks(values), give_both);
  const auto x = firsts(values);
  const auto y = seconds(values);
  add_once(whole, [&](auto& to) { to.add(x, y); });
  const double expected = shard::exact::dot(x, y);
  RC_ASSERT(bits(found.value()) == bits(expected));
  RC_ASSERT(bits(whole.value()) == bits(expected));
  RC_ASSERT(found == whole);
}

RC_GTEST_PROP(Norm2, IsThatOfTheVector, (const std::vector<double>& values)) {
  shard::norm2<double> found, whole;
  reduce_in_chunks(found, random_chunks(values), give);
  add_once(whole, [&](auto& to) { to.add(values); });
  const double expected = shard::exact::norm2(values);
  RC_ASSERT(bits(found.value()) == bits(expected));
  RC_ASSERT(bits(whole.value()) == bits(expected));
}

RC_GTEST_PROP(MeanVariance, IsThatOfTheNumbers, (const std::vector<float>& values)) {
  shard::exact::mean_variance_state expected;
  expected.add(values);
  shard::mean_variance<float> found;
  reduce_in_chunks(found, random_chunks(values), give);
  RC_ASSERT(found.count() == values.size());
  RC_ASSERT(bits(found.mean()) == bits(expected.mean()));
  RC_ASSERT(bits(found.variance()) == bits(expected.variance()));
  RC_ASSERT(bits(found.deviation()) == bits(expected.deviation()));
  RC_ASSERT(bits(found.error()) == bits(expected.error()));
  RC_ASSERT(bits(found.population_variance()) == bits(expected.population_variance()));
  RC_ASSERT(bits(found.population_deviation()) == bits(expected.population_deviation()));
}

TEST(MeanVariance, OfThreeNumbers) {
  shard::mean_variance<double> found;
  add_once(found, [](auto& to) { to(1), to(2), to(6); });
  EXPECT_EQ(found.count(), 3U);
  EXPECT_EQ(found.mean(), 3);
  EXPECT_EQ(found.variance(), 7);
  EXPECT_EQ(found.population_variance(), 14.0 / 3);
  EXPECT_EQ(found.deviation(), std::sqrt(7.0));
}

TEST(MeanVariance, OfNothingAndOfOneNumberHasNone) {
  shard::mean_variance<double> found;
  EXPECT_TRUE(std::isnan(found.mean()));
  add_once(found, [](auto& to) { to(5); });
  EXPECT_EQ(found.mean(), 5);
  EXPECT_TRUE(std::isnan(found.variance()));
  EXPECT_EQ(found.population_variance(), 0);
}

RC_GTEST_PROP(Covariance, IsThatOfThePairs, (const std::vector<pair>& values)) {
  const auto x = firsts(values);
  const auto y = seconds(values);
  shard::exact::covariance_state expected;
  expected.add(x, y);
  shard::covariance<double> found;
  reduce_in_chunks(found, random_chunks(values), give_both);
  RC_ASSERT(found.count() == values.size());
  RC_ASSERT(bits(found.value()) == bits(expected.covariance()));
  RC_ASSERT(bits(found.correlation()) == bits(expected.correlation()));
}

}  // namespace
