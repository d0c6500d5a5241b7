// Sets of indices as ranges, against std::set.

#include "mapping/ranges.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <vector>

namespace {

using shard::range;
using shard::mapping::append;
using shard::mapping::indices_in;
using shard::mapping::joined;
using shard::mapping::without;

std::set<std::size_t> any_indices() {
  return *rc::gen::container<std::set<std::size_t>>(rc::gen::inRange<std::size_t>(0, 40));
}

std::vector<range> ranges_of(const std::set<std::size_t>& indices) {
  std::vector<range> all;
  for (const std::size_t i : indices) append(all, {i, i + 1});
  return all;
}

std::set<std::size_t> indices_of(const std::vector<range>& ranges) {
  std::set<std::size_t> all;
  for (const range part : ranges) all.insert(part.begin(), part.end());
  return all;
}

// Not empty, ascending, and with a gap between any two.
bool is_normal(const std::vector<range>& ranges) {
  for (std::size_t k = 0; k < ranges.size(); ++k) {
    if (ranges[k].first >= ranges[k].last) return false;
    if (k != 0 && ranges[k - 1].last >= ranges[k].first) return false;
  }
  return true;
}

RC_GTEST_PROP(Ranges, HoldTheIndicesThatWereAppended, ()) {
  const auto indices = any_indices();
  const std::vector<range> ranges = ranges_of(indices);
  RC_ASSERT(is_normal(ranges));
  RC_ASSERT(indices_of(ranges) == indices);
  RC_ASSERT(indices_in(ranges) == indices.size());
}

TEST(Ranges, TakeNoEmptyPart) {
  std::vector<range> ranges;
  append(ranges, {3, 3});
  EXPECT_TRUE(ranges.empty());
  append(ranges, {3, 4});
  append(ranges, {9, 9});
  EXPECT_EQ(ranges, (std::vector<range>{{3, 4}}));
}

RC_GTEST_PROP(Ranges, WithoutOthersHaveTheRest, ()) {
  const auto all = any_indices();
  const auto taken = any_indices();
  std::set<std::size_t> rest;
  std::ranges::set_difference(all, taken, std::inserter(rest, rest.end()));
  const std::vector<range> found = without(ranges_of(all), ranges_of(taken));
  RC_ASSERT(is_normal(found));
  RC_ASSERT(indices_of(found) == rest);
}

RC_GTEST_PROP(Ranges, JoinedWithTheRestAreWhole, ()) {
  const auto all = any_indices();
  const auto some = any_indices();
  const std::vector<range> rest = without(ranges_of(all), ranges_of(some));
  const std::vector<range> shared = without(ranges_of(all), rest);
  RC_ASSERT(joined(shared, rest) == ranges_of(all));
  RC_ASSERT(joined(rest, shared) == ranges_of(all));
}

}  // namespace
