// Which stretches of elements a part of an array is, against enumeration.

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <vector>

#include "shard/detail/index.hpp"

namespace {

using shard::range;
using shard::detail::extents;
using shard::detail::stretch;
using shard::detail::stretches_of;

template <std::size_t Rank>
std::vector<std::size_t> enumerated(const extents<Rank>& shape,
                                    const std::array<range, Rank>& part) {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < shard::detail::volume<Rank>(shape); ++i) {
    bool inside = true;
    std::size_t rest = i;
    for (std::size_t d = Rank; d-- > 0; rest /= shape[d]) {
      inside = inside && part[d].contains(rest % shape[d]);
    }
    if (inside) found.push_back(i);
  }
  return found;
}

template <std::size_t Rank>
void check_a_random_part() {
  extents<Rank> shape;
  std::array<range, Rank> part;
  for (std::size_t d = 0; d < Rank; ++d) {
    shape[d] = *rc::gen::inRange<std::size_t>(0, 6);
    const bool whole = *rc::gen::arbitrary<bool>();
    part[d].first = whole ? 0 : *rc::gen::inRange<std::size_t>(0, shape[d] + 1);
    part[d].last = whole ? shape[d] : *rc::gen::inRange(part[d].first, shape[d] + 1);
  }
  const std::vector<stretch> stretches = stretches_of<Rank>(shape, part);
  std::vector<std::size_t> covered;
  for (const stretch& each : stretches) {
    RC_ASSERT(each.count > 0u);
    RC_ASSERT((covered.empty() || each.first > covered.back()));
    for (std::size_t k = 0; k < each.count; ++k) covered.push_back(each.first + k);
  }
  RC_ASSERT(covered == enumerated<Rank>(shape, part));
}

RC_GTEST_PROP(Runs, CoverALine, ()) { check_a_random_part<1>(); }
RC_GTEST_PROP(Runs, CoverARectangle, ()) { check_a_random_part<2>(); }
RC_GTEST_PROP(Runs, CoverABox, ()) { check_a_random_part<3>(); }
RC_GTEST_PROP(Runs, CoverFourDimensions, ()) { check_a_random_part<4>(); }

TEST(Runs, JoinWholeTrailingDimensions) {
  const auto whole = stretches_of<3>({4, 5, 6}, {range{0, 4}, range{0, 5}, range{0, 6}});
  ASSERT_EQ(whole.size(), 1u);
  EXPECT_EQ(whole[0].count, 120u);
  const auto planes = stretches_of<3>({4, 5, 6}, {range{1, 3}, range{2, 4}, range{0, 6}});
  ASSERT_EQ(planes.size(), 2u);
  EXPECT_EQ(planes[0].first, 42u);
  EXPECT_EQ(planes[0].count, 12u);
  EXPECT_EQ(planes[1].first, 72u);
  EXPECT_TRUE(stretches_of<2>({0, 5}, {range{0, 0}, range{0, 5}}).empty());
}

}  // namespace
