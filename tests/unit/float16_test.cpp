// Numbers in 16 bits. The oracles are numpy, where it is installed, and all 65536 numbers there
// are.

#include "shard/float16.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include "memory/dtype.hpp"
#include "numpy.hpp"
#include "refusal.hpp"
#include "shard/map.hpp"
#include "shard/npy.hpp"
#include "shard/reduce.hpp"

namespace {

using shard::float16;
using shard_test::folder;
using shard_test::mentions;
using shard_test::numpy_agrees;
using shard_test::refusal;

constexpr unsigned all = 65536;

float16 with_bits(unsigned bits) { return float16::from_bits(static_cast<std::uint16_t>(bits)); }

// From the definition: sign, exponent of 5 bits, fraction of 10.
double value_of(unsigned bits) {
  const int exponent = static_cast<int>(bits >> 10 & 31);
  const double fraction = bits & 1023;
  const double size = exponent == 31  ? (fraction > 0 ? std::nan("") : HUGE_VAL)
                      : exponent == 0 ? std::ldexp(fraction, -24)
                                      : std::ldexp(1024 + fraction, exponent - 25);
  return (bits & 0x8000) != 0 ? -size : size;
}

TEST(Float16, IsTheNumberThatItsBitsMean) {
  for (unsigned bits = 0; bits < all; ++bits) {
    const float found = with_bits(bits);
    const double expected = value_of(bits);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(found)) << bits;
      EXPECT_TRUE(std::isnan(static_cast<float>(float16(found)))) << bits;
      continue;
    }
    ASSERT_EQ(found, expected) << bits;
    ASSERT_EQ(std::signbit(found), (bits & 0x8000) != 0) << bits;
    ASSERT_EQ(float16(found).bits(), bits);
    ASSERT_EQ(float16(expected).bits(), bits);
  }
}

// Between each number and the next one: what is just below, at and just above the middle.
TEST(Float16, IsRoundedOnceToNearestTiesToEven) {
  for (unsigned bits = 0; bits < 0x7c00; ++bits) {
    const double low = value_of(bits);
    const double high = bits == 0x7bff ? 65536 : value_of(bits + 1);
    const double middle = (low + high) / 2;
    const unsigned even = bits % 2 == 0 ? bits : bits + 1;
    ASSERT_EQ(float16(middle).bits(), even);
    ASSERT_EQ(float16(static_cast<float>(middle)).bits(), even);
    ASSERT_EQ(float16(std::nextafter(middle, 0)).bits(), bits) << "a float would be the middle";
    ASSERT_EQ(float16(std::nextafter(middle, 1e9)).bits(), bits + 1);
    ASSERT_EQ(float16(std::nextafter(static_cast<float>(middle), 0.0f)).bits(), bits);
    ASSERT_EQ(float16(-middle).bits(), even | 0x8000);
  }
  EXPECT_EQ(float16(std::numeric_limits<double>::max()).bits(), 0x7c00);
  EXPECT_EQ(float16(-std::numeric_limits<double>::denorm_min()).bits(), 0x8000);
}

TEST(Float16, IsStoredInTwoBytesAndNeedsACastToGetThere) {
  static_assert(sizeof(float16) == 2 && shard::element<float16>);
  static_assert(std::is_convertible_v<float16, float>);
  static_assert(!std::is_convertible_v<float, float16> && !std::is_convertible_v<int, float16>);
  EXPECT_EQ(shard::memory::text(shard::detail::dtype_of<float16>()), "'<f2'");
  EXPECT_LT(float16(1.0f), float16(1.5f));
  EXPECT_EQ(float16(1.5f) + 2.0, 3.5);
}

TEST(Float16, IsMadeOfIntegers) {
  static_assert(!std::is_convertible_v<long, float16> && !std::is_constructible_v<float16, void*>);
  EXPECT_EQ(float16(2).bits(), float16(2.0).bits());
  EXPECT_EQ(float16(-3L).bits(), float16(-3.0).bits());
  EXPECT_EQ(float16(std::uint8_t{255}), 255.0f);
  EXPECT_EQ(float16(2049).bits(), float16(2048.0).bits()) << "ties to even";
  EXPECT_EQ(float16(65504), 65504.0f);
  EXPECT_EQ(float16(65520), HUGE_VALF);
  EXPECT_EQ(float16(std::numeric_limits<std::int64_t>::min()), -HUGE_VALF);
  EXPECT_EQ(float16(std::numeric_limits<std::uint64_t>::max()), HUGE_VALF);
}

// numpy does so, too: from a float16 and back all bits are the same.
TEST(Float16, KeepsWhatANaNSays) {
  for (unsigned bits = 0x7c01; bits < 0x8000; ++bits) {
    ASSERT_EQ(float16(static_cast<float>(with_bits(bits))).bits(), bits);
    ASSERT_EQ(float16(static_cast<float>(with_bits(bits | 0x8000))).bits(), bits | 0x8000);
    const std::uint64_t wide = std::uint64_t{bits & 0x3ff} << 42 | std::uint64_t{0x7ff} << 52;
    ASSERT_EQ(float16(std::bit_cast<double>(wide)).bits(), bits);
  }
  EXPECT_EQ(float16(std::bit_cast<float>(0xff800001)).bits(), 0xfc01) << "a NaN, not infinite";
  EXPECT_EQ(float16(std::bit_cast<double>(0x7ff0000000000001)).bits(), 0x7c01);
}

TEST(Float16, IsConvertedManyAtATime) {
  std::vector<float16> numbers(all);
  for (unsigned bits = 0; bits < all; ++bits) numbers[bits] = with_bits(bits);
  std::vector<float> wide(all);
  shard::convert(numbers, wide);
  std::vector<float16> back(all);
  shard::convert(wide, back);
  for (unsigned bits = 0; bits < all; ++bits) {
    const float one = numbers[bits];
    ASSERT_EQ(std::bit_cast<std::uint32_t>(wide[bits]), std::bit_cast<std::uint32_t>(one));
    ASSERT_EQ(back[bits].bits(), bits);
  }
  wide.pop_back();
  mentions(refusal([&] { shard::convert(numbers, wide); }), {"65536", "65535"});
  mentions(refusal([&] { shard::convert(wide, numbers); }), {"65535", "65536"});
}

TEST(Float16, IsMappedAndReduced) {
  shard::buffer<float16> some(1000);
  shard::map(some, [](std::size_t i) { return float16(static_cast<float>(i) / 8); });
  shard::sum<float> total;
  shard::map(some.size(), shard::in(some), shard::reduce(total),
             [](std::size_t i, shard::view<float16> x, auto& sum) { sum += x[i]; });
  EXPECT_EQ(some[999], 124.875f);
  EXPECT_EQ(total.value(), 999 * 1000 / 2 / 8.0f);
}

TEST(Float16, IsWhatNumpyMakesOfTheSameDoubles) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  std::mt19937_64 random(7);
  std::vector<double> wide(20'000);
  for (double& x : wide) {
    x = std::ldexp(std::uniform_real_distribution(-1.0, 1.0)(random),
                   static_cast<int>(random() % 48) - 28);
  }
  std::vector<float16> numbers(wide.size());
  for (std::size_t i = 0; i < wide.size(); ++i) numbers[i] = float16(wide[i]);
  shard::save(in / "wide.npy", shard::buffer(wide));
  shard::save(in / "half.npy", shard::buffer(numbers));
  EXPECT_TRUE(numpy_agrees(in, R"(
half = np.load('half.npy', mmap_mode='r')
with np.errstate(over='ignore'): expected = np.load('wide.npy').astype('f2')
assert half.dtype == np.float16 and half.tobytes() == expected.tobytes()
np.save('big.npy', expected.astype('>f2'))
)"));
  const auto big = shard::load<float16>(in / "big.npy");
  for (std::size_t i = 0; i < wide.size(); ++i) ASSERT_EQ(big[i].bits(), numbers[i].bits());
}

}  // namespace
