// What exact.hpp promises of special values, forms of arguments and states.
#include "shard/exact.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <shard/strided.hpp>
#include <span>
#include <type_traits>
#include <vector>

#include "exact/hard_cases.hpp"
#include "exact/instruction_set.hpp"

namespace {

using namespace shard::exact;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double largest = std::numeric_limits<double>::max();
constexpr double smallest = std::numeric_limits<double>::denorm_min();

std::uint64_t bits(double x) { return std::bit_cast<std::uint64_t>(x); }
double sum_of(std::vector<double> x) { return sum(x); }

// The test with each kind of instructions that this processor has.
template <class Test>
void with_all_instructions(Test test) {
  for (const instruction_set each : instruction_sets()) {
    SCOPED_TRACE(static_cast<int>(each));
    use(each);
    test();
  }
  use(instruction_sets().back());
}

// The simplest way there is to add numbers.
sum_state one_by_one(std::span<const double> x) {
  sum_state all;
  for (const double each : x) all.add(each);
  return all;
}

// Every kind of block: one that windows hold, one that they don't, and one with what is special.
std::vector<std::vector<double>> kinds_of_numbers(std::size_t count) {
  shard_test::hard_cases cases(count);
  std::vector<std::vector<double>> kinds(7, std::vector<double>(count));
  std::normal_distribution<double> normal;
  for (std::size_t k = 0; k < count; ++k) {
    kinds[0][k] = normal(cases.generator());
    kinds[1][k] = cases.finite_bits();
    kinds[2][k] = std::ldexp(normal(cases.generator()), -static_cast<int>(cases.below(100)));
    kinds[3][k] = k % 7 == 3 ? 1e300 : normal(cases.generator());
    kinds[4][k] = cases.chance(2) ? -0.0 : 0.0;
    // Half of them subnormal, and the others where windows end just below the smallest number.
    kinds[5][k] = k % 2 == 0 ? std::ldexp(normal(cases.generator()), -1060)
                             : std::ldexp(1.0 + 0x1p-52 * double(cases.below(1ULL << 52)), -992);
    kinds[6][k] = k % 5 == 1 ? -0.0 : std::ldexp(normal(cases.generator()), 1019);
  }
  if (count != 0) kinds[0][count / 2] = smallest;
  return kinds;
}

TEST(ExactStates, ArePlainBytesAndAllZerosAreNothing) {
  const auto check = [](auto state) {
    using state_type = decltype(state);
    static_assert(std::is_trivially_copyable_v<state_type> &&
                  std::is_standard_layout_v<state_type>);
    std::byte zeros[sizeof state] = {};
    EXPECT_EQ(std::memcmp(&state, zeros, sizeof state), 0);
    EXPECT_LE(state.live_bytes(), 24U);
  };
  check(sum_state{});
  check(dot_state{});
  check(mean_variance_state{});
  check(covariance_state{});
}

TEST(ExactStates, NeedFewLiveBytesForOrdinaryNumbers) {
  const std::vector<double> x = kinds_of_numbers(100'000)[0];
  sum_state sum;
  sum.add(std::span(x).subspan(0, 50'000));
  mean_variance_state moments;
  moments.add(std::span(x).subspan(0, 50'000));
  covariance_state joint;
  joint.add(std::span(x).subspan(0, 40'000), std::span(x).subspan(60'000, 40'000));
  EXPECT_LE(sum.live_bytes(), 64U);
  EXPECT_LE(moments.live_bytes(), 128U);
  EXPECT_LE(joint.live_bytes(), 256U);
}

TEST(ExactStates, HoldNothingBehindTheirLiveBytes) {
  for (const std::vector<double>& x : kinds_of_numbers(3000)) {
    covariance_state all;
    all.add(x, x);
    covariance_state copy;
    std::memset(static_cast<void*>(&copy), 0xa5, sizeof copy);
    std::memcpy(static_cast<void*>(&copy), &all, all.live_bytes());
    EXPECT_TRUE(copy == all);
    EXPECT_EQ(bits(copy.correlation()), bits(all.correlation()));
    copy.merge(all);
    all.merge(covariance_state(all));
    EXPECT_TRUE(copy == all);
  }
}

TEST(ExactStates, MergeWithThemselves) {
  sum_state sum;
  sum.add(0.1);
  sum.merge(sum);
  EXPECT_EQ(sum.value(), 0.2);
}

TEST(ExactSum, OfNothingIsPlusZero) { EXPECT_EQ(bits(sum_of({})), bits(0.0)); }

TEST(ExactSum, OfMinusZerosAloneIsMinusZero) {
  for (const std::size_t count : {1U, 2U, 31U, 32U, 100U, 5000U}) {
    with_all_instructions([&] {
      std::vector<double> x(count, -0.0);
      EXPECT_EQ(bits(sum(x)), bits(-0.0)) << count;
      EXPECT_EQ(bits(dot(x, std::vector<double>(count, 1.0))), bits(-0.0)) << count;
      x.back() = 0.0;
      EXPECT_EQ(bits(sum(x)), bits(0.0)) << count;
      EXPECT_EQ(bits(dot(x, std::vector<double>(count, 1.0))), bits(0.0)) << count;
    });
  }
}

TEST(ExactSum, ThatCancelsIsPlusZero) {
  EXPECT_EQ(bits(sum_of({-1.0, -0.0, 1.0})), bits(0.0));
  EXPECT_EQ(bits(sum_of({smallest, -smallest})), bits(0.0));
}

TEST(ExactSum, HasOneNan) {
  constexpr std::uint64_t canonical = 0x7ff8000000000000;
  EXPECT_EQ(bits(sum_of({1.0, nan})), canonical);
  EXPECT_EQ(bits(sum_of({-nan})), canonical);
  EXPECT_EQ(bits(sum_of({std::bit_cast<double>(0xfff0000000000123), infinity})), canonical);
  EXPECT_EQ(bits(sum_of({infinity, 5.0, -infinity})), canonical);
  EXPECT_EQ(std::bit_cast<std::uint32_t>([] {
              sum_state all;
              all.add(nan);
              return all.value_as_float();
            }()),
            0x7fc00000U);
}

TEST(ExactSum, OfInfinitiesOfOneSignIsInfinite) {
  EXPECT_EQ(sum_of({infinity, -largest, -largest, infinity}), infinity);
  EXPECT_EQ(sum_of({-infinity, largest}), -infinity);
}

TEST(ExactSum, OverflowsOnlyAtTheEnd) {
  EXPECT_EQ(sum_of({largest, largest, -largest}), largest);
  EXPECT_EQ(sum_of({largest, largest}), infinity);
  EXPECT_EQ(sum_of({-largest, -largest}), -infinity);
  // Half a unit in the last place more is a tie, and goes to the even one, which would be 2^1024.
  const double half = std::ldexp(1.0, 970);
  EXPECT_EQ(sum_of({largest, half}), infinity);
  EXPECT_EQ(sum_of({largest, half, -smallest}), largest);
}

TEST(ExactSum, RoundsTiesToEven) {
  const double half = std::ldexp(1.0, -53);
  EXPECT_EQ(sum_of({1.0, half}), 1.0);
  EXPECT_EQ(sum_of({1.0, half, smallest}), 1.0 + 2 * half);
  EXPECT_EQ(sum_of({1.0 + 2 * half, half}), 1.0 + 4 * half);
  EXPECT_EQ(sum_of({-1.0, -half}), -1.0);
  EXPECT_EQ(sum_of({-1.0, -half, -smallest}), -1.0 - 2 * half);
}

TEST(ExactSum, AsAFloatIsRoundedOnce) {
  // As a double this is a tie of float, which would go down.
  sum_state all;
  all.add(1.0 + std::ldexp(1.0, -24));
  all.add(std::ldexp(1.0, -70));
  EXPECT_EQ(all.value_as_float(), std::nextafter(1.0F, 2.0F));
  sum_state tiny;
  tiny.add(std::numeric_limits<float>::denorm_min());
  EXPECT_EQ(tiny.value_as_float(), std::numeric_limits<float>::denorm_min());
  tiny.merge(tiny);
  EXPECT_EQ(tiny.value_as_float(), 2 * std::numeric_limits<float>::denorm_min());
}

TEST(ExactSum, HoldsAsManyNumbersAsThereCanBe) {
  sum_state positive;
  positive.add(largest);
  sum_state negative;
  negative.add(-largest);
  for (int doublings = 0; doublings < 62; ++doublings) {
    positive.merge(positive);
    negative.merge(negative);
  }
  EXPECT_EQ(positive.value(), infinity);
  EXPECT_EQ(negative.value(), -infinity);
  positive.merge(negative);
  positive.add(0.1);
  EXPECT_EQ(positive.value(), 0.1);
  // Words of the lowest numbers are as many.
  sum_state low;
  low.add(-smallest);
  for (int doublings = 0; doublings < 62; ++doublings) low.merge(low);
  EXPECT_EQ(low.value(), -std::ldexp(smallest, 62));
}

TEST(ExactSum, CarriesThroughAllWords) {
  for (int words = 1; words <= 32; ++words) {
    const double sign_bit = std::ldexp(smallest, 64 * words - 1);
    for (const double sign : {1.0, -1.0}) {
      sum_state all;
      all.add(sign * sign_bit);
      all.add(sign * -smallest);
      all.add(sign * smallest);
      all.add(sign * smallest);
      EXPECT_EQ(all.value(), words == 1 ? sign * (sign_bit + smallest) : sign * sign_bit) << words;
      all.add(std::vector{sign * -sign_bit, sign * -smallest, sign * -smallest});
      EXPECT_EQ(all.value(), sign * -smallest) << words;
      sum_state one;
      one.add(sign * smallest);
      all.merge(one);
      EXPECT_TRUE(all == one_by_one(std::vector{1.0, -1.0})) << words;
    }
  }
}

TEST(ExactSum, IsTheSameForEveryLengthAlignmentAndInstruction) {
  const std::vector<std::vector<double>> all = kinds_of_numbers(5000);
  with_all_instructions([&] {
    for (const std::vector<double>& x : all) {
      for (std::size_t length = 0; length < 5000 - 8; length += length < 300 ? 1 : 331) {
        const std::span<const double> part = std::span(x).subspan(length % 8, length);
        sum_state at_once;
        at_once.add(part);
        ASSERT_TRUE(at_once == one_by_one(part)) << length;
      }
    }
  });
}

TEST(ExactDot, IsTheSameForEveryLengthAlignmentAndInstruction) {
  const std::vector<std::vector<double>> all = kinds_of_numbers(3000);
  with_all_instructions([&] {
    for (std::size_t a = 0; a < all.size(); ++a) {
      for (std::size_t length = 0; length < 3000 - 16; length += length < 200 ? 1 : 331) {
        const auto x = std::span(all[a]).subspan(length % 8, length);
        const auto y = std::span(all[length % all.size()]).subspan(length % 3, length);
        dot_state at_once;
        at_once.add(x, y);
        dot_state each;
        for (std::size_t k = 0; k < length; ++k) each.add(x[k], y[k]);
        ASSERT_TRUE(at_once == each) << a << ' ' << length;
      }
    }
  });
}

TEST(ExactSum, HoldsManyNumbersOfOneSizeBesideOthersFarOff) {
  std::vector<double> x(70'000);
  for (std::size_t k = 0; k < x.size(); ++k) {
    // Exponents whose mantissas are shifted furthest.
    x[k] = std::ldexp(2 - std::numeric_limits<double>::epsilon(), k % 3 == 0 ? 960 : -32);
  }
  sum_state expected;
  sum_state two;
  two.add(std::span(x).first(3));
  for (std::size_t k = 0; k < x.size() / 3; ++k) expected.merge(two);
  expected.add(x[0]);
  with_all_instructions([&] {
    sum_state all;
    all.add(x);
    EXPECT_TRUE(all == expected);
  });
}

TEST(ExactSum, TakesSpansVectorsStridesAndFloats) {
  std::vector<double> x = kinds_of_numbers(4000)[0];
  std::vector<double> third;
  for (std::size_t k = 0; k < x.size(); k += 3) third.push_back(x[k]);
  const double expected = sum(third);
  EXPECT_EQ(sum(std::span<double>(third)), expected);
  EXPECT_EQ(sum(numbers<double>(x.data(), third.size(), 3)), expected);
  EXPECT_EQ(sum(shard::strided_view<const double>(x.data(), {third.size()}, {3})), expected);
  EXPECT_EQ(sum(numbers<double>(third.data() + third.size() - 1, third.size(), -1)), expected);

  std::vector<float> floats(x.begin(), x.end());
  const std::vector<double> widened(floats.begin(), floats.end());
  sum_state all;
  all.add(floats);
  EXPECT_EQ(all.value(), sum(widened));
  mean_variance_state moments;
  moments.add(floats);
  mean_variance_state of_widened;
  of_widened.add(widened);
  EXPECT_TRUE(moments == of_widened);
}

TEST(ExactCollector, AddsOneByOneWhatASpanAddsAtOnce) {
  const std::vector<double> x = kinds_of_numbers(3000)[3];
  for (const std::size_t count : {0U, 1U, 511U, 512U, 513U, 3000U}) {
    const auto part = std::span(x).first(count);
    sum_state expected;
    expected.add(part);
    collector<sum_state> total;
    for (const double each : part) total.add(each);
    EXPECT_TRUE(total.state() == expected);
    total.add(1.0);
    total.add(part);
    expected.add(1.0);
    expected.add(part);
    EXPECT_TRUE(total.state() == expected);

    covariance_state pairs;
    pairs.add(part, part);
    collector<covariance_state> both;
    for (const double each : part) both.add(each, each);
    EXPECT_TRUE(both.state() == pairs);
  }
}

TEST(ExactCollector, GoesOnFromAState) {
  sum_state before;
  before.add(1e300);
  collector<sum_state, float> total(before);
  total.add(1.5F);
  sum_state rest = total.state();
  rest.add(-1e300);
  EXPECT_EQ(rest.value(), 1.5);
}

TEST(ExactDot, OfAnInfinityAndZeroIsNan) {
  EXPECT_TRUE(std::isnan(dot(std::vector{infinity}, std::vector{0.0})));
  EXPECT_EQ(dot(std::vector{infinity}, std::vector{-2.0}), -infinity);
}

TEST(ExactDot, KeepsWhatNoDoubleHolds) {
  dot_state all;
  all.add(smallest, smallest);
  EXPECT_EQ(all.value(), 0.0);
  EXPECT_EQ(all.root(), smallest);
  all.add(largest, largest);
  EXPECT_EQ(all.value(), infinity);
  EXPECT_EQ(all.root(), largest);
  all.add(-largest, largest);
  EXPECT_EQ(all.root(), smallest);
}

TEST(ExactDot, HasARootThatIsRoundedOnce) {
  const double unit = std::ldexp(1.0, -52);
  for (const double low : {1.0, 1.0 + unit, 1.5, 2 - 2 * unit}) {
    // The square of what is halfway between two doubles.
    dot_state tie;
    tie.add(low, low);
    tie.add(low, unit);
    tie.add(unit / 2, unit / 2);
    const bool even = (bits(low) & 1) == 0;
    EXPECT_EQ(tie.root(), even ? low : low + unit);
    for (int exponent = -1000; exponent < -100; exponent += exponent < -200 ? 100 : 1) {
      dot_state above = tie;
      above.add(std::ldexp(1.0, exponent), 1.0);
      EXPECT_EQ(above.root(), low + unit) << exponent;
      dot_state below = tie;
      below.add(std::ldexp(1.0, exponent), -1.0);
      EXPECT_EQ(below.root(), low) << exponent;
    }
  }
}

TEST(ExactDot, HasNoRootBelowZero) {
  dot_state all;
  all.add(1.0, -1.0);
  EXPECT_TRUE(std::isnan(all.root()));
  EXPECT_EQ(norm2(std::vector{-infinity}), infinity);
  EXPECT_EQ(norm2(std::vector{3.0, -4.0}), 5.0);
}

TEST(ExactMeanVariance, SaysWhatFewNumbersGive) {
  mean_variance_state all;
  EXPECT_EQ(all.count(), 0U);
  EXPECT_TRUE(std::isnan(all.mean()) && std::isnan(all.variance()) && std::isnan(all.error()));
  EXPECT_TRUE(std::isnan(all.population_variance()));
  all.add(3.0);
  EXPECT_EQ(all.mean(), 3.0);
  EXPECT_TRUE(std::isnan(all.variance()) && std::isnan(all.deviation()));
  EXPECT_EQ(all.population_variance(), 0.0);
  all.add(5.0);
  EXPECT_EQ(all.mean(), 4.0);
  EXPECT_EQ(all.variance(), 2.0);
  EXPECT_EQ(all.population_variance(), 1.0);
  EXPECT_EQ(all.error(), 1.0);
}

TEST(ExactMeanVariance, RoundsATieByWhatIsFarBelow) {
  const double unit = std::ldexp(1.0, -52);
  mean_variance_state tie;  // of two, whose mean is halfway between doubles
  tie.add(1.0);
  tie.add(1.0 + unit);
  EXPECT_EQ(tie.mean(), 1.0);
  // Of three, whose mean is a third of something so small above that.
  mean_variance_state above;
  for (const double each : {3.0, 1.5 * unit, smallest}) above.add(each);
  EXPECT_EQ(above.mean(), 1.0 + unit);
}

TEST(ExactMeanVariance, IsExactWhereNumbersAreLargeAndAlike) {
  mean_variance_state all;
  for (const double each : {1e15 + 1, 1e15 + 2, 1e15 + 3}) all.add(each);
  EXPECT_EQ(all.variance(), 1.0);
  all.add(infinity);
  EXPECT_EQ(all.mean(), infinity);
  EXPECT_TRUE(std::isnan(all.variance()));
}

TEST(ExactCovariance, SaysWhatFewNumbersGive) {
  covariance_state all;
  EXPECT_TRUE(std::isnan(all.covariance()) && std::isnan(all.correlation()));
  all.add(1.0, 2.0);
  EXPECT_TRUE(std::isnan(all.covariance()));
  all.add(2.0, 2.0);
  EXPECT_EQ(all.covariance(), 0.0);
  EXPECT_TRUE(std::isnan(all.correlation()));
  all.add(3.0, 4.0);
  EXPECT_EQ(all.covariance(), 1.0);
}

TEST(ExactCovariance, FindsAPerfectCorrelation) {
  covariance_state all;
  for (const double each : {0.1, 0.7, 1e100}) all.add(each, -2 * each);
  EXPECT_EQ(all.correlation(), -1.0);
  EXPECT_LT(all.covariance(), 0.0);
  // Σxy and Σx Σy of different signs.
  covariance_state apart;
  apart.add(-1.0, 3.0);
  apart.add(3.0, -1.0);
  EXPECT_EQ(apart.correlation(), -1.0);
  EXPECT_EQ(apart.covariance(), -8.0);
}

// The mode of a program that is linked with -ffast-math: subnormal numbers are taken for zeros.
#if defined(__x86_64__)
class arithmetic_mode {
 public:
  explicit arithmetic_mode(std::uint32_t bits) {
    asm volatile("stmxcsr %0" : "=m"(before_));
    asm volatile("ldmxcsr %0" ::"m"(bits));
  }
  ~arithmetic_mode() { asm volatile("ldmxcsr %0" ::"m"(before_)); }
  static std::uint32_t now() {
    std::uint32_t bits;
    asm volatile("stmxcsr %0" : "=m"(bits));
    return bits;
  }

 private:
  std::uint32_t before_;
};

TEST(ExactSum, IsTheSameInEveryModeOfTheProcessor) {
  for (const std::vector<double>& x : kinds_of_numbers(2500)) {
    const std::vector<float> floats(x.begin(), x.end());
    const auto all = [&] {
      covariance_state joint;
      joint.add(x, x);
      for (std::size_t k = 0; k < 40; ++k) joint.add(x[k], x[k + 1]);
      sum_state sum;
      sum.add(x);
      sum.add(floats);
      sum.add(1e-40F);
      collector<sum_state, float> each(sum);
      for (const float value : floats) each.add(value);
      return std::pair(joint, each.state());
    };
    with_all_instructions([&] {
      const auto expected = all();
      constexpr std::uint32_t flushes = 0x9fc0;
      constexpr std::uint32_t up = 0x5f80;
      constexpr std::uint32_t traps_nothing_to_zero = 0x7f80;
      for (const std::uint32_t mode : {flushes, up, traps_nothing_to_zero}) {
        const arithmetic_mode set(mode);
        const auto found = all();
        const std::uint32_t after = arithmetic_mode::now();
        EXPECT_EQ(after & ~0x3fU, mode);
        EXPECT_TRUE(found == expected);
        EXPECT_EQ(bits(found.second.value()), bits(expected.second.value()));
        EXPECT_EQ(bits(found.first.correlation()), bits(expected.first.correlation()));
      }
    });
  }
}
#endif

TEST(ExactSum, IsTheSameInEveryRoundingMode) {
  const std::vector<double> x = kinds_of_numbers(2500)[0];
  const double expected = sum(x);
  for (const int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
    std::fesetround(mode);
    const double found = sum(x);
    EXPECT_EQ(std::fegetround(), mode);
    std::fesetround(FE_TONEAREST);
    EXPECT_EQ(bits(found), bits(expected));
  }
}

TEST(ExactSum, RaisesNoFlagAndTrapsNothing) {
  const std::vector<double> x = kinds_of_numbers(2500)[0];
  std::feclearexcept(FE_ALL_EXCEPT);
  EXPECT_NE(sum(x), dot(x, x));
  EXPECT_EQ(std::fetestexcept(FE_ALL_EXCEPT), 0);
}

}  // namespace
