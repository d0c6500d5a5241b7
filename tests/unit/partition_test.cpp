#include "plan/partition.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

#include "mapping/units.hpp"
#include "refusal.hpp"
#include "shard/map.hpp"

namespace {

using shard::range;
using shard::plan::default_grain;
using shard::plan::partition;
using shard_test::mentions;
using shard_test::refusal;

std::vector<range> all_chunks(const partition& cut) {
  std::vector<range> found;
  for (std::size_t k = 0; k < cut.chunks(); ++k) found.push_back(cut[k]);
  return found;
}

std::vector<std::size_t> sizes(const partition& cut) {
  std::vector<std::size_t> found;
  for (const range chunk : all_chunks(cut)) found.push_back(chunk.size());
  return found;
}

// What a serial loop walks.
std::vector<std::size_t> indices_of(range all) {
  std::vector<std::size_t> found(all.size());
  std::iota(found.begin(), found.end(), all.first);
  return found;
}

std::vector<std::size_t> indices_of(const partition& cut) {
  std::vector<std::size_t> found;
  for (const range chunk : all_chunks(cut)) found.insert(found.end(), chunk.begin(), chunk.end());
  return found;
}

bool none_empty(const partition& cut) {
  return std::ranges::none_of(all_chunks(cut), [](range chunk) { return chunk.empty(); });
}

// ---- Even chunks ----

TEST(Partition, CutsIntoChunksOfTheGrainAndAShorterLastOne) {
  using expected = std::vector<std::size_t>;
  EXPECT_EQ(sizes(partition::uniform({0, 100}, 25)), (expected{25, 25, 25, 25}));
  EXPECT_EQ(sizes(partition::uniform({0, 10}, 3)), (expected{3, 3, 3, 1}));
  EXPECT_EQ(sizes(partition::uniform({0, 10}, 11)), (expected{10}));
  EXPECT_EQ(sizes(partition::uniform({0, 0}, 5)), (expected{}));
  EXPECT_EQ(sizes(partition::uniform({7, 7}, 5)), (expected{}));
}

TEST(Partition, HasEveryIndexOnceInOrder) {
  for (const std::size_t n : {1u, 2u, 7u, 10u, 100u, 1000u}) {
    for (const std::size_t grain : {1u, 2u, 3u, 7u, 10u, 100u}) {
      const partition cut = partition::uniform({0, n}, grain);
      EXPECT_EQ(indices_of(cut), indices_of(range{0, n})) << n << " by " << grain;
      EXPECT_TRUE(none_empty(cut)) << n << " by " << grain;
      EXPECT_EQ(cut.indices(), n);
    }
  }
}

RC_GTEST_PROP(Partition, OfAnyRangeHasEveryIndexOnceInOrder, ()) {
  const auto first = *rc::gen::inRange<std::size_t>(0, 1000);
  const range all{first, first + *rc::gen::inRange<std::size_t>(0, 3000)};
  const partition cut = partition::uniform(all, *rc::gen::inRange<std::size_t>(1, 4000));
  RC_ASSERT(indices_of(cut) == indices_of(all));
  RC_ASSERT(none_empty(cut));
}

// Without enumerating: neighbours touch, all but the last have the grain.
RC_GTEST_PROP(Partition, OfAnySizeAtAllHasChunksThatTouch, ()) {
  const auto n = *rc::gen::arbitrary<std::uint64_t>();
  const auto grain =
      *rc::gen::suchThat(rc::gen::arbitrary<std::uint64_t>(), [](auto g) { return g != 0; });
  const partition cut = partition::uniform({0, n}, grain);
  RC_ASSERT(cut.chunks() == n / grain + (n % grain != 0));
  if (n == 0) return;
  const std::size_t last = cut.chunks() - 1;
  RC_ASSERT(cut[0].first == 0u);
  RC_ASSERT(cut[last].last == n);
  RC_ASSERT(!cut[last].empty());
  if (last == 0) return;
  const auto k = *rc::gen::inRange<std::size_t>(0, last);
  RC_ASSERT(cut[k].last == cut[k + 1].first);
  RC_ASSERT(cut[k].size() == grain);
}

TEST(Partition, OfThreeBillionIndicesNeedsNoMemoryForThem) {
  constexpr std::size_t n = 3'000'000'000;
  const partition cut = partition::uniform({0, n}, 7);
  EXPECT_EQ(cut.chunks(), 428'571'429u);
  EXPECT_EQ(cut[428'571'428], (range{2'999'999'996, n}));
  EXPECT_EQ(cut[400'000'000], (range{2'800'000'000, 2'800'000'007}));
  EXPECT_EQ(cut.indices(), n);
}

TEST(Partition, UpToTheLastIndexOfAllDoesNotWrap) {
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
  const partition cut = partition::uniform({most - 10, most}, 4);
  EXPECT_EQ(sizes(cut), (std::vector<std::size_t>{4, 4, 2}));
  EXPECT_EQ(cut[2], (range{most - 2, most}));
  EXPECT_EQ(partition::uniform({0, most}, most - 1).chunks(), 2u);
}

TEST(Partition, OfGrainZeroNamesTheGrain) {
  EXPECT_EQ(refusal([] {
              partition::uniform({0, 10}, 0);
            }),
            "cannot plan the map: found grain 0, expected a grain of at least 1");
}

TEST(Partition, OfARangeThatDescendsShowsTheRange) {
  mentions(refusal([] { partition::uniform({7, 3}, 1); }), {"[7, 3)", "first <= last"});
}

// ---- Lists ----

TEST(Partition, OfAListIsTheListGapsAndAll) {
  const std::vector<range> parts{{2, 3}, {3, 10}, {15, 20}};
  const partition cut = partition::listed({{0, 20}, parts});
  EXPECT_EQ(all_chunks(cut), parts);
  EXPECT_EQ(cut.indices(), 13u);
  EXPECT_EQ(cut.grain(), 0u);
  EXPECT_EQ(partition::listed({{0, 20}, {}}).chunks(), 0u);
}

TEST(Partition, OfABadListNamesTheChunkAndWhatIsWrong) {
  const auto listed = [](std::vector<range> parts) {
    return refusal([&] { partition::listed({{5, 20}, parts}); });
  };
  mentions(listed({{5, 8}, {7, 10}}), {"chunk 1 = [7, 10)", "begin at 8 or later"});
  mentions(listed({{10, 12}, {5, 6}}), {"chunk 1 = [5, 6)", "begin at 12 or later"});
  mentions(listed({{4, 8}}), {"chunk 0 = [4, 8)", "begin at 5 or later"});
  mentions(listed({{5, 8}, {8, 21}}), {"chunk 1 = [8, 21)", "inside [5, 20)"});
  mentions(listed({{5, 8}, {4, 4}}), {"chunk 1 = [4, 4)", "begin at 8 or later"});
  mentions(listed({{5, 8}, {21, 21}}), {"chunk 1 = [21, 21)", "inside [5, 20)"});
  mentions(listed({{9, 8}}), {"chunk 0 = [9, 8)", "first <= last"});
  EXPECT_EQ(listed({{5, 20}}), "");
  EXPECT_EQ(listed({{5, 5}, {5, 8}, {8, 8}, {8, 8}, {20, 20}}), "");
}

TEST(Partition, OfAListKeepsEmptyParts) {
  const std::vector<range> parts{{0, 0}, {0, 3}, {3, 3}, {3, 3}, {20, 20}};
  const partition cut = partition::listed({{0, 20}, parts});
  EXPECT_EQ(all_chunks(cut), parts);
  EXPECT_EQ(cut.indices(), 3u);
  EXPECT_TRUE(cut.has_empty());
  EXPECT_FALSE(partition::listed({{0, 20}, std::span(parts).subspan(1, 1)}).has_empty());
}

// Each chunk has units of its own, and one at least, in which it can fail.
RC_GTEST_PROP(Partition, OfAnyListHasUnitsThatNoTwoChunksShare, ()) {
  auto borders =
      *rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(5, 60));
  std::ranges::sort(borders);
  std::vector<range> parts;
  for (std::size_t k = 0; k + 1 < borders.size(); ++k)
    parts.push_back({borders[k], borders[k + 1]});
  partition cut = partition::listed({{5, 60}, parts});
  const bool whole = *rc::gen::arbitrary<bool>();
  if (whole) cut.keep_whole();
  const shard::mapping::units units(cut, *rc::gen::inRange<std::size_t>(1, 100));
  std::size_t end = 0;
  for (std::size_t k = 0; k < cut.chunks(); ++k) {
    RC_ASSERT(units.first_of(k) >= end);
    RC_ASSERT(units.in(k) >= 1u);
    RC_ASSERT(!whole || units.in(k) == 1u);
    end = units.first_of(k) + units.in(k);
    RC_ASSERT(units.indices(k, 0, units.in(k)) == cut[k]);
    for (std::size_t unit = 0; unit < units.in(k); ++unit) {
      RC_ASSERT(units.indices(k, unit, unit + 1).empty() == cut[k].empty());
    }
  }
  RC_ASSERT(end <= units.total());
}

// ---- Memory ----

TEST(Partition, ByMemoryHasTheGrainThatTheFieldsSay) {
  const auto grain = [](std::size_t n, std::size_t each, std::size_t budget) {
    return partition::within({{0, n}, each, budget}).grain();
  };
  EXPECT_EQ(grain(1'000'000, 1, 6400), 100u);           // 64 chunks fit
  EXPECT_EQ(grain(1'000'000, 1, 1'000'000'000), 245u);  // ceil(n / 4096)
  EXPECT_EQ(grain(1'000'000, 100, 6399), 1u);
  EXPECT_EQ(grain(1'000'000, 100, 100), 1u);
  EXPECT_EQ(grain(10, 1, std::numeric_limits<std::size_t>::max()), 1u);
  EXPECT_EQ(shard::plan::chunks_at_a_time({{0, 1'000'000}, 1, 6400}), 64u);
  EXPECT_EQ(shard::plan::chunks_at_a_time({{0, 1'000'000}, 100, 399}), 3u);
}

TEST(Partition, ByMemoryRefusesWhatCannotFit) {
  const auto within = [](std::size_t each, std::size_t budget) {
    return refusal([&] { partition::within({{0, 10}, each, budget}); });
  };
  mentions(within(101, 100), {"101 bytes (index_bytes)", "100 bytes (budget_bytes)"});
  mentions(within(0, 100), {"index_bytes 0", "at least 1"});
  EXPECT_EQ(within(100, 100), "");
}

RC_GTEST_PROP(Partition, ByMemoryNeverExceedsTheBudget, ()) {
  const auto all = *rc::gen::inRange<std::size_t>(0, 1'000'000);
  const auto each = *rc::gen::inRange<std::size_t>(1, 10'000);
  const auto budget = each + *rc::gen::inRange<std::size_t>(0, 1'000'000'000);
  const shard::by_memory need{{0, all}, each, budget};
  const partition cut = partition::within(need);
  const std::size_t at_a_time = shard::plan::chunks_at_a_time(need);
  RC_ASSERT(at_a_time >= 1u);
  RC_ASSERT(at_a_time * cut.grain() * each <= budget);
  RC_ASSERT(at_a_time >= std::min<std::size_t>(64, budget / each));
}

// ---- Strides ----

RC_GTEST_PROP(Partition, OfStridesHasEachIndexOnceAndInItsChunk, ()) {
  const auto first = *rc::gen::inRange<std::size_t>(0, 50);
  const range all{first, first + *rc::gen::inRange<std::size_t>(0, 300)};
  const auto stride = *rc::gen::inRange<std::size_t>(1, 400);
  const partition cut = partition::interleaved({all, stride});
  RC_ASSERT(cut.chunks() == std::min(stride, all.size()));
  RC_ASSERT(cut.indices() == all.size());
  RC_ASSERT(cut.grain() == 0u);
  std::vector<std::size_t> found;
  std::size_t border = first;
  for (std::size_t k = 0; k < cut.chunks(); ++k) {
    RC_ASSERT(cut[k].first == border);
    border = cut[k].last;
    std::vector<std::size_t> of_chunk;
    for (std::size_t i = first + k; i < all.last; i += stride) of_chunk.push_back(i);
    std::vector<std::size_t> indices;
    for (const std::size_t place : cut[k]) {
      RC_ASSERT(cut.order().chunk_at(place) == k);
      indices.push_back(cut.order().index_at(place));
    }
    RC_ASSERT(indices == of_chunk);
    const auto [extent, apart] = cut.extent_of(cut[k]);
    RC_ASSERT(extent == (range{of_chunk.front(), of_chunk.back() + 1}));
    RC_ASSERT(apart == (of_chunk.size() == 1 ? 1 : stride));
    found.insert(found.end(), indices.begin(), indices.end());
  }
  RC_ASSERT(border == all.last);
  std::ranges::sort(found);
  RC_ASSERT(found == indices_of(all));
}

// Any list with one fault is refused, and one without is taken as it is.
RC_GTEST_PROP(Partition, OfAnyAscendingListIsThatList, ()) {
  auto borders = *rc::gen::unique<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(0, 500));
  std::ranges::sort(borders);
  std::vector<range> parts;
  for (std::size_t k = 0; k + 1 < borders.size(); k += 2)
    parts.push_back({borders[k], borders[k + 1]});
  RC_ASSERT(all_chunks(partition::listed({{0, 500}, parts})) == parts);
  if (parts.size() < 2) return;
  std::swap(parts.front(), parts.back());
  RC_ASSERT_THROWS_AS(partition::listed({{0, 500}, parts}), shard::error);
}

// ---- Costs ----

// Every border lies within one item of the place where the running cost crosses an equal share.
void expect_balanced(const partition& cut, range all, const std::vector<double>& cost) {
  ASSERT_EQ(indices_of(cut), indices_of(all));
  ASSERT_TRUE(none_empty(cut));
  std::vector<double> upto(cost.size() + 1);
  std::partial_sum(cost.begin(), cost.end(), upto.begin() + 1);
  const double share = upto.back() / static_cast<double>(std::min<std::size_t>(4096, cost.size()));
  const double rounding = 1e-9 * upto.back();
  for (const range chunk : all_chunks(cut)) {
    const std::size_t end = chunk.last - all.first;
    const double passed = std::floor((upto[end] + rounding) / share) * share;
    EXPECT_LE(upto[end - 1], passed + rounding) << "the border at " << chunk.last << " is late";
    const double most =
        *std::max_element(cost.begin() + static_cast<std::ptrdiff_t>(chunk.first - all.first),
                          cost.begin() + static_cast<std::ptrdiff_t>(end));
    const double total = upto[end] - upto[chunk.first - all.first];
    EXPECT_LT(total, share + most + 2 * rounding)
        << "chunk [" << chunk.first << ", " << chunk.last << ")";
  }
}

TEST(Partition, OfCostsHasBordersWithinOneItemOfTheirIdealPlaces) {
  const range all{1000, 21'000};
  std::vector<double> ramp(all.size()), even(all.size(), 3.0), spikes(all.size(), 0.01);
  std::iota(ramp.begin(), ramp.end(), 0.0);
  for (std::size_t k = 0; k < spikes.size(); k += 997) spikes[k] = 1e6;
  for (const auto& cost : {ramp, even, spikes}) {
    expect_balanced(partition::balanced({all, cost}), all, cost);
  }
}

RC_GTEST_PROP(Partition, OfAnyCostsHasBordersWithinOneItemOfTheirIdealPlaces, ()) {
  const auto whole = *rc::gen::container<std::vector<unsigned>>(rc::gen::inRange(0u, 100u));
  const std::vector<double> cost(whole.begin(), whole.end());
  const range all{5, 5 + cost.size()};
  const partition cut = partition::balanced({all, cost});
  RC_ASSERT(indices_of(cut) == indices_of(all));
  if (std::accumulate(cost.begin(), cost.end(), 0.0) > 0) expect_balanced(cut, all, cost);
  RC_ASSERT(!testing::Test::HasFailure());
}

TEST(Partition, OfManyEqualCostsHasAbout4096EqualChunks) {
  const std::vector<double> cost(100'000, 0.1);
  const partition cut = partition::balanced({{0, cost.size()}, cost});
  EXPECT_NEAR(static_cast<double>(cut.chunks()), 4096, 1);
  for (const std::size_t size : sizes(cut)) EXPECT_NEAR(static_cast<double>(size), 24.5, 2);
}

TEST(Partition, OfCostsThatAreAllZeroIsEven) {
  const std::vector<double> cost(8192);
  const partition cut = partition::balanced({{0, cost.size()}, cost});
  EXPECT_EQ(sizes(cut), std::vector<std::size_t>(4096, 2));
}

TEST(Partition, OfImpossibleCostsNamesTheItem) {
  const auto balanced = [](std::vector<double> cost) {
    return refusal([&] { partition::balanced({{0, 3}, cost}); });
  };
  constexpr double huge = std::numeric_limits<double>::max();
  mentions(balanced({1, -2, 3}), {"cost[1] = -2", "not negative"});
  mentions(balanced({1, 2, std::nan("")}), {"cost[2] = nan", "finite"});
  mentions(balanced({HUGE_VAL, 2, 3}), {"cost[0] = inf", "finite"});
  mentions(balanced({huge, huge, huge}), {"overflows", "finite total"});
  mentions(balanced({1, 2}), {"2 costs for 3 indices"});
}

// ---- Tiles ----

TEST(Partition, OfTilesCoversEachCellOnce) {
  shard::buffer<std::int32_t> cells(7 * 5);
  const shard::report run =
      shard::map({.run_on = shard::executor::serial}, shard::tiles{{7, 5}, {3, 2}},
                 shard::shared(cells), [](shard::tile t, auto& all) {
                   for (const std::size_t i : t.rows) {
                     for (const std::size_t j : t.cols) all.fetch_add(i * 5 + j, 1);
                   }
                 });
  EXPECT_EQ(run.counts().chunks, 9u);
  for (const std::int32_t visits : cells) EXPECT_EQ(visits, 1);
}

// ---- The default grain ----

TEST(DefaultGrain, GivesAbout4096ChunksWithoutOutputs) {
  EXPECT_EQ(default_grain(4096 * 250, {}), 250u);
  EXPECT_EQ(default_grain(4096 * 250 + 1, {}), 251u);
  EXPECT_EQ(default_grain(100, {}), 1u);
  EXPECT_EQ(default_grain(0, {}), 1u);
}

using bytes = std::vector<std::size_t>;

TEST(DefaultGrain, PutsBordersOfEveryOutputOnCacheLines) {
  for (const bytes& rows :
       {bytes{8}, bytes{4, 8}, bytes{1, 2}, bytes{3}, bytes{12, 8}, bytes{100}, bytes{64}}) {
    const std::size_t grain = default_grain(500'000, rows);
    for (const std::size_t row : rows) EXPECT_EQ(grain * row % 64, 0u) << row;
  }
}

TEST(DefaultGrain, PutsBordersOfLargeOutputsOnPages) {
  constexpr std::size_t n = 100'000'000;
  for (const bytes& rows : {bytes{8}, bytes{4, 8}, bytes{1, 2}, bytes{3}, bytes{12}}) {
    const std::size_t grain = default_grain(n, rows);
    for (const std::size_t row : rows) EXPECT_EQ(grain * row % 4096, 0u) << row;
  }
}

TEST(DefaultGrain, GivesWayWhereFewChunksWouldBeLeft) {
  EXPECT_EQ(default_grain(100, bytes{1}), 1u) << "a line of bytes would be one of two chunks";
  EXPECT_EQ(default_grain(4095, bytes{1}), 4u);
  EXPECT_EQ(default_grain(4096, bytes{1}), 4u) << "a line of bytes would be one of 64 chunks";
  EXPECT_EQ(default_grain(20'000, bytes{8000}), 5u) << "lines; a page would be one of 40 chunks";
  const bytes rows{1 << 20};  // a picture for each index
  EXPECT_EQ(default_grain(100, rows), 1u);
  const bytes odd{(1 << 20) + 1};  // a line would take 64 pictures, a page 4096
  EXPECT_EQ(default_grain(300, odd), 1u);
  EXPECT_EQ(default_grain(10'000, odd), 8u);
}

constexpr std::size_t chunks_of(std::size_t n, std::size_t grain) {
  return n / grain + (n % grain != 0);
}

bool is_balanced(std::size_t n, std::size_t grain) {
  return chunks_of(n, grain) >= std::min<std::size_t>(n, 1024);
}

// The smallest grain of at least `even` whose borders fall on blocks in every output. Counted, not
// computed. No more than `block` steps, since a block of indices is a block of bytes.
std::size_t aligned(std::size_t even, const bytes& rows, std::size_t block) {
  const auto fits = [&](std::size_t grain) {
    return std::ranges::all_of(rows, [&](std::size_t row) { return grain * row % block == 0; });
  };
  std::size_t grain = even;
  while (!fits(grain)) ++grain;
  return grain;
}

void expect_the_largest_blocks_that_balance_allows(std::size_t n, const bytes& rows) {
  const std::size_t grain = default_grain(n, rows);
  const std::size_t even = std::max<std::size_t>(1, chunks_of(n, 4096));
  ASSERT_GE(grain, even) << n;
  ASSERT_TRUE(is_balanced(n, grain)) << n << " by " << grain;
  const bool large = std::ranges::any_of(
      rows, [&](std::size_t row) { return row != 0 && n >= (std::size_t{64} << 20) / row; });
  for (const std::size_t block : {4096u, 64u, 32u, 16u, 8u, 4u, 2u}) {
    if (block == 4096 && !large) continue;
    const std::size_t wanted = aligned(even, rows, block);
    if (!is_balanced(n, wanted)) continue;
    ASSERT_EQ(grain, wanted) << n << ", blocks of " << block;
    return;
  }
  ASSERT_EQ(grain, even) << n;
}

TEST(DefaultGrain, TakesTheLargestBlocksThatBalanceAllowsAtEverySize) {
  for (const bytes& rows : {bytes{1}, bytes{2}, bytes{3}, bytes{4}, bytes{8}, bytes{24}, bytes{64},
                            bytes{1, 8}, bytes{0}, bytes{0, 5}, bytes{}}) {
    for (std::size_t n = 0; n < 9000; ++n) expect_the_largest_blocks_that_balance_allows(n, rows);
    for (std::size_t n = 9000; n < 2'000'000; n += 4099)
      expect_the_largest_blocks_that_balance_allows(n, rows);
    if (HasFatalFailure()) return;
  }
}

RC_GTEST_PROP(DefaultGrain, TakesTheLargestBlocksThatBalanceAllows, ()) {
  const auto n = *rc::gen::inRange<std::size_t>(0, 1'000'000'000);
  const auto rows = *rc::gen::container<bytes>(rc::gen::inRange<std::size_t>(0, 5000));
  expect_the_largest_blocks_that_balance_allows(n, rows);
  RC_ASSERT(!testing::Test::HasFailure());
}

// At the ends of what can be counted nothing overflows.
RC_GTEST_PROP(DefaultGrain, LeavesEnoughChunksWhateverThereIs, ()) {
  const auto n = *rc::gen::arbitrary<std::uint64_t>();
  const auto rows = *rc::gen::container<bytes>(rc::gen::arbitrary<std::size_t>());
  const std::size_t grain = default_grain(n, rows);
  RC_ASSERT(grain >= 1u);
  RC_ASSERT(grain == default_grain(n, rows));
  RC_ASSERT(is_balanced(n, grain));
  RC_ASSERT(chunks_of(n, grain) <= 4096u);
}

}  // namespace
