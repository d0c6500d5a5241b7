// Atomic operations on the elements of buffers, in memory and in files, for every type that has
// them.

#include "shard/atomics.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <complex>
#include <concepts>
#include <cstdint>
#include <limits>
#include <thread>
#include <type_traits>
#include <vector>

#include "backings.hpp"
#include "refusal.hpp"
#include "shard/buffer.hpp"
#include "shard/npy.hpp"
#include "shard/slice.hpp"

namespace {

using shard_test::mentions;
using shard_test::refusal;

// Calls steps(cells) with a new buffer of each backing.
template <class T, class Steps>
void on_every_backing(Steps steps) {
  shard_test::for_each_backing<T>([&](shard::buffer<T> cells) { steps(cells); }, 2);
}

using integers = testing::Types<std::int8_t, std::uint8_t, std::int16_t, std::uint16_t,
                                std::int32_t, std::uint32_t, std::int64_t, std::uint64_t, char>;
template <class T>
class IntegerAtomics : public testing::Test {};
TYPED_TEST_SUITE(IntegerAtomics, integers, );

TYPED_TEST(IntegerAtomics, WrapAtBothEnds) {
  using limits = std::numeric_limits<TypeParam>;
  on_every_backing<TypeParam>([](auto& cells) {
    cells.store(0, limits::max());
    EXPECT_EQ(cells.fetch_add(0, 1), limits::max());
    EXPECT_EQ(cells.load(0), limits::min());
    EXPECT_EQ(cells.fetch_sub(0, 1), limits::min());
    EXPECT_EQ(cells.load(0), limits::max());
    EXPECT_EQ(cells.load(1), 0) << "its neighbour is untouched";
  });
}

TYPED_TEST(IntegerAtomics, MaskBits) {
  on_every_backing<TypeParam>([](auto& cells) {
    cells.store(0, static_cast<TypeParam>(0x7F));
    EXPECT_EQ(cells.fetch_and(0, 0x0F), 0x7F);
    EXPECT_EQ(cells.fetch_or(0, 0x70), 0x0F);
    EXPECT_EQ(cells.fetch_xor(0, 0x55), 0x7F);
    EXPECT_EQ(cells.load(0), 0x2A);
  });
}

TEST(ByteAtomics, MaskBits) {
  on_every_backing<std::byte>([](auto& cells) {
    cells.store(0, std::byte{0xFF});
    EXPECT_EQ(cells.fetch_and(0, std::byte{0x0F}), std::byte{0xFF});
    EXPECT_EQ(cells.fetch_or(0, std::byte{0xF0}), std::byte{0x0F});
    EXPECT_EQ(cells.exchange(0, std::byte{0xAA}), std::byte{0xFF});
    EXPECT_EQ(cells.fetch_xor(0, std::byte{0xFF}), std::byte{0xAA});
    EXPECT_EQ(cells.load(0), std::byte{0x55});
  });
}

using numbers = testing::Types<std::int8_t, std::uint8_t, std::int16_t, std::uint16_t, std::int32_t,
                               std::uint32_t, std::int64_t, std::uint64_t, char, float, double>;
template <class T>
class NumberAtomics : public testing::Test {};
TYPED_TEST_SUITE(NumberAtomics, numbers, );

template <class T>
T wrapped(T a, T b, bool negative) {
  if constexpr (std::floating_point<T>) {
    return negative ? a - b : a + b;
  } else {
    using bits = std::make_unsigned_t<T>;
    const auto x = static_cast<std::uint64_t>(static_cast<bits>(a));
    const auto y = static_cast<std::uint64_t>(static_cast<bits>(b));
    return static_cast<T>(static_cast<bits>(negative ? x - y : x + y));
  }
}

// One operation on a buffer and on a plain variable: the same value before and the same after.
template <class T>
void step(shard::buffer<T>& cells, T& model, int operation, T x) {
  const T before = model;
  T found{};
  switch (operation) {
    case 0: found = cells.load(1); break;
    case 1: cells.store(1, x), found = before, model = x; break;
    case 2: found = cells.exchange(1, x), model = x; break;
    case 3: found = cells.fetch_add(1, x), model = wrapped(model, x, false); break;
    case 4: found = cells.fetch_sub(1, x), model = wrapped(model, x, true); break;
    case 5: found = cells.fetch_min(1, x), model = std::min(model, x); break;
    case 6: found = cells.fetch_max(1, x), model = std::max(model, x); break;
    case 7:
      found = x;
      if (cells.compare_exchange(1, found, T(7))) model = T(7);
      break;
  }
  RC_ASSERT(found == before);
  RC_ASSERT(cells.load(1) == model);
}

TYPED_TEST(NumberAtomics, DoWhatAPlainVariableDoes) {
  using T = TypeParam;
  on_every_backing<T>([](auto& cells) {
    EXPECT_TRUE(rc::check([&cells] {
      T model = *rc::gen::arbitrary<T>();
      cells.store(1, model);
      for (const auto& [operation, other] : *rc::gen::arbitrary<std::vector<std::pair<int, T>>>()) {
        if (std::abs(operation % 9) == 8) continue;
        step(cells, model, std::abs(operation % 9), operation % 2 == 0 ? other : model);
      }
      RC_ASSERT(cells.load(0) == T{});
    }));
  });
}

TYPED_TEST(NumberAtomics, SaveACompareExchangeThatFails) {
  on_every_backing<TypeParam>([](auto& cells) {
    cells.store(0, 6);
    TypeParam expected = 6;
    EXPECT_TRUE(cells.compare_exchange(0, expected, 100));
    EXPECT_EQ(expected, 6);
    EXPECT_FALSE(cells.compare_exchange(0, expected, 50));
    EXPECT_EQ(expected, 100);
    EXPECT_EQ(cells.load(0), 100);
  });
}

// Runs `increments(cells)` in two threads, then in two processes.
template <class T, class Increments>
void twice_over(shard::buffer<T>& cells, Increments increments) {
  std::array<std::thread, 2> threads;
  for (auto& each : threads) each = std::thread([&] { increments(cells); });
  for (auto& each : threads) each.join();

  std::array<pid_t, 2> children{};
  for (auto& each : children) {
    each = fork();
    if (each == 0) {
      increments(cells);
      _exit(0);
    }
  }
  for (const pid_t each : children) {
    int status = 0;
    EXPECT_EQ(waitpid(each, &status, 0), each);
    EXPECT_EQ(status, 0);
  }
}

TYPED_TEST(NumberAtomics, LoseNoIncrement) {
  using T = TypeParam;
  // 2 * 2 * 1000 increments by as much as a narrow integer wraps to the same number by.
  on_every_backing<T>([](auto& cells) {
    twice_over(cells, [](auto& all) {
      for (int i = 0; i < 1000; ++i) {
        all.fetch_add(0, 1);
        T old = all.load(1, std::memory_order_relaxed);
        while (!all.compare_exchange(1, old, wrapped(old, T(1), false))) {
        }
      }
    });
    EXPECT_EQ(cells.load(0), static_cast<T>(4000));
    EXPECT_EQ(cells.load(1), static_cast<T>(4000));
  });
}

template <class T>
class FloatAtomics : public testing::Test {};
using floats = testing::Types<float, double>;
TYPED_TEST_SUITE(FloatAtomics, floats, );

TYPED_TEST(FloatAtomics, KeepAnyBits) {
  using T = TypeParam;
  using bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  using limits = std::numeric_limits<T>;
  const T payload = std::bit_cast<T>(std::bit_cast<bits>(limits::quiet_NaN()) | bits{0x1234});
  on_every_backing<T>([&](auto& cells) {
    for (const T x : {limits::infinity(), -limits::infinity(), payload, T(-0.0),
                      limits::denorm_min(), limits::max(), limits::lowest()}) {
      cells.store(0, x);
      EXPECT_EQ(std::bit_cast<bits>(cells.load(0)), std::bit_cast<bits>(x));
      EXPECT_EQ(std::bit_cast<bits>(cells[0]), std::bit_cast<bits>(x));
      EXPECT_EQ(std::bit_cast<bits>(cells.exchange(0, T(1))), std::bit_cast<bits>(x));
    }
    cells.store(0, payload);
    T expected = payload;
    EXPECT_TRUE(cells.compare_exchange(0, expected, T(2))) << "bits are compared, not values";
  });
}

TYPED_TEST(FloatAtomics, LetNaNLoseAgainstAnyNumber) {
  using T = TypeParam;
  const T nan = std::numeric_limits<T>::quiet_NaN();
  on_every_backing<T>([&](auto& cells) {
    for (const auto& [old, x] : {std::pair<T, T>{3, nan}, {nan, 3}, {nan, nan}, {3, 4}, {4, 3}}) {
      cells.store(0, old);
      cells.store(1, old);
      cells.fetch_min(0, x);
      cells.fetch_max(1, x);
      EXPECT_EQ(std::isnan(cells.load(0)), std::isnan(std::fmin(old, x)));
      if (std::isnan(std::fmin(old, x))) continue;
      EXPECT_EQ(cells.load(0), std::fmin(old, x));
      EXPECT_EQ(cells.load(1), std::fmax(old, x));
    }
  });
}

TEST(BoolAtomics, LoadAndStore) {
  on_every_backing<bool>([](auto& cells) {
    EXPECT_FALSE(cells.exchange(0, true));
    bool expected = false;
    EXPECT_FALSE(cells.compare_exchange(0, expected, false));
    EXPECT_TRUE(expected);
    cells.store(1, cells.load(0));
    EXPECT_TRUE(cells.load(1));
  });
}

TEST(BufferAtomics, TakeAnIndexForEachDimension) {
  shard::buffer<int, 3> cube(2, 3, 4);
  const int i = 1, j = 2;
  cube.fetch_add({i, j, 3u}, 5);
  EXPECT_EQ(cube(1, 2, 3), 5);
  EXPECT_EQ(cube.load(std::array<std::size_t, 3>{1, 2, 3}), 5);
  EXPECT_EQ(cube.slab().span().back(), 5);
}

TEST(BufferAtomics, RefuseWhatIsOutsideAndChangeNothing) {
  shard::buffer<int, 2> square(3, 4);
  mentions(refusal([&] { square.store({2, 4}, 1); }), {"index 4 in dimension 1", "extent 4"});
  mentions(refusal([&] { square.fetch_add({3, 0}, 1); }), {"index 3 in dimension 0", "extent 3"});
  mentions(refusal([&] {
             square.fetch_max({std::int8_t{-1}, 0}, 1);
           }),
           {"index -1 in dimension 0", "0 or more"});
  shard::buffer<float> line(5);
  mentions(refusal([&] { (void)line.load(5); }), {"index 5"});
  mentions(refusal([&] { line.fetch_sub(-5, 1); }), {"index -5"});
  EXPECT_TRUE(std::ranges::all_of(square, [](int x) { return x == 0; }));
  EXPECT_TRUE(std::ranges::all_of(line, [](float x) { return x == 0; }));
  try {
    (void)line.load(5);
    ADD_FAILURE() << "loaded";
  } catch (const shard::error& e) {
    EXPECT_EQ(e.code(), std::errc::argument_out_of_domain);
  }
}

TEST(BufferAtomics, OfAReadOnlyFileOnlyLoad) {
  const shard_test::folder folder;
  shard::save(folder / "cells.npy", shard::buffer<double>(std::vector<double>{1.5, -0.0}));
  const auto cells = shard::open<double>(folder / "cells.npy");
  EXPECT_EQ(cells.load(0), 1.5);
  EXPECT_TRUE(std::signbit(cells.load(1)));
}

template <class B>
concept loads = requires(B& all) { all.load(0); };
template <class B>
concept stores = requires(B& all, typename B::value_type x) {
  all.store(0, x);
  all.exchange(0, x);
  all.compare_exchange(0, x, x);
};
template <class B>
concept counts = requires(B& all, typename B::value_type x) {
  all.fetch_add(0, x);
  all.fetch_sub(0, x);
  all.fetch_min(0, x);
  all.fetch_max(0, x);
};
template <class B>
concept masks = requires(B& all, typename B::value_type x) {
  all.fetch_and(0, x);
  all.fetch_or(0, x);
  all.fetch_xor(0, x);
};
struct particle {
  double position[2];
};
enum class colour { red };

TEST(BufferAtomics, AreThoseOfTheirType) {
  using shard::buffer;
  static_assert(stores<buffer<int>> && counts<buffer<int>> && masks<buffer<int>>);
  static_assert(stores<buffer<double>> && counts<buffer<double>> && !masks<buffer<double>>);
  static_assert(stores<buffer<bool>> && !counts<buffer<bool>> && !masks<buffer<bool>>);
  static_assert(stores<buffer<std::byte>> && !counts<buffer<std::byte>> &&
                masks<buffer<std::byte>>);
  static_assert(!loads<buffer<std::complex<double>>> && !loads<buffer<shard::text<8>>>);
  static_assert(!loads<buffer<particle>> && !loads<buffer<colour>>);
  static_assert(!stores<buffer<shard::text<8>>> && !stores<buffer<particle>>);
  static_assert(loads<buffer<const int>> && !stores<buffer<const int>>);
  static_assert(!counts<buffer<const int>> && !masks<buffer<const int>>);
  static_assert(loads<const buffer<int>> && !stores<const buffer<int>>, "const is deep");
  static_assert(!counts<const buffer<int>> && !masks<const buffer<int>>);
  static_assert(!std::is_invocable_v<decltype([](auto& b, auto i) -> decltype(b.load(i)) {}),
                                     buffer<int>&, double>);
}

}  // namespace
