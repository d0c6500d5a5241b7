// Weighted histograms and profiles, each bin compared with MPFR.

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include "exact/hard_cases.hpp"
#include "exact/oracle.hpp"
#include "shard/axis.hpp"
#include "shard/profile.hpp"
#include "shard/weighted_histogram.hpp"
#include "unit/states.hpp"

namespace {

namespace axis = shard::axis;
using shard::testing::add_to;
using shard::testing::merge;
using shard::testing::state;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::uint64_t bits(double x) { return std::bit_cast<std::uint64_t>(x); }

constexpr int bins = 3;
using weighted = shard::weighted_histogram<axis::integer_axis>;
using profile = shard::profile<axis::integer_axis>;

weighted no_weights() { return weighted(axis::integer(0, bins)); }
profile no_samples() { return profile(axis::integer(0, bins)); }

const auto give_weight = [](auto& to, int bin, double x) { to.add(bin, shard::weight(x)); };
const auto give_sample = [](auto& to, int bin, double x) { to(bin, shard::sample(x)); };
const auto fill_weights = [](auto& to, const auto& in, const auto& x) {
  to.fill(in, shard::weight(x));
};
const auto fill_samples = [](auto& to, const auto& in, const auto& x) {
  to.fill(in, shard::sample(x));
};

// In parts of any size, by several workers that take turns.
template <class Bins, class Give, class Fill>
Bins added_in_parts(Bins to, const std::vector<int>& in, const std::vector<double>& x,
                    shard_test::hard_cases& cases, Give give, Fill fill) {
  std::vector<state> states;
  for (std::size_t k = 0; k < 1 + cases.below(3); ++k) states.emplace_back(to);
  for (std::size_t first = 0; first < x.size();) {
    const std::size_t count = std::min(x.size() - first, 1 + cases.below(100));
    add_to(to, states[cases.below(states.size())], [&](auto& part) {
      if (cases.chance(2)) {
        fill(part, std::span(in).subspan(first, count), std::span(x).subspan(first, count));
      } else {
        for (std::size_t k = first; k < first + count; ++k) give(part, in[k], x[k]);
      }
    });
    first += count;
  }
  for (state& each : states) merge(to, each);
  return to;
}

TEST(MomentBins, AreThoseOfMpfr) {
  shard_test::oracle oracle;
  for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
    SCOPED_TRACE(seed);
    shard_test::hard_cases cases(seed);
    const std::vector<double> x = cases.numbers(cases.length());
    std::vector<int> in(x.size());
    std::vector<std::vector<double>> of(bins);
    for (std::size_t k = 0; k < x.size(); ++k) {
      in[k] = static_cast<int>(cases.below(bins));
      of[static_cast<std::size_t>(in[k])].push_back(x[k]);
    }
    const weighted sums = added_in_parts(no_weights(), in, x, cases, give_weight, fill_weights);
    const profile means = added_in_parts(no_samples(), in, x, cases, give_sample, fill_samples);
    ASSERT_EQ(sums, added_in_parts(no_weights(), in, x, cases, give_weight, fill_weights));
    ASSERT_EQ(means, added_in_parts(no_samples(), in, x, cases, give_sample, fill_samples));
    for (int k = 0; k < bins; ++k) {
      const std::vector<double>& its = of[static_cast<std::size_t>(k)];
      const shard::weighted_bin found = sums.at(k);
      ASSERT_EQ(found.count, its.size());
      shard::exact::sum_state sum;  // knows of zeros, which MPFR's sums don't
      sum.add(its);
      ASSERT_EQ(bits(found.sum), bits(sum.value()));
      if (its.empty()) continue;
      if (found.sum != 0) {
        ASSERT_EQ(bits(found.sum), bits(oracle.sum(its)));
      }
      ASSERT_EQ(bits(found.variance), bits(oracle.dot(its, its)));
      ASSERT_EQ(means.at(k).count(), its.size());
      if (found.sum != 0) {
        ASSERT_EQ(bits(means.at(k).mean()), bits(oracle.mean(its)));
      }
      if (its.size() > 1) {
        ASSERT_EQ(bits(means.at(k).variance()), bits(oracle.variance(its)));
      }
    }
  }
}

// The sums of numbers at the upper end of a window leave it.
TEST(MomentBins, HoldManyNumbersThatAreMuchLargerThanTheFirstOne) {
  for (const double large : {0x1p20, 0x1p24, 0x1.fffffffffffffp31, 0x1p31, -0x1p32, 0x1p33}) {
    std::vector<double> x{1.0};
    x.insert(x.end(), 5000, large);
    x.push_back(0x1p-35);
    weighted all = no_weights();
    shard::testing::add_once(all, [&](auto& to) {
      to.fill(std::vector<int>(x.size(), 1), shard::weight(x));
      to.fill(std::vector<int>(x.size(), 1), shard::weight(x));
    });
    shard_test::oracle oracle;
    x.insert(x.end(), x.begin(), x.begin() + static_cast<std::ptrdiff_t>(x.size()));
    EXPECT_EQ(all.at(1).sum, oracle.sum(x));
    EXPECT_EQ(all.at(1).variance, oracle.dot(x, x));
  }
}

// Workers whose windows differ.
TEST(MomentBins, MergeWhereverTheirWindowsAre) {
  shard_test::oracle oracle;
  for (int a = -1074; a < 1020; a += 37) {
    for (const int apart : {-200, -64, -30, -8, 0, 1, 8, 20, 63, 64, 130}) {
      const std::vector<double> first(3, std::ldexp(1.25, a));
      const std::vector<double> second(3, -std::ldexp(1.5, std::min(a + apart, 1000)));
      std::vector<double> both = first;
      both.insert(both.end(), second.begin(), second.end());
      weighted all = no_weights();
      state one(all), other(all);
      add_to(all, one, [&](auto& to) { fill_weights(to, std::vector<int>(3, 0), first); });
      add_to(all, other, [&](auto& to) { fill_weights(to, std::vector<int>(3, 0), second); });
      weighted reverse = all;
      merge(all, one);
      merge(all, other);
      merge(reverse, other);
      merge(reverse, one);
      EXPECT_EQ(all, reverse);
      if (all.at(0).sum != 0) {
        EXPECT_EQ(bits(all.at(0).sum), bits(oracle.sum(both)));
      }
      EXPECT_EQ(bits(all.at(0).variance), bits(oracle.dot(both, both)));
    }
  }
}

TEST(MomentBins, HaveTheSpecialValuesOfSums) {
  const auto of = [](std::vector<double> x) {
    weighted all = no_weights();
    shard::testing::add_once(all, [&](auto& to) {
      for (const double w : x) to.add(0, shard::weight(w));
    });
    return all.at(0);
  };
  EXPECT_EQ(bits(of({}).sum), bits(0.0));
  EXPECT_EQ(bits(of({-0.0, -0.0}).sum), bits(-0.0));
  EXPECT_EQ(bits(of({-0.0, 0.0}).sum), bits(0.0));
  EXPECT_EQ(bits(of({-0.0, 1.0, -1.0}).sum), bits(0.0));
  EXPECT_EQ(bits(of({-0.0}).variance), bits(0.0));
  EXPECT_EQ(of({1.0, infinity}).sum, infinity);
  EXPECT_EQ(of({1.0, -infinity}).sum, -infinity);
  EXPECT_EQ(of({1.0, -infinity}).variance, infinity);
  EXPECT_EQ(bits(of({infinity, -infinity}).sum), bits(nan));
  EXPECT_EQ(of({infinity, -infinity}).variance, infinity);
  EXPECT_EQ(bits(of({nan, infinity}).variance), bits(nan));
  EXPECT_EQ(of({nan, 1.0, infinity, -0.0, 5e-324}).count, 5U);
  EXPECT_EQ(of({5e-324, 5e-324}).sum, 1e-323);
  EXPECT_EQ(of({1e-200}).variance, 0.0);
  EXPECT_EQ(of({1e200}).variance, infinity);
  EXPECT_EQ(of({0x1p1023, 0x1p1023, -0x1p1023}).sum, 0x1p1023);
}

// Who publishes a state copies no more than its live bytes, over what was there before.
TEST(MomentBins, HoldNothingBehindTheirLiveBytes) {
  shard_test::hard_cases cases(3);
  for (int round = 0; round < 100; ++round) {
    weighted all = no_weights();
    weighted again = all;
    state first(all), copy(all);
    const auto add = [&](state& to, const std::vector<double>& x) {
      add_to(all, to, [&](auto& a) {
        for (std::size_t k = 0; k < x.size(); ++k) give_weight(a, int(k % bins), x[k]);
      });
    };
    add(first, cases.numbers(cases.below(20)));
    const std::size_t live = weighted::live_bytes(first.data());
    EXPECT_LE(live, all.state_bytes());
    std::memset(copy.data(), 0xa5, all.state_bytes());
    std::memcpy(copy.data(), first.data(), live);
    const std::vector<double> more = cases.numbers(20);
    add(first, more);
    add(copy, more);
    merge(all, first);
    merge(again, copy);
    EXPECT_EQ(all, again);
  }
}

TEST(MomentBins, OfOrdinaryNumbersTakeOneCacheLineEach) {
  shard::weighted_histogram all(axis::regular(100, 0, 1));
  state one(all);
  std::mt19937_64 random(1);
  std::normal_distribution<double> normal;
  add_to(all, one, [&](auto& to) {
    for (int k = 0; k < 100'000; ++k) {
      to.add(static_cast<double>(random() >> 11) * 0x1p-53, shard::weight(normal(random)));
    }
  });
  EXPECT_LE(weighted::live_bytes(one.data()), 64U + 102U * 64U + 2U * 824U);
}

}  // namespace
