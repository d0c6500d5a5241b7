#include "shard/drawing.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "mapping/rebinned.hpp"
#include "mapping/shown_text.hpp"
#include "mapping/ticks.hpp"
#include "refusal.hpp"
#include "shard/error.hpp"
#include "shard/text.hpp"
#include "unit/states.hpp"
#include "xml.hpp"

namespace {

namespace axis = shard::axis;
using shard::testing::add_once;
using shard_test::element;
using shard_test::mentions;
using shard_test::refusal;
using shard_test::xml_reader;

constexpr double infinity = std::numeric_limits<double>::infinity();

// Counts in bins, without underflow and overflow.
template <class... Axes>
shard::bin_table counted(const std::vector<std::int64_t>& counts, const Axes&... axes) {
  return shard::tabulate(std::span(counts), axes...);
}

shard::bin_table summed(std::vector<double> values) {
  shard::bin_table made;
  made.axes = counted(std::vector<std::int64_t>(values.size()),
                      axis::regular(static_cast<std::int64_t>(values.size()), 0,
                                    static_cast<double>(values.size())))
                  .axes;
  made.type = shard::bin_table::kind::sum;
  made.values = std::move(values);
  return made;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// Golden texts begin with an empty line.
std::string golden(std::string_view text) { return std::string(text.substr(1)); }

// ---- text

TEST(Drawing, HasALineForEachBinAndAScale) {
  shard::histogram bins(axis::regular(4, 0, 2));
  add_once(bins, [](auto& add) {
    for (const double x : {-1.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 1.1, 1.6, 1.7, 1.8, 5.0, 6.0})
      add(x);
  });
  EXPECT_EQ(shard::draw(bins, {.title = "Thirteen values", .width = 44}), golden(R"(
Thirteen values
underflow 1 │
 [0, 0.5) 4 │███████████████████████████████
 [0.5, 1) 2 │███████████████▌
 [1, 1.5) 1 │███████▊
 [1.5, 2) 3 │███████████████████████▎
 overflow 2 │
            ├───────┬───────┬──────┬───────┬
            0       1       2      3       4
)"));
}

TEST(Drawing, InAsciiHasWholeCells) {
  EXPECT_EQ(shard::draw(counted({1, 30, 7}, axis::category({"apple", "pear", "quince"})),
                        {.width = 40, .ascii = true}),
            golden(R"(
 apple  1 |#
  pear 30 |#############################
quince  7 |#######
          +---------+--------+---------+
          0         10       20       30
)"));
}

TEST(Drawing, HasBarsToBothSidesOfZero) {
  EXPECT_EQ(shard::draw(summed({-2, 1, 0, 4}), {.width = 40}), golden(R"(
[0, 1) -2  █████████│
[1, 2)  1           │████▋
[2, 3)  0           │
[3, 4)  4           │██████████████████▋
          ─┬────────┼────────┬─────────┬
           -2       0        2         4
)"));
}

TEST(Drawing, OfTwoAxesHasShadesAndALegend) {
  shard::histogram bins(axis::integer(0, 4), axis::category({"a", "b"}));
  add_once(bins, [](auto& add) {
    for (int x = 0; x < 4; ++x)
      for (int i = 0; i < 2 * x; ++i) add(x, i % 3 == 0 ? "b" : "a");
    add(17, "a");
  });
  EXPECT_EQ(shard::draw(bins, {.width = 40}), golden(R"(
b │  ░░▒▒▒▒
a │  ░░▒▒██
  ├┬─┬─┬─┬─
   0 1 2 3
blank 0  ░ ≤ 1  ▒ ≤ 2  ▓ ≤ 3  █ ≤ 4
underflow and overflow: 1
)"));
}

TEST(Drawing, AddsUpNeighboursWhereThereAreMoreBinsThanRows) {
  std::vector<std::int64_t> counts(1000);
  std::iota(counts.begin(), counts.end(), 0);
  const std::string text = shard::draw(counted(counts, axis::integer(0, 1000)), {.rows = 4});
  EXPECT_EQ(text, golden(R"(
  0…249  31125 │█████████▏
250…499  93625 │███████████████████████████▍
500…749 156125 │█████████████████████████████████████████████▊
750…999 218625 │████████████████████████████████████████████████████████████████
               ├──────────────┬─────────────┬──────────────┬──────────────┬─────
               0            50000         100000         150000         200000
)"));
}

TEST(Drawing, OnALogarithmicScaleShowsEveryPowerOfTen) {
  EXPECT_EQ(shard::draw(counted({1, 10, 100, 1000, 0}, axis::integer(0, 5)),
                        {.width = 40, .logarithmic = true}),
            golden(R"(
0    1 │████████
1   10 │████████████████
2  100 │████████████████████████
3 1000 │████████████████████████████████
4    0 │
       ├───────┬───────┬───────┬───────┬
      0.1      1       10     100   1000
)"));
}

TEST(Drawing, OfNothingIsAnEmptyScale) {
  EXPECT_EQ(shard::draw(counted({0, 0}, axis::integer(0, 2)), {.width = 32}), golden(R"(
0 0 │
1 0 │
    ├──────────────────────────┬
    0                          1
)"));
}

// How many eighths of a cell a line has behind its base line.
double length_of(const std::string& line) {
  const std::array<std::string, 8> blocks{"█", "▉", "▊", "▋", "▌", "▍", "▎", "▏"};
  double eighths = 0;
  const std::size_t base = line.find("│");
  for (std::size_t i = 0; i < blocks.size(); ++i)
    for (std::size_t at = base; (at = line.find(blocks[i], at)) != line.npos; ++at)
      eighths += 8 - static_cast<double>(i);
  return eighths / 8;
}

RC_GTEST_PROP(Drawing, HasBarsAsLongAsTheirCounts, ()) {
  const auto counts = *rc::gen::nonEmpty<std::vector<std::int64_t>>(
      rc::gen::container<std::vector<std::int64_t>>(rc::gen::inRange<std::int64_t>(0, 1 << 30)));
  const std::size_t width = *rc::gen::inRange<std::size_t>(32, 200);
  const auto bins = static_cast<int>(counts.size());
  const std::string text =
      shard::draw(counted(counts, axis::integer(0, bins)), {.width = width, .rows = counts.size()});
  const std::vector<std::string> lines = lines_of(text);
  RC_ASSERT(lines.size() == counts.size() + 2);
  for (const std::string& line : lines) RC_ASSERT(shard::mapping::columns(line) <= width);
  const std::int64_t most = *std::ranges::max_element(counts);
  double cells = 0;
  for (const std::string& line : lines) cells = std::max(cells, length_of(line));
  for (std::size_t k = 0; k < counts.size(); ++k) {
    const double share = most == 0 ? 0 : static_cast<double>(counts[k]) / static_cast<double>(most);
    RC_ASSERT(std::abs(length_of(lines[k]) - share * cells) <= 0.125);
    RC_ASSERT((length_of(lines[k]) > 0) == (counts[k] > 0));
    RC_ASSERT(lines[k].find(" " + std::to_string(counts[k]) + " ") != std::string::npos);
  }
}

TEST(Drawing, KeepsToItsWidthWithLongNamesAndHugeCounts) {
  const std::string name(300, 'n');
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  for (const std::size_t width : {std::size_t{48}, std::size_t{80}, std::size_t{200}}) {
    const std::string text =
        shard::draw(counted({most, 1}, axis::category({name, std::string("b")})),
                    {.title = name, .width = width});
    for (const std::string& line : lines_of(text))
      EXPECT_LE(shard::mapping::columns(line), width) << line;
    mentions(text, {"9223372036854775807", "…"});
  }
}

TEST(Drawing, ShowsNoCommandToATerminal) {
  const std::vector<std::string> names{"\033[2J",
                                       "a\nb",
                                       "\xC2\x9B"
                                       "1m",
                                       "\xFF\xFE",
                                       "naïve",
                                       "日本",
                                       "\u202Egnp"};
  const std::string text = shard::draw(
      counted(std::vector<std::int64_t>(7, 3), axis::category(names)), {.title = "\a\r"});
  EXPECT_EQ(lines_of(text).size(), 1 + 7 + 2u);
  EXPECT_TRUE(shard::memory::is_utf8(text));
  for (const char c : text) EXPECT_TRUE(c < 0 || c == '\n' || c >= ' ') << int(c);
  mentions(text,
           {".[2J 3 │", "a.b 3 │", ".1m 3 │", "?? 3 │", "naïve 3 │", " 日本 3 │", ".gnp 3 │"});
  for (const char c : shard::draw(counted(std::vector<std::int64_t>(7, 3), axis::category(names)),
                                  {.ascii = true}))
    EXPECT_GE(c, 0);
}

TEST(Drawing, OfCategoriesThatWereFoundHasALineForEach) {
  shard::category_counts<shard::text<3>> flights(10);
  add_once(flights, [](auto& add) {
    for (const char* name : {"SFO", "JFK", "SFO"}) add(shard::text<3>(name));
  });
  const std::vector<std::string> lines = lines_of(shard::draw(flights));
  EXPECT_TRUE(lines[0].starts_with("JFK 1 │"));
  EXPECT_TRUE(lines[1].starts_with("SFO 2 │"));
  EXPECT_EQ(lines.size(), 2 + 2u);
}

TEST(Drawing, LeavesOutBarsOfWhatIsNotFinite) {
  const std::string text =
      shard::draw(summed({infinity, -infinity, std::nan(""), 2}), {.width = 40});
  const std::vector<std::string> lines = lines_of(text);
  for (int k = 0; k < 3; ++k) EXPECT_EQ(length_of(lines[static_cast<std::size_t>(k)]), 0);
  EXPECT_GT(length_of(lines[3]), 20);
  mentions(text, {"inf", "-inf", "nan"});
}

TEST(Drawing, ShowsErrorsOfWeightsAndMeans) {
  shard::bin_table table = summed({12.34, 5});
  table.type = shard::bin_table::kind::weighted;
  table.variances = {0.25, 4};
  mentions(shard::draw(table), {"12.34 ± 0.5", "5 ± 2"});
  table.type = shard::bin_table::kind::mean;
  table.weights = {100, 0};
  const std::string text = shard::draw(table);
  mentions(text, {"12.34 ± 0.05"});
  EXPECT_EQ(length_of(lines_of(text)[1]), 0) << text;  // the mean of nothing
}

TEST(Drawing, OfTwoAxesHasRoomForLongNamesAtItsLeft) {
  std::vector<std::string> names;
  for (int k = 0; k < 20; ++k) names.push_back("category-" + std::to_string(k));
  const shard::histogram bins(axis::category(names), axis::integer(0, 5));
  EXPECT_NE(shard::draw(bins).find("category-0"), std::string::npos);
  EXPECT_FALSE(
      shard::draw(shard::histogram(axis::integer(1'000'000, 1'000'100), axis::integer(0, 5)))
          .empty());
}

TEST(Drawing, WithAsManyRowsAsThereCanBeHasALineForEachBin) {
  const auto table = counted({1, 2, 3}, axis::integer(0, 3));
  EXPECT_EQ(shard::draw(table, {.rows = std::numeric_limits<std::size_t>::max()}),
            shard::draw(table, {.rows = 3}));
}

TEST(Drawing, OfCountsBeyondTheBinsAddsThemUpWithoutAnOverflow) {
  auto table = shard::tabulate(shard::histogram(axis::integer(0, 2), axis::integer(0, 2)));
  std::ranges::fill(table.counts, std::numeric_limits<std::int64_t>::max());
  EXPECT_NE(shard::draw(table).find("overflow: 1.1068e20"), std::string::npos)
      << shard::draw(table);
}

// Any bits, and what is next to the end of what there is.
RC_GTEST_PROP(Drawing, OfAnyNumbersEnds, ()) {
  const auto any = rc::gen::map(rc::gen::arbitrary<std::uint64_t>(),
                                [](std::uint64_t bits) { return std::bit_cast<double>(bits); });
  constexpr double most = std::numeric_limits<double>::max();
  const auto odd = rc::gen::element(0.0, 1.0, -1.0, most, -most, most / 2, 1e308, 5e-324, 1e-300,
                                    infinity, -infinity, std::nan(""));
  const auto number = rc::gen::oneOf(any, odd);
  shard::bin_table table = summed(*rc::gen::container<std::vector<double>>(6, number));
  auto edges = *rc::gen::container<std::vector<double>>(7, number);
  std::erase_if(edges, [](double x) { return std::isnan(x); });
  std::ranges::sort(edges);
  if (edges.size() == 7) {
    table.axes[0].type = shard::bin_axis::kind::variable;
    table.axes[0].edges = edges;
  }
  for (const bool logarithmic : {false, true}) {
    RC_ASSERT(!shard::draw(table, {.logarithmic = logarithmic}).empty());
    RC_ASSERT(!shard::draw(table, {.logarithmic = logarithmic, .ascii = true}).empty());
    RC_ASSERT(!shard::to_svg(table, {.logarithmic = logarithmic}).empty());
  }
}

TEST(Drawing, RefusesWhatItCannotDraw) {
  const shard::bin_table one = counted({1}, axis::integer(0, 1));
  mentions(refusal([&] { shard::draw(one, {.width = 20}); }),
           {"cannot draw the histogram", "width of 20", "32"});
  mentions(refusal([&] { shard::draw(one, {.rows = 0}); }), {"0 rows"});
  mentions(refusal([&] { shard::to_svg(one, {.width = 20}); }), {"20 x 440 pixels"});
  shard::bin_table three = one;
  three.axes.insert(three.axes.end(), 2, one.axes[0]);
  mentions(refusal([&] { shard::draw(three); }), {"found 3 axes"});
  mentions(refusal([&] { shard::to_svg(three); }), {"found 3 axes"});
  shard::bin_table cut = one;
  cut.counts.clear();
  mentions(refusal([&] { shard::draw(cut); }), {"table of bins", "0 counts", "1"});
  mentions(refusal([&] { shard::to_svg(shard::bin_table()); }), {"no axis"});
  mentions(refusal([&] { counted({1, 2}, axis::integer(0, 3)); }), {"2 counts", "3"});
}

// ---- bins together

// Counts, sums and means of neighbours are what one bin in their place would have.
TEST(Rebinned, IsWhatWiderBinsHold) {
  const auto fine = axis::integer(0, 10);
  const auto wide = axis::variable({0, 4, 8, 10});
  const auto both = [&](auto fine_bins, auto wide_bins, auto add) {
    add_once(fine_bins, [&](auto& a) {
      for (int x = -2; x < 13; ++x) add(a, x);
    });
    add_once(wide_bins, [&](auto& a) {
      for (int x = -2; x < 13; ++x) add(a, x);
    });
    const std::size_t group[] = {4};
    const shard::bin_table found = shard::mapping::rebinned(shard::tabulate(fine_bins), group);
    const shard::bin_table expected = shard::tabulate(wide_bins);
    EXPECT_EQ(found.axes[0].edges, expected.axes[0].edges);
    EXPECT_EQ(found.counts, expected.counts);
    ASSERT_EQ(found.values.size(), expected.values.size());
    for (std::size_t bin = 0; bin < found.values.size(); ++bin) {
      EXPECT_NEAR(found.values[bin], expected.values[bin], 1e-12);
      EXPECT_NEAR(found.variances[bin], expected.variances[bin], 1e-12);
    }
    EXPECT_EQ(found.weights, expected.weights);
  };
  both(shard::histogram(fine), shard::histogram(wide), [](auto& a, int x) { a.add(x * x, x); });
  both(shard::weighted_histogram(fine), shard::weighted_histogram(wide),
       [](auto& a, int x) { a.add(x, shard::weight(0.5 * x)); });
  both(shard::profile(fine), shard::profile(wide), [](auto& a, int x) {
    for (int y = 0; y < x * x % 7 + 2; ++y) a(x, shard::sample(1.0 * y * x));
  });
}

// Where all weights are 1, means with weights are those without.
TEST(Rebinned, OfWeightedMeansIsThatOfMeansWhereAllWeightsAreOne) {
  shard::bin_table means = summed({1, 5, 2, 7, 3});
  means.type = shard::bin_table::kind::mean;
  means.weights = {3, 2, 0, 1, 8};
  means.variances = {0.5, 2, 0, std::nan(""), 4};
  shard::bin_table weighted = means;
  weighted.type = shard::bin_table::kind::weighted_mean;
  weighted.squares = means.weights;
  const std::size_t group[] = {3};
  const shard::bin_table a = shard::mapping::rebinned(means, group);
  const shard::bin_table b = shard::mapping::rebinned(weighted, group);
  EXPECT_DOUBLE_EQ(a.values[0], (3 * 1 + 2 * 5) / 5.0);
  EXPECT_DOUBLE_EQ(a.variances[0], (2 * 0.5 + 1 * 2.0 + 6.0 / 5 * 16) / 4);
  for (std::size_t bin = 0; bin < 2; ++bin) {
    EXPECT_DOUBLE_EQ(a.values[bin], b.values[bin]);
    EXPECT_DOUBLE_EQ(a.variances[bin], b.variances[bin]);
    EXPECT_DOUBLE_EQ(a.error(bin), b.error(bin));
  }
}

TEST(Rebinned, OfTwoAxesKeepsUnderflowAndOverflow) {
  shard::histogram bins(axis::integer(0, 5), axis::category({"a", "b", "c"}));
  add_once(bins, [](auto& add) {
    for (int i = 0; i < 100; ++i)
      add(i % 7 - 1, i % 4 == 0 ? "a" : i % 4 == 1 ? "b" : i % 4 == 2 ? "c" : "?");
  });
  const shard::bin_table whole = shard::tabulate(bins);
  const std::size_t groups[] = {2, 3};
  const shard::bin_table made = shard::mapping::rebinned(whole, groups);
  EXPECT_EQ(made.size(), 5u * 2);
  EXPECT_EQ(std::get<0>(made.axes[1].categories), std::vector<std::string>{"a .. c"});
  const auto at = [&](int x, std::size_t y) {
    return made.counts[static_cast<std::size_t>(x + 1) * 2 + y];
  };
  for (const int x : {-1, 3}) {  // bins 4 and 5 of five are one and overflow
    const int fine = x == 3 ? 5 : x;
    EXPECT_EQ(at(x, 0), bins.at(fine, 0) + bins.at(fine, 1) + bins.at(fine, 2));
    EXPECT_EQ(at(x, 1), bins.at(fine, 3));
  }
  EXPECT_EQ(at(1, 1), bins.at(2, 3) + bins.at(3, 3));
  EXPECT_EQ(std::reduce(made.counts.begin(), made.counts.end()), 100);
}

// ---- ticks

TEST(Ticks, AreRoundNumbersWithExactLabels) {
  const auto labels = [](double low, double high, std::size_t most) {
    std::string all;
    for (const auto& each : shard::mapping::round_ticks(low, high, most)) all += each.label + " ";
    return all;
  };
  EXPECT_EQ(labels(0, 1, 6), "0.0 0.2 0.4 0.6 0.8 1.0 ");
  EXPECT_EQ(labels(0, 0.3, 4), "0.0 0.1 0.2 0.3 ");
  EXPECT_EQ(labels(-7, 12, 5), "-5 0 5 10 ");
  EXPECT_EQ(labels(0, 135'954, 5), "0 50000 100000 ");
  EXPECT_EQ(labels(0, 9.3e18, 4), "0 5e18 ");
  EXPECT_EQ(labels(1e-9, 3e-9, 4), "1e-9 2e-9 3e-9 ");
  EXPECT_EQ(labels(3, 3, 4), "3 ");
}

RC_GTEST_PROP(Ticks, LieInsideAndAreNeverTooMany, ()) {
  const double low = *rc::gen::arbitrary<double>();
  const double high = *rc::gen::arbitrary<double>();
  RC_PRE(std::isfinite(low) && std::isfinite(high) && low < high);
  const auto most = *rc::gen::inRange<std::size_t>(2, 20);
  const auto ticks = shard::mapping::round_ticks(low, high, most);
  const double slack = 1e-6 * (high / 2 - low / 2);
  RC_ASSERT(ticks.size() <= most);
  for (std::size_t k = 0; k < ticks.size(); ++k) {
    RC_ASSERT(ticks[k].value >= low - slack && ticks[k].value <= high + slack);
    if (k > 0) RC_ASSERT(ticks[k - 1].value < ticks[k].value);
  }
}

TEST(Ticks, OfDecadesArePowersOfTen) {
  const auto labels = [](double low, double high) {
    std::string all;
    for (const auto& each : shard::mapping::decade_ticks(low, high, 8)) all += each.label + " ";
    return all;
  };
  EXPECT_EQ(labels(0.1, 1000), "0.1 1 10 100 1000 ");
  EXPECT_EQ(labels(1, 1e12), "1e0 1e2 1e4 1e6 1e8 1e10 1e12 ");
  EXPECT_EQ(labels(3, 60), "5 10 20 50 ");
  EXPECT_EQ(labels(11, 14), "11.0 11.5 12.0 12.5 13.0 13.5 14.0 ");
}

TEST(EdgeLabels, TellNeighboursApart) {
  const auto labels = [](const std::vector<double>& edges) {
    std::string all;
    for (const std::string& each : shard::mapping::edge_labels(edges)) all += each + " ";
    return all;
  };
  EXPECT_EQ(labels({0, 0.1, 0.2, 0.1 * 3}), "0 0.1 0.2 0.3 ");
  EXPECT_EQ(labels({0, 1.0 / 12, 1.0 / 6, 5.0 / 6, 11.0 / 12}), "0 0.083 0.167 0.833 0.917 ");
  EXPECT_EQ(labels({0.01, 0.0158, 631, 1000, 1e9, 1e12}), "0.01 0.0158 631 1000 1e9 1e12 ");
  EXPECT_EQ(labels({1e9, 1e9 + 1}), "1000000000 1000000001 ");
  EXPECT_EQ(labels({-1, 1.0 / 3, 5e-17 - 5e-17 + 1}), "-1 0.33 1 ");
}

// ---- SVG

TEST(EdgeLabels, CallNothingZeroThatIsNot) {
  const std::vector<double> infinite{-infinity, 5, infinity};
  EXPECT_EQ(shard::mapping::edge_labels(infinite), (std::vector<std::string>{"-inf", "5", "inf"}));
  const std::vector<double> equal{5, 5};
  EXPECT_EQ(shard::mapping::edge_labels(equal), (std::vector<std::string>{"5", "5"}));
}

TEST(Svg, HasABarForEachBin) {
  for (const int bins : {1, 10, 1000}) {
    std::vector<std::int64_t> counts(static_cast<std::size_t>(bins));
    std::iota(counts.begin(), counts.end(), 0);
    const element root =
        xml_reader::read(shard::to_svg(counted(counts, axis::regular(bins, 0, 1))));
    EXPECT_EQ(root.name, "svg");
    EXPECT_EQ(root.all("rect", "bar").size(), counts.size());
  }
}

RC_GTEST_PROP(Svg, HasBarsAsHighAsTheirCounts, ()) {
  const auto counts = *rc::gen::nonEmpty<std::vector<std::int64_t>>(
      rc::gen::container<std::vector<std::int64_t>>(rc::gen::inRange<std::int64_t>(0, 1 << 30)));
  const auto bins = static_cast<std::int64_t>(counts.size());
  const element root = xml_reader::read(shard::to_svg(counted(counts, axis::regular(bins, -5, 5))));
  const std::vector<element> bars = root.all("rect", "bar");
  RC_ASSERT(bars.size() == counts.size());
  double highest = 0;
  for (const element& bar : bars) highest = std::max(highest, bar.number("height"));
  const auto most = static_cast<double>(*std::ranges::max_element(counts));
  for (std::size_t k = 0; k < bars.size(); ++k) {
    const double share = most == 0 ? 0 : static_cast<double>(counts[k]) / most;
    RC_ASSERT(std::abs(bars[k].number("height") - share * highest) < 0.03);
    const double end = bars[k].number("x") + bars[k].number("width");
    if (k + 1 < bars.size()) RC_ASSERT(std::abs(end - bars[k + 1].number("x")) < 0.03);
    RC_ASSERT(bars[k].number("y") >= 0 && bars[k].number("y") + bars[k].number("height") < 440);
  }
}

TEST(Svg, TellsTitleLabelsTicksAndWhatIsOutside) {
  shard::histogram bins(axis::regular(10, 0, 10));
  add_once(bins, [](auto& add) {
    for (int i = 0; i < 50; ++i) add(i % 10);
    for (const double x : {-3.0, -4.0, 77.0}) add(x);
  });
  const element root = xml_reader::read(
      shard::to_svg(bins, {.title = "Values", .x_label = "x in m", .y_label = "how many"}));
  const std::vector<std::string> texts = root.texts();
  const auto has = [&](const std::string& text) { return std::ranges::count(texts, text) > 0; };
  for (const char* text : {"Values", "x in m", "how many", "underflow 2, overflow 1", "0", "10"})
    EXPECT_TRUE(has(text)) << text;
  EXPECT_EQ(root.all("title").at(0).text, "Values");
  EXPECT_EQ(root.all("path", "errors").size(), 1u);
  EXPECT_TRUE(
      xml_reader::read(shard::to_svg(bins, {.errors = false})).all("path", "errors").empty());
}

// Each decade has the same width.
TEST(Svg, OfALogarithmicAxisHasBarsOfEqualWidth) {
  const std::vector<shard::bin_table> all{
      counted({5, 5, 5, 5}, axis::logarithmic(4, 1, 1e4)),
      counted({5, 5, 5, 5}, axis::variable({1e-300, 1e-150, 1, 1e150, 1e300}))};
  for (const shard::bin_table& table : all) {
    const element root = xml_reader::read(shard::to_svg(table));
    const std::vector<element> bars = root.all("rect", "bar");
    ASSERT_EQ(bars.size(), 4u);
    EXPECT_GT(bars[0].number("width"), 100);
    for (const element& bar : bars) EXPECT_NEAR(bar.number("width"), bars[0].number("width"), 0.02);
  }
  const std::vector<std::string> texts = xml_reader::read(shard::to_svg(all[0])).texts();
  for (const char* label : {"1", "10", "100", "1000", "10000"})
    EXPECT_TRUE(std::ranges::count(texts, label) > 0) << label;
}

TEST(Svg, IsWellFormedWhateverNamesAre) {
  const std::vector<std::string> names{
      "<script>", "a & b", "\"quoted\"",   "it's",   "]]>",    std::string("nul\0", 4),
      "\033[2J",  "\xFF",  "\xED\xA0\x80", "日本語", "\uFFFF", "-->"};
  const std::vector<std::int64_t> counts(names.size(), 1);
  const element root =
      xml_reader::read(shard::to_svg(counted(counts, axis::category(names)),
                                     {.title = "<&\">", .x_label = "\x01", .y_label = "&amp;"}));
  const std::vector<std::string> texts = root.texts();
  for (const char* text : {"<script>", "a & b", "\"quoted\"", "it's", "]]>", "nul.", ".[2J", "?",
                           "日本語", "-->", "<&\">", "&amp;", "."})
    EXPECT_TRUE(std::ranges::count(texts, text) > 0) << text;
  EXPECT_EQ(root.all("rect", "bar").size(), names.size());
  EXPECT_TRUE(root.all("script").empty());
}

TEST(Svg, OfTwoAxesHasACellForEachBinThatIsNotEmpty) {
  shard::histogram bins(axis::regular(20, 0, 1), axis::category({"a", "b", "c"}));
  add_once(bins, [](auto& add) {
    for (int i = 0; i < 20; ++i) add(i / 20.0 + 0.01, i % 2 == 0 ? "a" : "c");
    add(0.5, "nowhere");
  });
  const element root = xml_reader::read(shard::to_svg(bins));
  EXPECT_EQ(root.all("rect", "cell").size(), 20u);
  EXPECT_FALSE(root.all("g", "scale").empty());
  const std::vector<std::string> texts = root.texts();
  EXPECT_EQ(std::ranges::count(texts, "underflow and overflow 1"), 1);
}

// Numbers that leave the picture, or no number at all, would be seen in a coordinate.
TEST(Svg, HasPlacesInsideWhateverIsInTheBins) {
  const double huge = std::numeric_limits<double>::max();
  const std::vector<shard::bin_table> all{
      summed({infinity, -infinity, std::nan(""), 2}),
      summed({huge, -huge, 0}),
      summed({5e-324, 0, -5e-324}),
      summed({0}),
      counted({std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()},
              axis::integer(0, 2)),
      counted({0, 0, 0}, axis::category({1, 2, 3})),
      summed({1e-300, 1e300, 1}),
      counted({1, 2}, axis::regular(2, -huge / 2, huge / 2)),
      counted({1, 2, 3, 4}, axis::regular(2, 1e18, 1e18 + 1024), axis::integer(-3, -1)),
  };
  for (const shard::bin_table& table : all) {
    for (const bool logarithmic : {false, true}) {
      const std::string text = shard::to_svg(table, {.logarithmic = logarithmic});
      const element root = xml_reader::read(text);
      EXPECT_EQ(text.find("nan"), text.npos);
      EXPECT_EQ(text.find("inf"), text.npos);
      for (const element& bar : root.all("rect")) {
        EXPECT_GE(bar.number("x"), 0);
        EXPECT_GE(bar.number("y"), 0);
        EXPECT_GE(bar.number("height"), 0);
        EXPECT_LE(bar.number("x") + bar.number("width"), 720.01);
        EXPECT_LE(bar.number("y") + bar.number("height"), 440.01);
      }
      EXPECT_FALSE(shard::draw(table, {.logarithmic = logarithmic}).empty());
    }
  }
}

TEST(Svg, AddsUpNeighboursThatNoPixelCouldTellApart) {
  const std::vector<std::int64_t> counts(1 << 20, 1);
  const std::string text = shard::to_svg(counted(counts, axis::integer(0, 1 << 20)));
  EXPECT_LE(xml_reader::read(text).all("rect", "bar").size(), 1440u);
}

}  // namespace
