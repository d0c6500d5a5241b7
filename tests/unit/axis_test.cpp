#include "shard/axis.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <cstdint>
#include <iomanip>
#include <limits>
#include <random>
#include <sstream>
#include <string>

#include "axes.hpp"
#include "numpy.hpp"
#include "process/family.hpp"
#include "shard/error.hpp"

namespace {

namespace axis = shard::axis;
using shard::testing::any_logarithmic_shape;
using shard::testing::any_shape;
using shard::testing::expected_bin;
using shard::testing::hardest_values;
using shard::testing::shape;
using shard::testing::unusual_values;

constexpr double infinity = std::numeric_limits<double>::infinity();

RC_GTEST_PROP(RegularAxis, FindsWhatASearchInItsEdgesFinds, (std::uint64_t seed)) {
  std::mt19937_64 random(seed);
  for (int i = 0; i < 5; ++i) {
    const shape made = any_shape(random);
    const auto along = axis::regular(made.bins, made.low, made.high);
    RC_LOG() << made.bins << " bins from " << made.low << " to " << made.high << "\n";
    for (const double x : hardest_values(along, random, 0, along.size()))
      RC_ASSERT(along.index(x) == expected_bin(along, x));
    for (const double x : unusual_values()) RC_ASSERT(along.index(x) == expected_bin(along, x));
  }
}

RC_GTEST_PROP(RegularAxis, HasAscendingEdgesBetweenItsBounds, (std::uint64_t seed)) {
  std::mt19937_64 random(seed);
  const shape made = any_shape(random);
  const auto along = axis::regular(made.bins, made.low, made.high);
  RC_ASSERT(along.value(0) == made.low);
  RC_ASSERT(along.value(along.size()) == made.high);
  bool ascends = true;
  for (int k = 0; k < along.size(); ++k) ascends = ascends && along.value(k) <= along.value(k + 1);
  RC_ASSERT(ascends);
}

RC_GTEST_PROP(LogarithmicAxis, FindsWhatASearchInItsEdgesFinds, (std::uint64_t seed)) {
  std::mt19937_64 random(seed);
  for (int i = 0; i < 5; ++i) {
    const shape made = any_logarithmic_shape(random);
    const auto along = axis::logarithmic(made.bins, made.low, made.high);
    RC_LOG() << made.bins << " bins from " << made.low << " to " << made.high << "\n";
    for (const double x : hardest_values(along, random, 0, along.size()))
      RC_ASSERT(along.index(x) == expected_bin(along, x));
    for (const double x : unusual_values()) RC_ASSERT(along.index(x) == expected_bin(along, x));
  }
}

RC_GTEST_PROP(LogarithmicAxis, HasAscendingEdgesBetweenItsBounds, (std::uint64_t seed)) {
  std::mt19937_64 random(seed);
  const shape made = any_logarithmic_shape(random);
  const auto along = axis::logarithmic(made.bins, made.low, made.high);
  RC_ASSERT(along.value(0) == made.low);
  RC_ASSERT(along.value(along.size()) == made.high);
  bool ascends = true;
  const int step = shard_test::sanitized ? 61 : 1;  // or it takes long
  for (int k = 0; k < along.size(); k += step) {
    const double between = along.value(k + 0.5);
    ascends = ascends && along.value(k) <= between && between <= along.value(k + 1);
  }
  RC_ASSERT(ascends);
}

RC_GTEST_PROP(CircularAxis, FindsWhatASearchInItsEdgesFinds, (std::uint64_t seed)) {
  std::mt19937_64 random(seed);
  for (int i = 0; i < 5; ++i) {
    const shape made = any_shape(random);
    const auto along = axis::circular(made.bins, made.low, made.high);
    RC_LOG() << made.bins << " bins from " << made.low << " to " << made.high << "\n";
    for (const double x : hardest_values(along, random, 0, along.size())) {
      if (x >= made.low && x < made.high) RC_ASSERT(along.index(x) == expected_bin(along, x, 0));
    }
    for (const double x : {infinity, -infinity, shard::testing::not_a_number})
      RC_ASSERT(along.index(x) == along.size());
    for (const double x : unusual_values()) RC_ASSERT(along.index(x) <= along.size());
    for (const double x : unusual_values()) RC_ASSERT(along.index(x) >= 0);
  }
}

RC_GTEST_PROP(CircularAxis, FindsWhatASearchInItsEdgesFindsPeriodsAway, (std::uint64_t seed)) {
  std::mt19937_64 random(seed);
  const auto made = *rc::gen::element(
      shape{24, 0, 24}, shape{360, -180, 180}, shape{12, 0, 6.283185307179586}, shape{7, 0.1, 0.7},
      shape{1000, -1e-3, 1e3}, shape{1, 0, 1e-300}, shape{100'000, 3, 4});
  const auto along = axis::circular(made.bins, made.low, made.high);
  RC_LOG() << made.bins << " bins from " << made.low << " to " << made.high << "\n";
  const int period = *rc::gen::element(-100, -3, -2, -1, 0, 1, 2, 3, 100) * along.size();
  for (const double x : hardest_values(along, random, period, period + along.size()))
    RC_ASSERT(along.index(x) == expected_bin(along, x, 200));
}

TEST(RegularAxis, PutsEveryWholeNumberIntoTheBinThatBeginsWithIt) {
  for (int n = 1; n <= 1000; ++n) {
    const auto along = axis::regular(n, 0, n);
    for (int k = 0; k <= n; ++k) ASSERT_EQ(along.index(k), k) << "of " << n;
  }
}

TEST(RegularAxis, ReportsItsEdges) {
  const auto along = axis::regular(10, 0, 1);
  for (int k = 0; k < 10; ++k) EXPECT_EQ(along.value(k), k * 0.1);
  EXPECT_EQ(along.value(10), 1.0);
  EXPECT_EQ(along.bin(3).lower(), 3 * 0.1);
  EXPECT_EQ(along.bin(3).upper(), 4 * 0.1);
  EXPECT_EQ(along.bin(-1).lower(), -infinity);
  EXPECT_EQ(along.bin(10).upper(), infinity);
  EXPECT_EQ(axis::regular(4, 0, 4).bin(2).center(), 2.5);
}

// Also where the C library's pow is an ulp off.
TEST(LogarithmicAxis, HasTheEdgesThatAreDoubles) {
  const auto decades = axis::logarithmic(22, 1, 1e22);
  double power = 1;
  for (int k = 0; k <= 22; ++k, power *= 10) EXPECT_EQ(decades.value(k), power) << k;
  const auto octaves = axis::logarithmic(2097, 5e-324, 0x1p1023);
  for (int k = 0; k <= 2097; ++k) EXPECT_EQ(octaves.value(k), std::ldexp(1.0, k - 1074)) << k;
}

TEST(LogarithmicAxis, ReportsItsEdges) {
  const auto along = axis::logarithmic(3, 0.5, 4.0);
  EXPECT_EQ(along.bin(1).lower(), 1.0);
  EXPECT_EQ(along.bin(1).upper(), 2.0);
  EXPECT_EQ(along.bin(-1).lower(), -infinity);
  EXPECT_EQ(along.bin(3).upper(), infinity);
  EXPECT_EQ(along.bin(1).center(), std::sqrt(2.0));
  EXPECT_EQ(along.index(0.0), -1);
  EXPECT_EQ(along.index(-infinity), -1);
  EXPECT_EQ(along.index(4.0), 3);
  EXPECT_EQ(axis::logarithmic_axis(axis::logarithmic(12, 1, 4096), 2, 8, 2),
            axis::logarithmic(3, 4, 256));
}

// low * (high / low)^(k / bins) in long double, whose own error is small for such ratios.
TEST(LogarithmicAxis, HasEdgesNextToTheTrueOnes) {
  for (const shape& made : {shape{10, 1, 2}, {37, 0.3, 7.9e5}, {1000, 1e-3, 1e3}}) {
    const auto along = axis::logarithmic(made.bins, made.low, made.high);
    for (int k = 0; k <= along.size(); ++k) {
      const auto low = static_cast<long double>(made.low);
      const long double edge =
          low * std::pow(static_cast<long double>(made.high) / low,
                         static_cast<long double>(k) / static_cast<long double>(made.bins));
      const double ulp = std::nextafter(along.value(k), infinity) - along.value(k);
      EXPECT_LE(std::abs(static_cast<double>(edge - static_cast<long double>(along.value(k)))),
                0.55 * ulp);
    }
  }
}

TEST(RegularAxis, HasTheEdgesOfNumpysLinspace) {
  SHARD_NEEDS_NUMPY();
  const shard_test::folder in;
  std::string program;
  for (const shape& made : {shape{10, 0, 1}, {98, 0, 2}, {37, -1.3, 7.9}, {1000, 1e9, 1e9 + 1}}) {
    const auto along = axis::regular(made.bins, made.low, made.high);
    std::ostringstream edges;
    edges << std::hexfloat;
    for (int k = 0; k <= along.size(); ++k) edges << "float.fromhex('" << along.value(k) << "'),";
    std::ostringstream bounds;
    bounds << std::setprecision(17) << made.low << "," << made.high << "," << made.bins + 1;
    program += "assert np.linspace(" + bounds.str() + ").tolist() == [" + edges.str() + "]\n";
  }
  EXPECT_TRUE(shard_test::numpy_agrees(in, program));
}

TEST(CircularAxis, RepeatsItsBinsToBothSidesAndKeepsThemFarAway) {
  const auto hours = axis::circular(24, 0, 24);
  for (int k = -1000; k < 1000; ++k) EXPECT_EQ(hours.index(k), ((k % 24) + 24) % 24);
  EXPECT_EQ(hours.index(-5e-324), 23);
  EXPECT_EQ(hours.index(1e15), 16);  // 10^15 = 16 modulo 24
  EXPECT_EQ(hours.index(-1e15), 8);
  EXPECT_EQ(hours.index(1e17), 16);
  EXPECT_EQ(hours.value(25), 25);
  EXPECT_EQ(hours.value(-1), -1);
  const auto wide = axis::circular(2, -8e307, 8e307);
  EXPECT_EQ(wide.index(1.7e308), 1);  // 1e307 after one period
  EXPECT_EQ(wide.index(-1.7e308), 0);
  const auto far = axis::circular(4, -1.0e308, -0.9e308);
  EXPECT_GE(far.index(1.7e308), 0);
  EXPECT_LT(far.index(1.7e308), 4);
}

TEST(CircularAxis, MergesItsBinsButGivesUpNone) {
  const auto hours = axis::circular(24, 0, 24);
  EXPECT_EQ(axis::circular_axis(hours, 0, 24, 4), axis::circular(6, 0, 24));
  EXPECT_THROW(axis::circular_axis(hours, 0, 12, 1), shard::error);
  EXPECT_EQ(axis::regular_axis(axis::regular(10, 0, 10), 2, 8, 2), axis::regular(3, 2, 8));
}

}  // namespace
