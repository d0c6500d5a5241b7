#include "shard/histogram.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <boost/histogram/algorithm/project.hpp>
#include <boost/histogram/algorithm/sum.hpp>
#include <boost/histogram/axis/regular.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "process/family.hpp"
#include "refusal.hpp"
#include "shard/error.hpp"
#include "shard/text.hpp"
#include "unit/states.hpp"

namespace {

namespace axis = shard::axis;
using shard::testing::add_once;
using shard::testing::random_chunks;
using shard::testing::reduce_in_chunks;
using shard::testing::split;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

const auto fill = [](auto& bins, const auto& x) { bins(x); };

static_assert(shard::reducer<shard::histogram<axis::regular_axis>>);
static_assert(shard::reducer<shard::histogram<axis::integer_axis, axis::category_axis<int>>>);

template <class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const shard::error& e) {
    return e.what();
  }
  return "no error";
}

// Values on every edge of [0, 10) in 10 bins, beside them, and beyond them.
rc::Gen<std::vector<double>> values_around_edges() {
  const auto edge = rc::gen::map(rc::gen::inRange(-2, 13), [](int i) { return double(i); });
  const auto beside = rc::gen::map(rc::gen::pair(edge, rc::gen::element(-infinity, infinity)),
                                   [](auto p) { return std::nextafter(p.first, p.second); });
  const auto special = rc::gen::element(nan, infinity, -infinity, -0.0, 1e308, -1e308, 5e-324);
  const auto anything = rc::gen::arbitrary<double>();
  return rc::gen::container<std::vector<double>>(rc::gen::oneOf(edge, beside, special, anything));
}

template <class Axis, class T>
void expect_the_bins_of(const Axis& along, const std::vector<T>& values) {
  shard::histogram bins(along);
  reduce_in_chunks(bins, random_chunks(values), fill);
  std::map<int, std::int64_t> expected;
  for (const T& x : values) ++expected[along.index(x)];
  const bool has_underflow = Axis::options() & boost::histogram::axis::option::underflow_t::value;
  for (int i = has_underflow ? -1 : 0; i <= along.size(); ++i) RC_ASSERT(bins.at(i) == expected[i]);
}

RC_GTEST_PROP(Histogram, FindsTheBinsOfARegularAxis, ()) {
  expect_the_bins_of(axis::regular(10, 0, 10), *values_around_edges());
}

RC_GTEST_PROP(Histogram, FindsTheBinsOfALogarithmicAxis, ()) {
  expect_the_bins_of(axis::logarithmic(10, 1, 10), *values_around_edges());
}

RC_GTEST_PROP(Histogram, FindsTheBinsOfACircularAxis, ()) {
  expect_the_bins_of(axis::circular(10, 0, 10), *values_around_edges());
}

RC_GTEST_PROP(Histogram, FindsTheBinsOfAVariableAxis, ()) {
  expect_the_bins_of(axis::variable({0, 1, 2.5, 9, 10}), *values_around_edges());
}

RC_GTEST_PROP(Histogram, FindsTheBinsOfAnIntegerAxis, (std::vector<std::int16_t> values)) {
  expect_the_bins_of(axis::integer(-7, 40), values);
}

RC_GTEST_PROP(Histogram, FindsTheBinsOfACategoryAxis, (std::vector<std::uint8_t> values)) {
  expect_the_bins_of(axis::category({2, 40, 3, 5, 0, 8, 1, 10, 9}),
                     std::vector<int>(values.begin(), values.end()));
}

RC_GTEST_PROP(Histogram, HasBoostsCountsInThreeDimensions, ()) {
  using point = std::tuple<double, int, std::string>;
  const auto points = *rc::gen::container<std::vector<point>>(rc::gen::tuple(
      rc::gen::map(rc::gen::inRange(-5, 45), [](int i) { return i / 10.0; }),
      rc::gen::inRange(-3, 8), rc::gen::element<std::string>("JFK", "SFO", "", "LAX", "ORD")));
  const auto x = axis::regular(7, 0, 4);
  const auto y = axis::integer(-1, 5);
  const auto z = axis::category({"SFO", "JFK", "LAX"});
  shard::histogram bins(x, y, z);
  reduce_in_chunks(bins, random_chunks(points), [](auto& a, const point& p) { std::apply(a, p); });
  auto expected = boost::histogram::make_histogram_with(
      boost::histogram::dense_storage<std::int64_t>(), x, y, z);
  for (const point& p : points) std::apply(expected, p);
  RC_ASSERT(bins.to_boost() == expected);
}

RC_GTEST_PROP(Histogram, OfManyTextsFindsEachOne, (std::vector<std::uint8_t> picks)) {
  std::vector<std::string> names;
  for (int i = 0; i < 300; ++i) names.push_back("airport " + std::to_string(i));
  shard::histogram bins(axis::category(names));
  std::vector<std::int64_t> expected(301);
  add_once(bins, [&](auto& a) {
    for (const std::size_t pick : picks) {
      a(names[pick]);
      a("elsewhere");
      ++expected[pick], ++expected[300];
    }
  });
  for (std::size_t i = 0; i < expected.size(); ++i) RC_ASSERT(bins.at(i) == expected[i]);
}

TEST(Histogram, TakesTextOfEveryKindAsACategory) {
  shard::histogram bins(axis::category({"SFO", "JFK"}));
  add_once(bins, [](auto& a) {
    a(shard::text<3>("SFO"));
    a(shard::text<8>("SFO"));
    a(std::string_view("JFK"));
    a(std::string("JFK"));
    a("JFK");
    a(shard::text<3>("SF"));
  });
  EXPECT_EQ(bins.at(0), 2);
  EXPECT_EQ(bins.at(1), 3);
  EXPECT_EQ(bins.at(2), 1);
}

TEST(Histogram, TakesEnumeratorsAndBoolsAsCategories) {
  enum class suit { hearts, spades };
  shard::histogram suits(axis::category({suit::spades}));
  add_once(suits, [](auto& a) { a(suit::hearts), a(suit::spades), a(suit::spades); });
  EXPECT_EQ(suits.at(0), 2);
  EXPECT_EQ(suits.at(1), 1);

  shard::histogram flags(axis::category({false, true}));
  add_once(flags, [](auto& a) { a(true), a(true), a(false); });
  EXPECT_EQ(flags.at(1), 2);
}

TEST(Histogram, ComparesIntegersByValueWhateverTheirWidthAndSign) {
  shard::histogram bins(axis::category({-1, 7}));
  add_once(bins, [](auto& a) {
    a(std::int8_t{-1});
    a(std::int64_t{-1});
    a(std::uint64_t{7});
    a(std::numeric_limits<std::uint32_t>::max());
    a(std::numeric_limits<std::uint64_t>::max());
    a((std::int64_t{1} << 32) + 7);
  });
  EXPECT_EQ(bins.at(0), 2);
  EXPECT_EQ(bins.at(1), 1);
  EXPECT_EQ(bins.at(2), 3);
}

TEST(Histogram, PutsIntegersBeyondTheAxisIntoItsOuterBins) {
  using narrow = std::numeric_limits<std::int32_t>;
  using wide = std::numeric_limits<std::int64_t>;
  shard::histogram bins(axis::integer(2, 5));
  add_once(bins, [](auto& a) {
    a(wide::min()), a(narrow::min()), a(1), a(std::int8_t{-128}), a(false);
    a(2u), a(4);
    a(5), a(narrow::max()), a(wide::max()), a(std::numeric_limits<std::uint64_t>::max());
    a((std::int64_t{1} << 32) + 3);
  });
  EXPECT_EQ(bins.at(-1), 5);
  EXPECT_EQ(bins.at(0), 1);
  EXPECT_EQ(bins.at(1), 0);
  EXPECT_EQ(bins.at(2), 1);
  EXPECT_EQ(bins.at(3), 5);
}

TEST(Histogram, CoversTheWholeRangeOfIntAtItsEnds) {
  using limits = std::numeric_limits<int>;
  shard::histogram lowest(axis::integer(limits::min(), limits::min() + 2));
  shard::histogram highest(axis::integer(limits::max() - 2, limits::max()));
  add_once(lowest, [](auto& a) { a(limits::min()), a(limits::max()), a(std::int64_t{-1} << 40); });
  add_once(highest, [](auto& a) { a(limits::min()), a(limits::max() - 1), a(limits::max()); });
  EXPECT_EQ((std::array{lowest.at(-1), lowest.at(0), lowest.at(2)}),
            (std::array<std::int64_t, 3>{1, 1, 1}));
  EXPECT_EQ((std::array{highest.at(-1), highest.at(1), highest.at(2)}),
            (std::array<std::int64_t, 3>{1, 1, 1}));
}

TEST(Histogram, AddsCountsExactly) {
  shard::histogram delay(axis::category({"JFK", "SFO"}));
  add_once(delay, [](auto& a) {
    a.add(-15, "SFO");
    a.add(std::int64_t{1} << 62, "JFK");
    a.add(1, "JFK");
    a.add(20, "SFO");
  });
  EXPECT_EQ(delay.at(0), (std::int64_t{1} << 62) + 1);
  EXPECT_EQ(delay.at(1), 5);
}

TEST(Histogram, BinsWrapAround) {
  using limits = std::numeric_limits<std::int64_t>;
  shard::histogram bins(axis::integer(0, 1));
  add_once(bins, [](auto& a) { a.add(limits::max(), 0), a(0); });
  EXPECT_EQ(bins.at(0), limits::min());
}

TEST(Histogram, LeavesOutWhatAnAxisHasNoBinFor) {
  namespace ba = boost::histogram::axis;
  using inner = ba::regular<double, boost::use_default, ba::null_type, ba::option::none_t>;
  const inner along(4, 0, 4);
  shard::histogram bins(axis::integer(0, 2), along);
  add_once(bins, [](auto& a) {
    for (const double x : {-1.0, 0.0, 3.5, 4.0, nan}) a(1, x), a(9, x);
  });
  EXPECT_EQ(bins.state_bytes(), 4u * 4u * sizeof(std::int64_t));
  EXPECT_EQ(bins.at(1, 0), 1);
  EXPECT_EQ(bins.at(1, 3), 1);
  EXPECT_EQ(bins.at(2, 3), 1);
  EXPECT_THROW(bins.at(1, -1), shard::error);
  EXPECT_THROW(bins.at(1, 4), shard::error);
  const auto counts = bins.counts();
  std::int64_t total = 0;
  for (const std::int64_t count : counts.span()) total += count;
  EXPECT_EQ(total, 2);
}

// The bin of x by the edges that an axis reports: its own formula is not asked.
template <class Axis, class X>
int bin_by_edges(const Axis& along, X x) {
  if (std::isnan(static_cast<double>(x))) return along.size();
  const auto exact = static_cast<long double>(x);  // holds every number of up to 64 bits
  int k = -1;
  while (k < along.size() && exact >= static_cast<long double>(along.value(k + 1))) ++k;
  return k;
}

template <class Axis, class X>
void expect_bins_by_edges(const Axis& along, const std::vector<X>& values) {
  shard::histogram bins(along);
  std::map<int, std::int64_t> expected;
  add_once(bins, [&](auto& a) {
    for (const X x : values) a(x), ++expected[bin_by_edges(along, x)];
  });
  for (int k = -1; k <= along.size(); ++k) ASSERT_EQ(bins.at(k), expected[k]) << "bin " << k;
}

template <class Axis>
std::vector<double> edges_and_neighbours(const Axis& along) {
  std::vector<double> values{nan, infinity, -infinity};
  for (int k = 0; k <= along.size(); ++k) {
    const double edge = along.value(k);
    values.insert(values.end(),
                  {edge, std::nextafter(edge, infinity), std::nextafter(edge, -infinity)});
  }
  return values;
}

TEST(Histogram, KeepsToTheEdgesThatAnyAxisReports) {
  namespace ba = boost::histogram::axis;
  for (const int n : {1, 10, 49, 100, 999}) {
    const auto expect = [](const auto& along) {
      expect_bins_by_edges(along, edges_and_neighbours(along));
    };
    expect(axis::regular(n, 0, n));
    expect(axis::regular(n, -0.1, 0.7));
    expect(axis::logarithmic(n, 0.1, 1e4));
    expect(ba::regular<double, boost::use_default, ba::null_type>(static_cast<unsigned>(n), 0, n));
    expect(
        ba::regular<float, boost::use_default, ba::null_type>(static_cast<unsigned>(n), 0.1f, 7));
    expect(
        ba::regular<double, ba::transform::log, ba::null_type>(static_cast<unsigned>(n), 1, 1e3));
    std::vector<double> edges{0.1};
    for (int k = 0; k < n; ++k) edges.push_back(edges.back() * 1.01);
    expect(axis::variable(edges));
  }
}

// Rounded to nearest they would cross an edge.
TEST(Histogram, RoundsNoNumberAcrossAnEdge) {
  constexpr std::int64_t odd = (std::int64_t{1} << 53) + 3;  // between two doubles
  const auto around = [](auto x) {
    return std::vector<decltype(x)>{x, static_cast<decltype(x)>(x - 1),
                                    static_cast<decltype(x)>(x + 1)};
  };
  expect_bins_by_edges(axis::regular(4, 0x1p53, 0x1p53 + 16), around(odd));
  expect_bins_by_edges(axis::regular(4, -0x1p53 - 16, -0x1p53), around(-odd));
  expect_bins_by_edges(axis::logarithmic(3, 0x1p52, 0x1p55), around(odd));
  expect_bins_by_edges(axis::logarithmic(1, 1.0, 0x1p63),
                       around(std::numeric_limits<std::int64_t>::max() - 1));
  expect_bins_by_edges(axis::variable({0.0, 0x1p63}),
                       around(std::numeric_limits<std::int64_t>::max() - 1));
  expect_bins_by_edges(axis::variable({0.0, 0x1p64}),
                       around(std::numeric_limits<std::uint64_t>::max() - 1));
  expect_bins_by_edges(axis::variable({-0x1p63, 0.0}),
                       around(std::numeric_limits<std::int64_t>::min() + 1));
  expect_bins_by_edges(axis::regular(10, 0, 1), around(0.1L));
  expect_bins_by_edges(axis::regular(10, 0, 1), around(3 * 0.1L));
  namespace ba = boost::histogram::axis;
  expect_bins_by_edges(ba::variable<float, ba::null_type>({0.0f, 0.1f, 0.2f}),
                       std::vector<double>{0.1, 0.2, 0.1f, 0.2f, 0.0});
}

TEST(Histogram, RefusesAnAxisWhoseEdgesDescend) {
  namespace ba = boost::histogram::axis;
  const ba::regular<double, boost::use_default, ba::null_type> down(4, 1, 0);
  EXPECT_EQ(message_of([&] { shard::histogram bins(down); }),
            "cannot make the histogram: found an axis whose edges descend or are not numbers, "
            "expected ascending ones");
}

TEST(Histogram, GivesItsAxesToBoostsAlgorithms) {
  shard::histogram bins(axis::regular(100, 0, 100), axis::circular(24, 0, 24));
  add_once(bins, [](auto& a) {
    for (int i = 0; i < 100; ++i) a(i, i);
  });
  const auto boosts = bins.to_boost();
  EXPECT_EQ(boost::histogram::algorithm::sum(boosts), 100);
  const auto hours =
      boost::histogram::algorithm::project(boosts, std::integral_constant<unsigned, 1>());
  EXPECT_EQ(hours.at(3), 5);  // 3, 27, 51, 75, 99
  EXPECT_EQ(hours.at(4), 4);
}

TEST(Histogram, CountsAreRowMajorAndLeaveOutTheOuterBins) {
  shard::histogram bins(axis::integer(0, 2), axis::regular(3, 0, 3), axis::category({5, 6}));
  add_once(bins, [](auto& a) {
    for (int i = -1; i < 3; ++i)
      for (int j = -1; j < 4; ++j)
        for (int k = 4; k < 8; ++k) a.add(100 * i + 10 * j + k, i, j, k);
  });
  const shard::buffer<const std::int64_t, 3> counts = bins.counts();
  ASSERT_EQ(counts.shape(), (std::array<std::size_t, 3>{2, 3, 2}));
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 3; ++j)
      for (int k = 0; k < 2; ++k) EXPECT_EQ(counts(i, j, k), 100 * i + 10 * j + k + 5);
  EXPECT_EQ(counts.span()[1], 6);
}

TEST(Histogram, GoesOnFromAnEarlierMap) {
  shard::histogram bins(axis::integer(0, 3));
  reduce_in_chunks(bins, split<int>({0, 1, 1, 2}, {1, 2}), fill);
  reduce_in_chunks(bins, split<int>({1}, {}), fill);
  reduce_in_chunks(bins, split<int>({}, {}), fill);
  EXPECT_EQ(bins.at(0), 1);
  EXPECT_EQ(bins.at(1), 3);
  EXPECT_EQ(bins.at(2), 1);
}

TEST(Histogram, CopiesAndMovesWithItsCategories) {
  shard::histogram original(axis::category({"a", "a name too long for the small buffer"}));
  add_once(original, [](auto& a) { a("a"); });
  auto copy = original;
  const auto moved = std::move(original);
  add_once(copy, [](auto& a) { a("a name too long for the small buffer"); });
  EXPECT_EQ(copy.at(0), 1);
  EXPECT_EQ(copy.at(1), 1);
  EXPECT_EQ(moved.at(1), 0);
  EXPECT_EQ(copy.axis().value(0), "a");
}

TEST(Histogram, RefusesABinThatDoesNotExist) {
  const shard::histogram bins(axis::regular(10, 0, 1), axis::category({1, 2}));
  EXPECT_EQ(bins.at(-1, 2), 0);
  EXPECT_EQ(message_of([&] { bins.at(3, -1); }),
            "cannot read a bin of the histogram: found index -1 on axis 1, expected 0 to 2");
  EXPECT_EQ(message_of([&] { bins.at(11u, 0); }),
            "cannot read a bin of the histogram: found index 11 on axis 0, expected -1 to 10");
  EXPECT_THROW(bins.at(-2, 0), shard::error);
  EXPECT_THROW(bins.at(std::numeric_limits<std::uint64_t>::max(), 0), shard::error);
}

TEST(Axis, RefusesFewerThanOneBinNamingTheNumber) {
  EXPECT_EQ(message_of([] { axis::regular(0, 0, 1); }),
            "cannot make the regular axis: found 0 bins, expected 1 to 2147483645");
  EXPECT_EQ(message_of([] { axis::logarithmic(0, 1, 2); }),
            "cannot make the logarithmic axis: found 0 bins, expected 1 to 2147483645");
  EXPECT_EQ(message_of([] { axis::circular(-5, 0, 1); }),
            "cannot make the circular axis: found -5 bins, expected 1 to 2147483645");
  EXPECT_EQ(message_of([] { axis::integer(3, 3); }),
            "cannot make the integer axis: found 0 bins, expected 1 to 2147483645");
  EXPECT_EQ(message_of([] { axis::variable({1.0}); }),
            "cannot make the variable axis: found 0 bins, expected 1 to 2147483645");
  EXPECT_EQ(message_of([] { axis::category(std::vector<int>()); }),
            "cannot make the category axis: found 0 bins, expected 1 to 2147483645");
  EXPECT_THROW(axis::variable({}), shard::error);
  EXPECT_THROW(axis::integer(std::numeric_limits<int>::min(), std::numeric_limits<int>::max()),
               shard::error);
}

TEST(Axis, RefusesBoundsThatAreNotFiniteAndAscending) {
  EXPECT_EQ(message_of([] { axis::regular(10, 180, -60); }),
            "cannot make the regular axis: found bounds 180 and -60, expected finite ones with the "
            "low bound first");
  EXPECT_EQ(
      message_of([] { axis::logarithmic(10, 0, 1); }),
      "cannot make the logarithmic axis: found bounds 0 and 1, expected finite ones above zero "
      "with the low bound first");
  EXPECT_THROW(axis::logarithmic(10, -1, 1), shard::error);
  EXPECT_THROW(axis::logarithmic(10, 2, 1), shard::error);
  EXPECT_THROW(axis::logarithmic(10, nan, 1), shard::error);
  EXPECT_THROW(axis::logarithmic(10, 1, infinity), shard::error);
  EXPECT_THROW(axis::regular(10, 1, 1), shard::error);
  EXPECT_THROW(axis::regular(10, nan, 1), shard::error);
  EXPECT_THROW(axis::regular(10, -infinity, 1), shard::error);
  EXPECT_THROW(axis::regular(10, -1e308, 1e308), shard::error);
  EXPECT_THROW(axis::circular(10, 0, infinity), shard::error);
  EXPECT_THROW(axis::variable({0, 2, 2}), shard::error);
  EXPECT_THROW(axis::variable({0, 2, nan}), shard::error);
  EXPECT_THROW(axis::variable({0, 2, infinity}), shard::error);
}

TEST(Axis, RefusesACategoryThatIsRepeated) {
  EXPECT_EQ(message_of([] {
              shard::histogram bins(axis::category({"a", "b", "a"}));
            }),
            "cannot make the category axis: found value 2 a second time, expected each value once");
}

TEST(Axis, RefusesMoreBinsThanAnyMemoryHolds) {
  const auto wide = axis::integer(0, 2'000'000'000);
  EXPECT_EQ(message_of([&] { shard::histogram bins(wide, wide, wide); }),
            "cannot make the histogram: found 2000000002 x 2000000002 x 2000000002 bins, expected "
            "at most 1152921504606846975");
}

TEST(Histogram, RefusesMoreBinsThanThereIsMemoryForAndSaysHowMuchThatIs) {
  if (shard_test::sanitized) GTEST_SKIP() << "a sanitizer ends programs that ask for so much";
  const std::string said = shard_test::refusal([] {
    const shard::histogram far_too_large{shard::axis::regular(1 << 30, 0.0, 1.0),
                                         shard::axis::regular(1 << 20, 0.0, 1.0)};
  });
  EXPECT_TRUE(shard_test::mentions(said, {"cannot make the histogram", "bins", "bytes of memory"}))
      << said;
}

}  // namespace
