#include "shard/custom_reducer.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "unit/states.hpp"

namespace {

using shard::testing::random_chunks;
using shard::testing::reduce_in_chunks;

// Polynomials in a fixed number: to append one is associative, and not commutative.
struct hash {
  std::uint64_t value = 0;
  std::uint64_t power = 1;  // of the base, as many as were added
  bool operator==(const hash&) const = default;
};
constexpr std::uint64_t base = 1'000'003;

const auto add = [](hash& to, std::uint64_t x) {
  to.value = to.value * base + x;
  to.power *= base;
};
const auto append = [](hash& to, const hash& part) {
  to.value = to.value * part.power + part.value;
  to.power *= part.power;
};

RC_GTEST_PROP(CustomReducer, MergesInOrder, (const std::vector<std::uint64_t>& values)) {
  hash expected;
  for (const std::uint64_t x : values) add(expected, x);
  shard::custom_reducer found(hash(), add, append);
  static_assert(decltype(found)::ordered);
  reduce_in_chunks(found, random_chunks(values), [](auto& to, std::uint64_t x) { to(x); });
  RC_ASSERT(found.value() == expected);
}

// A state that zeros don't start, and that is too large to be copied for each call.
struct smallest_by_digit {
  std::array<std::uint64_t, 64> of{};
};
smallest_by_digit none() {
  smallest_by_digit all;
  all.of.fill(std::numeric_limits<std::uint64_t>::max());
  return all;
}

RC_GTEST_PROP(CustomReducer, MayHaveOneStateForAWorker,
              (const std::vector<std::uint64_t>& values)) {
  shard::custom_reducer found(
      shard::commutative, none(),
      [](smallest_by_digit& to, std::uint64_t x) { to.of[x % 64] = std::min(to.of[x % 64], x); },
      [](smallest_by_digit& to, const smallest_by_digit& part) {
        for (std::size_t k = 0; k < 64; ++k) to.of[k] = std::min(to.of[k], part.of[k]);
      });
  static_assert(!decltype(found)::ordered);
  static_assert(decltype(found)::in_place);
  reduce_in_chunks(found, random_chunks(values), [](auto& to, std::uint64_t x) { to(x); });
  smallest_by_digit expected = none();
  for (const std::uint64_t x : values) expected.of[x % 64] = std::min(expected.of[x % 64], x);
  RC_ASSERT(found.value().of == expected.of);
}

// Elsewhere there is nothing that they could refer to.
TEST(CustomReducer, CrossesToOtherProcessesOnlyWithoutCaptures) {
  int weight = 3;
  const auto weighted = [&weight](int& to, int x) { to += weight * x; };
  const auto plain = [](int& to, int x) { to += x; };
  const auto merge = [](int& to, const int& part) { to += part; };
  using captures = decltype(shard::custom_reducer(0, weighted, merge));
  using captures_nothing = decltype(shard::custom_reducer(0, plain, merge));
  EXPECT_FALSE(shard::detail::packable<captures>);
  EXPECT_TRUE(shard::detail::packable<captures_nothing>);
}

TEST(CustomReducer, TakesAsManyValuesAsItsFunction) {
  shard::custom_reducer dot(
      0, [](int& to, int x, int y) { to += x * y; }, [](int& to, const int& part) { to += part; });
  shard::testing::add_once(dot, [](auto& to) { to(2, 3), to(4, 5); });
  EXPECT_EQ(dot.value(), 26);
}

}  // namespace
