// Every result of exact.hpp beside MPFR's, on random cases that are made to hurt. How many: a
// million, or what the variable EXACT_CASES says.
#include "exact/oracle.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <shard/exact.hpp>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "exact/hard_cases.hpp"
#include "exact/instruction_set.hpp"

namespace {

using namespace shard::exact;
using shard_test::hard_cases;
using shard_test::oracle;

std::size_t cases_of(double share) {
  const char* const asked = std::getenv("EXACT_CASES");
  double all = asked != nullptr ? std::strtod(asked, nullptr) : 1e6;
#if !defined(__OPTIMIZE__)
  if (asked == nullptr) all /= 50;
#endif
  return static_cast<std::size_t>(all * share) + 1;
}

// Equal bits; NaNs are canonical.
::testing::AssertionResult same(double found, double expected) {
  const auto bits = [](double x) { return std::bit_cast<std::uint64_t>(x); };
  const bool equal =
      std::isnan(expected) ? bits(found) == 0x7ff8000000000000 : bits(found) == bits(expected);
  if (equal) return ::testing::AssertionSuccess();
  std::ostringstream text;
  text << std::hexfloat << "found " << found << ", expected " << expected;
  return ::testing::AssertionFailure() << text.str();
}

std::string text_of(std::span<const double> x) {
  std::ostringstream text;
  text << std::hexfloat << x.size() << " numbers:";
  for (const double each : x.first(std::min<std::size_t>(x.size(), 100))) text << ' ' << each;
  return text.str();
}

class Exact : public ::testing::Test {
 protected:
  void TearDown() override { use(instruction_sets().back()); }

  void use_any_instructions() { use(instruction_sets()[cases_.below(instruction_sets().size())]); }

  // The same numbers in some other way: in parts that are merged in any order, in chunks and one by
  // one, with other instructions. Add is called as add(state, first, count).
  template <class State, class T, class Add>
  State in_parts(std::size_t count, Add add) {
    std::vector<State> parts(1 + cases_.below(4));
    for (std::size_t first = 0; first < count;) {
      const std::size_t size = std::min(count - first, 1 + cases_.below(count));
      use_any_instructions();
      State& part = parts[cases_.below(parts.size())];
      if (cases_.chance(4)) {
        for (std::size_t k = 0; k < size; ++k) add(part, first + k, 1);
      } else {
        add(part, first, size);
      }
      first += size;
    }
    std::shuffle(parts.begin(), parts.end(), cases_.generator());
    while (parts.size() > 1) {
      const std::size_t to = cases_.below(parts.size() - 1);
      parts[to].merge(parts.back());
      parts.pop_back();
    }
    return parts.front();
  }

  // Numbers whose sum is a tie of the final rounding, or next to one: the first of them, and what
  // their sum is short of the tie.
  void make_a_tie(std::vector<double>& x) {
    for (int k = 0; k < 45; ++k) {
      const double sum = oracle_.sum(x);
      if (sum == 0 || !std::isfinite(sum)) break;
      x.push_back(-sum);
    }
    const double at =
        std::ldexp(1.0 + double(cases_.below(1U << 20)) * 0x1p-20, int(cases_.below(2000)) - 1000);
    const double ulp = std::nextafter(at, INFINITY) - at;
    x.insert(x.end(), {at, ulp / 2});
    if (cases_.chance(2))
      x.push_back(std::ldexp(cases_.chance(2) ? 1 : -1, -int(cases_.below(1074))));
    if (cases_.chance(2)) {
      for (double& each : x) each = -each;
    }
    std::shuffle(x.begin(), x.end(), cases_.generator());
  }

  hard_cases cases_{20261129};
  oracle oracle_;
};

TEST_F(Exact, SumsAreMpfrsInAnyPartsAndOrder) {
  for (std::size_t k = cases_of(0.6); k > 0; --k) {
    std::vector<double> x = cases_.numbers(cases_.length());
    if (cases_.chance(8)) make_a_tie(x);
    use_any_instructions();
    sum_state all;
    all.add(x);
    ASSERT_TRUE(same(all.value(), oracle_.sum(x))) << text_of(x);
    if (cases_.chance(4)) {
      ASSERT_TRUE(same(all.value_as_float(), oracle_.sum(x, shard_test::to_float))) << text_of(x);
    }
    const auto parts = in_parts<sum_state, double>(
        x.size(), [&](sum_state& to, std::size_t first, std::size_t count) {
          to.add(std::span(x).subspan(first, count));
        });
    ASSERT_TRUE(parts == all) << text_of(x);
    ASSERT_TRUE(same(parts.value(), all.value())) << text_of(x);
  }
}

TEST_F(Exact, DotsAreMpfrsInAnyPartsAndOrder) {
  for (std::size_t k = cases_of(0.25); k > 0; --k) {
    const std::size_t count = cases_.length();
    const std::vector<double> x = cases_.numbers(count);
    std::vector<double> y = cases_.numbers(count);
    if (cases_.chance(3) && count % 2 == 0) {  // all cancels, but for one product
      std::copy_n(y.begin(), count / 2, y.begin() + std::ptrdiff_t(count / 2));
    }
    use_any_instructions();
    dot_state all;
    all.add(x, y);
    ASSERT_TRUE(same(all.value(), oracle_.dot(x, y))) << text_of(x) << text_of(y);
    if (cases_.chance(4)) {
      ASSERT_TRUE(same(all.value_as_float(), oracle_.dot(x, y, shard_test::to_float)))
          << text_of(x) << text_of(y);
    }
    const auto parts =
        in_parts<dot_state, double>(count, [&](dot_state& to, std::size_t first, std::size_t size) {
          to.add(std::span(x).subspan(first, size), std::span(y).subspan(first, size));
        });
    ASSERT_TRUE(parts == all) << text_of(x) << text_of(y);
  }
}

TEST_F(Exact, NormsAreMpfrs) {
  for (std::size_t k = cases_of(0.05); k > 0; --k) {
    const std::vector<double> x = cases_.numbers(cases_.length());
    use_any_instructions();
    ASSERT_TRUE(same(norm2(x), oracle_.root_of_dot(x, x))) << text_of(x);
  }
}

TEST_F(Exact, MeansAndVariancesAreMpfrsInAnyPartsAndOrder) {
  for (std::size_t k = cases_of(0.05); k > 0; --k) {
    std::vector<double> x = cases_.numbers(2 + cases_.length());
    if (cases_.chance(8)) std::fill(x.begin(), x.end(), x.front());
    if (cases_.chance(8)) x.resize(2);
    use_any_instructions();
    mean_variance_state all;
    all.add(x);
    ASSERT_EQ(all.count(), x.size());
    ASSERT_TRUE(same(all.mean(), oracle_.mean(x))) << text_of(x);
    ASSERT_TRUE(same(all.variance(), oracle_.variance(x))) << text_of(x);
    ASSERT_TRUE(same(all.deviation(), oracle_.deviation(x))) << text_of(x);
    ASSERT_TRUE(same(all.error(), oracle_.error(x))) << text_of(x);
    ASSERT_TRUE(same(all.population_variance(), oracle_.population_variance(x))) << text_of(x);
    ASSERT_TRUE(same(all.population_deviation(), oracle_.population_deviation(x))) << text_of(x);
    const auto parts = in_parts<mean_variance_state, double>(
        x.size(), [&](mean_variance_state& to, std::size_t first, std::size_t count) {
          to.add(std::span(x).subspan(first, count));
        });
    ASSERT_TRUE(parts == all) << text_of(x);
  }
}

TEST_F(Exact, CovariancesAndCorrelationsAreMpfrsInAnyPartsAndOrder) {
  for (std::size_t k = cases_of(0.05); k > 0; --k) {
    const std::size_t count = 2 + cases_.length();
    const std::vector<double> x = cases_.numbers(count);
    std::vector<double> y = cases_.numbers(count);
    if (cases_.chance(4)) y = x;
    if (cases_.chance(4))
      std::transform(x.begin(), x.end(), y.begin(), [](double v) { return -v; });
    if (cases_.chance(8)) std::fill(y.begin(), y.end(), y.front());
    use_any_instructions();
    covariance_state all;
    all.add(x, y);
    ASSERT_EQ(all.count(), count);
    ASSERT_TRUE(same(all.covariance(), oracle_.covariance(x, y))) << text_of(x) << text_of(y);
    ASSERT_TRUE(same(all.correlation(), oracle_.correlation(x, y))) << text_of(x) << text_of(y);
    const auto parts = in_parts<covariance_state, double>(
        count, [&](covariance_state& to, std::size_t first, std::size_t size) {
          to.add(std::span(x).subspan(first, size), std::span(y).subspan(first, size));
        });
    ASSERT_TRUE(parts == all) << text_of(x) << text_of(y);
  }
}

// What is not finite, by the rules alone.
TEST_F(Exact, InfinitiesAndNansFollowTheRulesInAnyPartsAndOrder) {
  for (std::size_t k = cases_of(0.05); k > 0; --k) {
    std::vector<double> x = cases_.numbers(1 + cases_.length());
    const std::vector<double> y(x.size(), 1.0);
    for (std::size_t specials = 1 + cases_.below(3); specials > 0; --specials) {
      x[cases_.below(x.size())] = cases_.special();
    }
    double expected = 0;
    for (const double each : x) {
      if (!std::isfinite(each)) expected += each;
    }
    use_any_instructions();
    sum_state sum;
    sum.add(x);
    ASSERT_TRUE(same(sum.value(), expected)) << text_of(x);
    ASSERT_TRUE(same(dot(x, y), expected)) << text_of(x);
    ASSERT_TRUE(same(dot(y, x), expected)) << text_of(x);
    mean_variance_state moments;
    moments.add(x);
    ASSERT_TRUE(same(moments.mean(), expected)) << text_of(x);
    ASSERT_TRUE(same(moments.variance(), NAN)) << text_of(x);
    const auto parts = in_parts<sum_state, double>(
        x.size(), [&](sum_state& to, std::size_t first, std::size_t count) {
          to.add(std::span(x).subspan(first, count));
        });
    ASSERT_TRUE(parts == sum) << text_of(x);
  }
}

}  // namespace
