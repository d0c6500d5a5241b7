// Bulk transfers of one process, against std::vector; and under threads, which ThreadSanitizer
// sees.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <complex>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "backings.hpp"
#include "fault/stepping.hpp"
#include "memory/word_copy.hpp"
#include "process/family.hpp"
#include "refusal.hpp"
#include "shard/buffer.hpp"
#include "shard/npy.hpp"
#include "shard/text.hpp"

namespace {

using shard::range;
using shard_test::mentions;
using shard_test::refusal;

struct odd_size {  // 24 bytes: lies across the borders of stripes
  std::int64_t a = 0;
  double b = 0;
  std::int32_t c = 0;
  std::int32_t d = 0;
  friend bool operator==(const odd_size&, const odd_size&) = default;
};

template <class T>
T number(std::uint32_t n) {
  if constexpr (std::same_as<T, odd_size>) {
    return {n, double(n) / 2, static_cast<std::int32_t>(n % 1000), 7};
  } else if constexpr (std::same_as<T, shard::text<5>>) {
    return shard::text<5>(std::to_string(n % 100'000));
  } else if constexpr (std::same_as<T, bool>) {
    return n % 2 != 0;
  } else if constexpr (std::same_as<T, std::byte>) {
    return static_cast<std::byte>(n);
  } else if constexpr (std::same_as<T, std::complex<float>>) {
    return {float(n % 4096), -1.0f};
  } else {
    return static_cast<T>(n % 4096);
  }
}

template <class T>
std::vector<T> numbers(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<T> made;
  for (std::size_t i = 0; i < count; ++i)
    made.push_back(number<T>(static_cast<std::uint32_t>(random())));
  return made;
}

// std::vector<bool> has no elements to point at.
template <class T>
std::vector<T> contents(const shard::buffer<T>& of) {
  return {of.begin(), of.end()};
}

template <class T>
class EveryType : public testing::Test {};
using types =
    testing::Types<std::int8_t, std::uint8_t, std::int16_t, std::uint32_t, std::int64_t, float,
                   double, std::byte, std::complex<float>, shard::text<5>, odd_size>;
TYPED_TEST_SUITE(EveryType, types);

// Any sequence of transfers does to a buffer what it does to a vector.
TYPED_TEST(EveryType, IsTransferredAsInAVector) {
  using T = TypeParam;
  EXPECT_TRUE(rc::check([] {
    const auto size = *rc::gen::inRange<std::size_t>(0, 3000);
    shard::buffer<T> real(size);
    std::vector<T> model(size);
    const auto steps = *rc::gen::inRange(1, 12);
    for (int step = 0; step < steps; ++step) {
      const auto first = *rc::gen::inRange<std::size_t>(0, size + 1);
      const auto last = *rc::gen::inRange<std::size_t>(first, size + 1);
      const auto seed = *rc::gen::arbitrary<std::uint32_t>();
      const range part{first, last};
      const auto at = model.begin() + static_cast<std::ptrdiff_t>(first);
      const auto values = numbers<T>(part.size(), seed);
      switch (*rc::gen::inRange(0, 5)) {
        case 0:
          real.write(part, values);
          std::ranges::copy(values, at);
          break;
        case 1:
          real.fill(part, number<T>(seed));
          std::fill_n(at, part.size(), number<T>(seed));
          break;
        case 2: {
          std::vector<T> read(part.size());
          real.read(part, read);
          RC_ASSERT(std::ranges::equal(read, std::span(model).subspan(first, part.size())));
          break;
        }
        default: {
          if (size == 0) break;
          const auto indices = *rc::gen::container<std::vector<std::size_t>>(
              part.size() % 50, rc::gen::inRange<std::size_t>(0, size));
          const auto moved = numbers<T>(indices.size(), seed);
          real.scatter(indices, moved);
          for (std::size_t k = 0; k < indices.size(); ++k) model[indices[k]] = moved[k];
          std::vector<T> read(indices.size());
          real.gather(indices, read);
          for (std::size_t k = 0; k < indices.size(); ++k) RC_ASSERT(read[k] == model[indices[k]]);
        }
      }
    }
    RC_ASSERT(contents(real) == model);
  }));
}

TEST(Transfer, SlabsEqualThoseOfAReferenceArray) {
  EXPECT_TRUE(rc::check([] {
    const auto extent = [] { return *rc::gen::inRange<std::size_t>(1, 9); };
    const std::array<std::size_t, 3> shape{extent(), extent(), extent()};
    shard::buffer<int, 3> real(shape[0], shape[1], shape[2]);
    std::vector<int> model(real.size());
    for (int round = 0; round < 4; ++round) {
      std::array<range, 3> part;
      for (std::size_t d = 0; d < 3; ++d) {
        part[d].first = *rc::gen::inRange<std::size_t>(0, shape[d] + 1);
        part[d].last = *rc::gen::inRange<std::size_t>(part[d].first, shape[d] + 1);
      }
      const std::size_t count = part[0].size() * part[1].size() * part[2].size();
      const auto values = numbers<int>(count, *rc::gen::arbitrary<std::uint32_t>());
      std::vector<int> read(count);
      std::vector<int> expected;
      real.read_slab(part, read);
      real.write_slab(part, values);
      std::size_t k = 0;
      for (std::size_t x : part[0])
        for (std::size_t y : part[1])
          for (std::size_t z : part[2]) {
            int& cell = model[(x * shape[1] + y) * shape[2] + z];
            expected.push_back(cell);
            cell = values[k++];
          }
      RC_ASSERT(read == expected);
    }
    RC_ASSERT(std::ranges::equal(real.span(), model));
  }));
}

TEST(Transfer, IsAllOrNothingOnBounds) {
  shard::buffer<std::int64_t> ten(10);
  shard::buffer<std::int64_t> five(5);
  const std::vector<std::int64_t> three{1, 2, 3};
  ten.write({5, 8}, three);
  std::vector<std::int64_t> read(3);
  ten.read({5, 8}, read);
  EXPECT_EQ(read, three);

  std::vector<std::int64_t> eleven(11);
  mentions(refusal([&] {
             ten.read({8, 13}, std::span(eleven).first(5));
           }),
           {"read", "[8, 13)", "10"});
  mentions(refusal([&] { ten.read({0, 11}, eleven); }), {"[0, 11)", "[0, 10)"});
  mentions(refusal([&] { five.write({3, 6}, three); }), {"write", "[3, 6)", "[0, 5)"});
  mentions(refusal([&] { five.add({3, 6}, three); }), {"add", "[3, 6)"});
  mentions(refusal([&] { five.fill({4, 6}, 9); }), {"fill", "[4, 6)"});
  const std::vector<std::size_t> outside{1, 2, 5};
  mentions(refusal([&] { five.scatter(outside, three); }),
           {"cannot scatter: found index 5 at indices[2]", "less than its size 5"});
  const std::vector<std::size_t> negative{1, std::size_t(-1), 2};
  mentions(refusal([&] { five.scatter(negative, three); }),
           {"cannot scatter: found index -1 at indices[1]", "0 or more"});
  EXPECT_EQ(contents(five), std::vector<std::int64_t>(5)) << "something was written";
}

TEST(Transfer, NeverRecyclesOrCuts) {
  shard::buffer<int> some(10);
  const std::vector<int> two{1, 2};
  mentions(refusal([&] { some.write({0, 3}, two); }), {"2 elements", "expected 3"});
  mentions(refusal([&] { some.add({0, 1}, two); }), {"2 elements", "expected 1"});
  const std::vector<std::size_t> indices{0, 1, 2};
  mentions(refusal([&] { some.scatter(indices, two); }), {"2 elements", "expected 3"});
  EXPECT_EQ(contents(some), std::vector<int>(10));
}

TEST(Transfer, RefusesReadsAsWellAndGivesNothing) {
  shard::buffer<int> some(5);
  some.fill({0, 5}, 1);
  std::vector<int> into(3, 7);
  const std::vector<int> before = into;
  const std::vector<std::size_t> outside{1, 2, 5};
  mentions(refusal([&] { some.gather(outside, into); }),
           {"cannot gather: found index 5 at indices[2]"});
  mentions(refusal([&] { some.read({3, 6}, into); }), {"read", "[3, 6)"});
  mentions(refusal([&] { some.read({3, 1}, into); }), {"read", "[3, 1)"});
  mentions(refusal([&] { static_cast<void>(some.try_read({3, 6}, into)); }), {"[3, 6)"});
  mentions(refusal([&] { some.read({0, 2}, into); }), {"3 elements", "expected 2"});
  const std::vector<std::size_t> two{0, 1};
  mentions(refusal([&] { some.gather(two, into); }), {"3 elements", "expected 2"});
  shard::buffer<int, 2> square(3, 4);
  mentions(refusal([&] {
             square.read_slab({range{0, 1}, range{2, 5}}, into);
           }),
           {"[2, 5) in dimension 1", "[0, 4)"});
  mentions(refusal([&] { square.read_slab({range{0, 1}, range{0, 4}}, into); }), {"expected 4"});
  mentions(refusal([&] {
             square.write_slab({range{2, 4}, range{0, 1}}, into);
           }),
           {"[2, 4) in dimension 0", "[0, 3)"});
  EXPECT_EQ(into, before);
  EXPECT_TRUE(std::ranges::all_of(square, [](int x) { return x == 0; }));
}

TEST(Transfer, KeepsAnyBits) {
  using limits = std::numeric_limits<double>;
  const std::vector<double> odd{limits::infinity(),
                                -limits::infinity(),
                                std::bit_cast<double>(0x7ff8000000001234u),
                                std::bit_cast<double>(0xfff0000000000001u),
                                -0.0,
                                limits::denorm_min(),
                                limits::max()};
  const auto bits_of = [](const std::vector<double>& values) {
    std::vector<std::uint64_t> bits(values.size());
    std::memcpy(bits.data(), values.data(), values.size() * sizeof(double));
    return bits;
  };
  shard_test::for_each_backing<double>(
      [&](shard::buffer<double> some) {
        some.write({1, 1 + odd.size()}, odd);
        std::vector<double> read(odd.size());
        some.read_only().read({1, 1 + odd.size()}, read);
        EXPECT_EQ(bits_of(read), bits_of(odd));
        for (const double each : odd) {
          some.fill({3, 4}, each);
          std::vector<double> one(1);
          some.read({3, 4}, one);
          EXPECT_EQ(bits_of(one), bits_of({each}));
        }
      },
      9);
}

TEST(Transfer, RefusesValuesInTheElementsThemselves) {
  using numbers = std::vector<int>;
  shard::buffer<int> some(40);
  std::iota(some.begin(), some.end(), 0);
  const numbers before = contents(some);
  const auto part = [&](std::size_t first, std::size_t count) {
    return some.span().subspan(first, count);
  };
  mentions(refusal([&] {
             some.write({1, 40}, part(0, 39));
           }),
           {"cannot write elements [1, 40)", "in the same memory", "expected them elsewhere"});
  mentions(refusal([&] { some.write({0, 39}, part(1, 39)); }), {"[0, 39)"});
  mentions(refusal([&] { some.write({5, 7}, part(6, 2)); }), {"[5, 7)"});
  mentions(refusal([&] { static_cast<void>(some.try_write({0, 40}, some.span())); }), {"[0, 40)"});
  mentions(refusal([&] { some.read({1, 40}, part(0, 39)); }), {"cannot read elements [1, 40)"});
  mentions(refusal([&] { static_cast<void>(some.try_read({0, 2}, part(1, 2))); }), {"[0, 2)"});
  mentions(refusal([&] { some.add({0, 40}, some.span()); }), {"cannot add to elements [0, 40)"});
  mentions(refusal([&] { some.add({1, 3}, part(2, 2)); }), {"[1, 3)", "expected them elsewhere"});
  const std::vector<std::size_t> indices{30, 5, 20};
  mentions(refusal([&] { some.scatter(indices, part(3, 3)); }), {"write", "[5, 6)"});
  mentions(refusal([&] { some.gather(indices, part(18, 3)); }), {"read", "[20, 21)"});
  shard::buffer<int, 2> square(4, 4);
  mentions(refusal([&] {
             square.write_slab({range{0, 4}, range{1, 2}}, square.span().subspan(6, 4));
           }),
           {"[9, 10)"});
  EXPECT_EQ(contents(some), before);
  EXPECT_TRUE(std::ranges::all_of(square, [](int x) { return x == 0; }));

  // Beside each other they are as good as any.
  some.add({0, 10}, part(10, 10));
  some.write({0, 10}, part(10, 10));
  some.read({20, 30}, part(10, 10));
  some.scatter(indices, part(6, 3));
  square.write_slab({range{0, 1}, range{0, 4}}, square.span().subspan(4, 4));
  EXPECT_EQ(some[9], 19);
  EXPECT_EQ(some[10], 20);
  EXPECT_EQ(some[30], 16);
}

TEST(Transfer, OfNothingReturns) {
  shard::buffer<int> none(0);
  shard::buffer<int> some(3);
  for (auto* each : {&none, &some}) {
    const std::size_t end = each->size();
    each->read({end, end}, {});
    each->write({end, end}, {});
    each->add({end, end}, {});
    each->fill({end, end}, 1);
    each->gather({}, {});
    each->scatter({}, {});
    each->clear_torn({end, end});
    EXPECT_TRUE(each->try_read({0, 0}, {}));
    EXPECT_TRUE(each->torn().empty());
  }
}

TEST(Transfer, KeepsTheOrderOfIndicesAndTheLastOfEqualOnes) {
  shard::buffer<int> some(10);
  std::iota(some.begin(), some.end(), 0);
  const std::vector<std::size_t> from{7, 2, 5};
  std::vector<int> gathered(3);
  some.gather(from, gathered);
  EXPECT_EQ(gathered, (std::vector{7, 2, 5}));
  const std::vector<std::size_t> to{2, 2, 4, 2};
  const std::vector<int> values{10, 20, 40, 30};
  some.scatter(to, values);
  EXPECT_EQ(some[2], 30);
  EXPECT_EQ(some[4], 40);
}

TEST(Transfer, AddsWithWrapAround) {
  shard::buffer<std::int8_t> narrow(2);
  narrow[0] = 127;
  narrow.add({0, 2}, std::vector<std::int8_t>{1, -5});
  EXPECT_EQ(narrow[0], -128);
  EXPECT_EQ(narrow[1], -5);
  shard::buffer<double> real(2);
  real.add({0, 2}, std::vector<double>{0.5, -0.25});
  real.add({0, 2}, std::vector<double>{0.5, -0.25});
  EXPECT_EQ(real[0], 1.0);
  EXPECT_EQ(real[1], -0.5);
}

TEST(Transfer, ReadsFilesThatNobodyWritesTo) {
  const shard_test::folder place;
  const auto path = place.path() / "some.npy";
  shard::buffer<int> made(100);
  std::iota(made.begin(), made.end(), 0);
  shard::save(path, made);
  const auto input = shard::open<int>(path);
  std::vector<int> read(3);
  input.read({50, 53}, read);
  EXPECT_EQ(read, (std::vector{50, 51, 52}));
  EXPECT_TRUE(input.torn().empty());
  EXPECT_FALSE(input.abandoned());
  EXPECT_EQ(std::filesystem::file_size(path), 4096u + 400) << "a reader changed it";
}

// ---- The copies by themselves: of words, and through each kind of registers.

using word_copy = std::function<void(std::byte*, const std::byte*, std::size_t)>;

constexpr bool is_from_shared(std::size_t kind) { return kind % 2 == 0; }

std::vector<word_copy> copies() {
  namespace memory = shard::memory;
  std::vector<word_copy> all{memory::copy_words_from_shared, memory::copy_words_to_shared};
  using enum memory::registers;
  for (const auto by : {xmm, ymm, zmm}) {
    if (by > memory::widest) break;
    all.emplace_back([by](std::byte* to, const std::byte* from, std::size_t bytes) {
      memory::copy_from_shared(to, from, bytes, by);
    });
    all.emplace_back([by](std::byte* to, const std::byte* from, std::size_t bytes) {
      memory::copy_to_shared(to, from, bytes, by);
    });
  }
  return all;
}

std::vector<std::byte> some_bytes(std::size_t count) {
  std::vector<std::byte> made(count);
  for (std::size_t i = 0; i < count; ++i) made[i] = static_cast<std::byte>(i % 251 + 1);
  return made;
}

TEST(WordCopy, EqualsMemcpyAtEveryPlaceAndLength) {
  constexpr std::size_t longest = 600;
  constexpr std::size_t line = 64;
  const auto from = some_bytes(longest + line);
  for (const auto& copy : copies()) {
    for (std::size_t bytes = 0; bytes < longest; ++bytes) {
      for (std::size_t source = 0; source < 9; ++source) {
        const std::size_t target = (bytes * 9 + source) % line;
        std::vector<std::byte> to(longest + 2 * line, std::byte{0xFF});
        std::vector<std::byte> expected = to;
        copy(to.data() + target, from.data() + source, bytes);
        std::copy_n(from.data() + source, bytes, expected.data() + target);
        ASSERT_EQ(to, expected) << bytes << " bytes from " << source << " to " << target;
      }
    }
    for (const std::size_t bytes : {1023U, 1024U, 1100U, 4096U, 8191U, 8192U, 100'000U}) {
      const auto big = some_bytes(bytes);
      std::vector<std::byte> to(bytes + 2, std::byte{0xFF});
      copy(to.data() + 1, big.data(), bytes);
      EXPECT_TRUE(std::equal(big.begin(), big.end(), to.begin() + 1)) << bytes;
      EXPECT_EQ(to.front(), std::byte{0xFF});
      EXPECT_EQ(to.back(), std::byte{0xFF});
    }
  }
}

using word_fill = std::function<void(std::byte*, std::span<const std::byte>, std::size_t)>;

std::vector<word_fill> fills() {
  namespace memory = shard::memory;
  std::vector<word_fill> all{memory::fill_words_of_shared};
  using enum memory::registers;
  for (const auto by : {xmm, ymm, zmm}) {
    if (by > memory::widest) break;
    all.emplace_back([by](std::byte* to, std::span<const std::byte> element, std::size_t count) {
      memory::fill_shared(to, element, count, by);
    });
  }
  return all;
}

TEST(WordFill, EqualsCopiesOfTheElementAtEveryPlaceAndLength) {
  for (const auto& fill : fills()) {
    for (const std::size_t size : {1U, 2U, 3U, 4U, 8U, 12U, 16U, 24U, 32U, 64U, 100U, 5000U}) {
      const auto element = some_bytes(size);
      std::vector<std::size_t> counts{10'000 / size + 3};
      for (std::size_t count = 0; count * size < 700 && count < 200; ++count) {
        counts.push_back(count);
      }
      for (const std::size_t count : counts) {
        for (std::size_t target = 0; target < 64; target += 1 + count % 7) {
          const std::size_t bytes = count * size;
          std::vector<std::byte> to(bytes + 66, std::byte{0xFF});
          std::vector<std::byte> expected = to;
          fill(to.data() + target, element, count);
          for (std::size_t i = 0; i < bytes; ++i) expected[target + i] = element[i % size];
          ASSERT_EQ(to, expected) << count << " of " << size << " bytes to " << target;
        }
      }
    }
  }
}

// What somebody else does to an element as soon as it is written stays. `write` writes so many
// bytes, none of them 0, to the place that it is given.
testing::AssertionResult writes_each_byte_once(std::size_t bytes, std::size_t target,
                                               const std::function<void(std::byte*)>& write) {
  constexpr std::size_t page = 4096;
  constexpr std::byte others{0xFF};
  struct unmapped {
    void operator()(std::byte* at) const { munmap(at, 2 * page); }
  };
  const std::unique_ptr<std::byte, unmapped> shared(static_cast<std::byte*>(
      mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
  std::byte* const to = shared.get() + target;
  std::vector<bool> changed(bytes);
  const std::function<void()> change = [&] {
    for (std::size_t i = 0; i < bytes; ++i) {
      if (to[i] == std::byte{0} || changed[i]) continue;
      to[i] = others;
      changed[i] = true;
    }
  };
  const std::function<void()> steps = [&] { write(to); };
  { const shard_test::stepping walk(shared.get(), 2 * page, steps, change); }
  const auto once = static_cast<std::size_t>(std::count(to, to + bytes, others));
  if (once == bytes) return testing::AssertionSuccess();
  return testing::AssertionFailure()
         << once << " of " << bytes << " bytes to " << target << " are written once";
}

constexpr std::array<std::size_t, 5> some_places{0, 1, 8, 20, 63};

TEST(WordCopy, WritesEachByteOfSharedMemoryOnce) {
  if (!shard_test::can_step) GTEST_SKIP() << "this processor can't be stepped";
  if (shard_test::sanitized) GTEST_SKIP() << "sanitizers store for themselves";
  const auto from = some_bytes(8192);
  const auto all = copies();
  for (std::size_t kind = 0; kind < all.size(); ++kind) {
    if (is_from_shared(kind)) continue;
    for (const std::size_t bytes :
         {1U, 7U, 63U, 64U, 100U, 128U, 200U, 360U, 800U, 1023U, 1024U, 1500U}) {
      for (const std::size_t target : some_places) {
        EXPECT_TRUE(writes_each_byte_once(
            bytes, target, [&](std::byte* to) { all[kind](to, from.data(), bytes); }))
            << "kind " << kind;
      }
    }
  }
}

TEST(WordFill, WritesEachByteOfSharedMemoryOnce) {
  if (!shard_test::can_step) GTEST_SKIP() << "this processor can't be stepped";
  if (shard_test::sanitized) GTEST_SKIP() << "sanitizers store for themselves";
  const auto all = fills();
  for (std::size_t kind = 0; kind < all.size(); ++kind) {
    for (const std::size_t size : {1U, 8U, 24U, 64U}) {
      const auto element = some_bytes(size);
      for (const std::size_t count : {1U, 2U, 9U, 23U}) {
        for (const std::size_t target : some_places) {
          EXPECT_TRUE(writes_each_byte_once(count * size, target,
                                            [&](std::byte* to) { all[kind](to, element, count); }))
              << count << " of " << size << " bytes by kind " << kind;
        }
      }
    }
  }
}

// ---- Threads. Each transfer writes one value everywhere: any mixture shows.

template <class Handle>
void never_sees_a_mixture(Handle& writing, const auto& reading, std::size_t elements) {
  std::atomic<bool> stop = false;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (std::int64_t id : {1, 2}) {
    threads.emplace_back([&, id] {
      for (std::int64_t k = 0; k < 300; ++k) {
        writing.write({0, elements}, std::vector<std::int64_t>(elements, id * 1000 + k));
      }
      stop = true;
    });
  }
  for (int reader = 0; reader < 2; ++reader) {
    threads.emplace_back([&] {
      std::vector<std::int64_t> seen(elements);
      while (!stop) {
        reading.read({0, elements}, seen);
        if (std::ranges::count(seen, seen[0]) != std::ssize(seen)) ++wrong;
      }
    });
  }
  for (auto& each : threads) each.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Transfer, IsNeverSeenHalfWayWithinAStripe) {
  shard::buffer<std::int64_t> some(100);
  never_sees_a_mixture(some, some, 100);
}

TEST(Transfer, IsNeverSeenHalfWayAcrossStripes) {
  shard::buffer<std::int64_t> some(20'000);
  never_sees_a_mixture(some, some, 20'000);
}

TEST(Transfer, IsNeverSeenHalfWayByAnotherHandle) {
  shard::buffer<std::int64_t> some(3000);
  const auto other = shard::buffer<std::int64_t>::reopen(some.descriptor());
  never_sees_a_mixture(some, other, 3000);
}

TEST(Transfer, LosesNoAdditionOfThreads) {
  shard::buffer<std::int64_t> some(3);
  auto add = [&] {
    for (int i = 0; i < 1000; ++i) some.add({0, 3}, std::vector<std::int64_t>{1, 1, 1});
  };
  std::thread one(add);
  std::thread two(add);
  one.join();
  two.join();
  EXPECT_EQ(contents(some), (std::vector<std::int64_t>{2000, 2000, 2000}));
}

}  // namespace
