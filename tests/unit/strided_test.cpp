// Parts of arrays, against a vector whose elements are found by enumeration.

#include "shard/strided.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <concepts>
#include <functional>
#include <iterator>
#include <numeric>
#include <ranges>
#include <utility>
#include <vector>

#include "refusal.hpp"
#include "shard/buffer.hpp"
#include "shard/npy.hpp"
#include "shard/slice.hpp"

namespace {

using shard::range;
using shard::strided_view;
using shard_test::mentions;
using shard_test::refusal;

template <std::size_t Rank>
using array = std::array<std::size_t, Rank>;

static_assert(std::random_access_iterator<strided_view<int, 3>::iterator>);
static_assert(std::ranges::random_access_range<strided_view<const int>>);
static_assert(std::is_trivially_copyable_v<strided_view<int, 3>>);
static_assert(std::is_convertible_v<strided_view<int, 2>, strided_view<const int, 2>>);
static_assert(!std::is_convertible_v<strided_view<const int, 2>, strided_view<int, 2>>);

template <class T, std::size_t Rank>
T& element(const strided_view<T, Rank>& part, const array<Rank>& index) {
  return std::apply([&](auto... i) -> T& { return part(i...); }, index);
}

// Calls visit(index) for every index inside `shape`, in row-major order.
template <std::size_t Rank, class Visit>
void enumerate(const array<Rank>& shape, Visit visit) {
  const std::size_t size =
      std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>());
  for (std::size_t i = 0; i < size; ++i) {
    array<Rank> index{};
    std::size_t rest = i;
    for (std::size_t d = Rank; d-- > 0; rest /= shape[d]) index[d] = rest % shape[d];
    visit(std::as_const(index));
  }
}

// The elements of `part`, whose element at `index` should be whole[place(index)].
template <std::size_t Rank, class Place>
void require_elements(const strided_view<int, Rank>& part, const std::vector<int>& whole,
                      Place place) {
  std::vector<int> expected;
  enumerate<Rank>(part.shape(), [&](const array<Rank>& index) {
    expected.push_back(whole[place(index)]);
    RC_ASSERT(&element(part, index) == &*(part.begin() + std::ptrdiff_t(expected.size() - 1)));
  });
  RC_ASSERT(part.size() == expected.size());
  RC_ASSERT(std::ranges::equal(part, expected));
  RC_ASSERT(std::equal(expected.rbegin(), expected.rend(), std::make_reverse_iterator(part.end())));
  RC_ASSERT(part.end() - part.begin() == std::ptrdiff_t(expected.size()));
  if (part.contiguous()) RC_ASSERT(std::ranges::equal(part.span(), expected));
}

template <std::size_t Rank>
void check_random_parts() {
  array<Rank> shape, steps;
  std::array<range, Rank> part;
  for (std::size_t d = 0; d < Rank; ++d) {
    shape[d] = *rc::gen::inRange<std::size_t>(0, 6);
    part[d].first = *rc::gen::inRange<std::size_t>(0, shape[d] + 1);
    part[d].last = *rc::gen::inRange(part[d].first, shape[d] + 1);
    steps[d] = *rc::gen::inRange<std::size_t>(1, 4);
  }
  auto all = std::apply([](auto... n) { return shard::buffer<int, Rank>(n...); }, shape);
  std::iota(all.begin(), all.end(), 0);
  const std::vector<int> whole(all.begin(), all.end());
  const auto place = [&](const array<Rank>& index) {  // of the slab's element
    std::size_t elements = 0;
    for (std::size_t d = 0; d < Rank; ++d)
      elements = elements * shape[d] + part[d].first + index[d];
    return elements;
  };

  const strided_view<int, Rank> slab = all.slab(part);
  for (std::size_t d = 0; d < Rank; ++d) RC_ASSERT(slab.extent(d) == part[d].size());
  require_elements<Rank>(slab, whole, place);
  RC_ASSERT(std::ranges::equal(std::as_const(all).slab(part), slab));
  RC_ASSERT(std::ranges::equal(shard::view<int, Rank>(all.span().data(), shape).slab(part), slab));

  strided_view<int, Rank> sparse = slab;
  for (std::size_t d = 0; d < Rank; ++d) sparse = sparse.every(d, steps[d]);
  for (std::size_t d = 0; d < Rank; ++d) {
    RC_ASSERT(sparse.extent(d) == (part[d].size() + steps[d] - 1) / steps[d]);
  }
  const auto sparse_place = [&](array<Rank> index) {
    for (std::size_t d = 0; d < Rank; ++d) index[d] *= steps[d];
    return place(index);
  };
  require_elements<Rank>(sparse, whole, sparse_place);
  require_elements<Rank>(sparse.transposed(), whole, [&](array<Rank> index) {
    std::ranges::reverse(index);
    return sparse_place(index);
  });
  if constexpr (Rank >= 2) {
    for (std::size_t i = 0; i < sparse.extent(0); ++i) {
      require_elements<Rank - 1>(sparse.row(i), whole, [&](const array<Rank - 1>& behind) {
        array<Rank> index{i};
        std::ranges::copy(behind, index.begin() + 1);
        return sparse_place(index);
      });
    }
  }

  for (int& x : sparse) x = -1;
  RC_ASSERT(std::size_t(std::ranges::count(all, -1)) == sparse.size());
}

RC_GTEST_PROP(Strided, IsTheRightPartOfALine, ()) { check_random_parts<1>(); }
RC_GTEST_PROP(Strided, IsTheRightPartOfARectangle, ()) { check_random_parts<2>(); }
RC_GTEST_PROP(Strided, IsTheRightPartOfABox, ()) { check_random_parts<3>(); }
RC_GTEST_PROP(Strided, IsTheRightPartOfFourDimensions, ()) { check_random_parts<4>(); }

TEST(Strided, SortsAColumn) {
  shard::buffer<int, 2> square(5, 3);
  std::iota(square.begin(), square.end(), 0);
  std::ranges::sort(square.slab(range{0, 5}, range{1, 2}), std::greater<>());
  EXPECT_EQ(square(0, 1), 13);
  EXPECT_EQ(square(4, 1), 1);
  EXPECT_EQ(square(4, 0), 12);
}

TEST(Strided, IsASpanWhereItsElementsLieSideBySide) {
  shard::buffer<int, 2> square(4, 3);
  EXPECT_EQ(square.slab().span().data(), square.begin());
  EXPECT_EQ(square.slab(range{1, 3}, range{0, 3}).span().size(), 6u);
  EXPECT_EQ(square.slab(range{2, 3}, range{1, 3}).span().data(), &square(2, 1));
  const auto columns = square.slab(range{0, 4}, range{1, 3});
  EXPECT_FALSE(columns.contiguous());
  mentions(refusal([&] { (void)columns.span(); }), {"cannot span a part", "row(i)"});
  EXPECT_EQ(columns.row(1).span().data(), &square(1, 1));
}

TEST(Strided, RefusesPartsThatAreOutside) {
  shard::buffer<int, 2> square(4, 3);
  mentions(refusal([&] {
             (void)square.slab(range{0, 5}, range{0, 3});
           }),
           {"[0, 5) in dimension 0", "[0, 4)"});
  mentions(refusal([&] {
             (void)square.slab(range{0, 4}, range{3, 2});
           }),
           {"[3, 2) in dimension 1"});
  const auto inner = square.slab(range{1, 3}, range{0, 3});
  mentions(refusal([&] { (void)inner.sub(range{0, 3}, range{0, 3}); }), {"[0, 3)", "[0, 2)"});
  mentions(refusal([&] { (void)inner.every(0, 0); }), {"every 0", "step of 1 or more"});
  mentions(refusal([&] { (void)inner.every(2, 1); }), {"dimension 2", "below 2"});
  mentions(refusal([&] { (void)inner(2, 0); }), {"index 2 in dimension 0"});
  mentions(refusal([&] { (void)inner(0, -1); }), {"index -1 in dimension 1"});
}

TEST(Strided, IsDeeplyConstThroughABuffer) {
  using square = shard::buffer<int, 2>;
  static_assert(std::same_as<decltype(std::declval<const square&>().slab()(0, 0)), const int&>);
  static_assert(std::same_as<decltype(std::declval<square&>().slab()(0, 0)), int&>);
  using cube = shard::buffer<int, 3>;
  static_assert(std::same_as<decltype(std::declval<const cube&>().row(0)(0, 0)), const int&>);
  static_assert(std::same_as<decltype(std::declval<cube&>().row(0)), strided_view<int, 2>>);
}

TEST(Slice, GivesPartsOfItsChunkOnly) {
  std::vector<int> values(4 * 3 * 2);
  std::iota(values.begin(), values.end(), 0);
  const shard::slice<int, 3> chunk(values.data(), {4, 3, 2}, range{1, 3});
  EXPECT_EQ(chunk.slab().span().data(), values.data() + 6);
  EXPECT_EQ(chunk.row(2)(1, 1), 15);
  EXPECT_EQ(chunk.slab(range{2, 3}, range{1, 3}, range{1, 2})(0, 1, 0), 17);
  mentions(refusal([&] {
             (void)chunk.slab(range{0, 2}, range{0, 3}, range{0, 2});
           }),
           {"[0, 2) in dimension 0", "[1, 3)"});
  const shard::slice<int, 3> cells(values.data(), {4, 3, 2}, shard::tile{{1, 3}, {1, 2}});
  EXPECT_EQ(cells.row(2).size(), 2u);
  EXPECT_EQ(cells.row(2)(0, 1), 15);
  EXPECT_EQ(cells.slab().shape(), (array<3>{2, 1, 2}));
}

// A buffer whose extents are 2 in all dimensions but the last, where it is 3.
template <std::size_t Rank>
struct ranks {
  static void check() {
    array<Rank> shape;
    shape.fill(2);
    shape.back() = 3;
    auto all = std::apply([](auto... n) { return shard::buffer<int, Rank>(n...); }, shape);
    std::iota(all.begin(), all.end(), 0);
    array<Rank> last;
    for (std::size_t d = 0; d < Rank; ++d) last[d] = shape[d] - 1;
    const int most = int(all.size()) - 1;
    EXPECT_EQ(std::apply([&](auto... i) { return all.at(i...); }, last), most);
    EXPECT_EQ(all.load(last), most);
    EXPECT_EQ(all.slab().every(Rank - 1, 2).size(), all.size() / 3 * 2);

    const shard_test::folder folder;
    shard::save(folder / "all.npy", all);
    EXPECT_TRUE(std::ranges::equal((shard::open<int, Rank>(folder / "all.npy")), all));
    auto made =
        std::apply([&](auto... n) { return shard::create<int>(folder / "new.npy", n...); }, shape);
    made.store(last, 7);
    made.finish();
    const auto opened = shard::open<int, Rank>(folder / "new.npy");
    EXPECT_EQ(opened.shape(), shape);
    EXPECT_EQ(opened.span().back(), 7);
    EXPECT_EQ((shard::buffer<int, Rank>::reopen(all.descriptor()).span().back()), most);
  }
};

TEST(Buffer, HasOneToEightDimensions) {
  ranks<1>::check();
  ranks<2>::check();
  ranks<3>::check();
  ranks<4>::check();
  ranks<5>::check();
  ranks<6>::check();
  ranks<7>::check();
  ranks<8>::check();
  static_assert(!shard::detail::fits_buffer<int, 9> && !shard::detail::fits_buffer<int, 0>);
}

}  // namespace
