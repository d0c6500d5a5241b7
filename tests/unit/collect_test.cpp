#include "shard/collect.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "memory/segment.hpp"
#include "os/headroom.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

namespace fs = std::filesystem;

using shard_test::mentions;
using shard_test::refusal;

const shard::options alone{.run_on = shard::executor::serial};

template <class T>
std::vector<T> vector_of(const shard::buffer<const T>& from) {
  return {from.begin(), from.end()};
}

// Index i gives i % 4 items.
constexpr std::size_t n = 100;
std::vector<int> expected_items() {
  std::vector<int> all;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < i % 4; ++k) all.push_back(static_cast<int>(10 * i + k));
  }
  return all;
}
const auto push_some = [](std::size_t i, auto& to) {
  for (std::size_t k = 0; k < i % 4; ++k) to.push_back(static_cast<int>(10 * i + k));
};

class Folder : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(path_); }
  void TearDown() override { fs::remove_all(path_); }
  fs::path path_ = fs::path(testing::TempDir()) / ("collect_" + std::to_string(getpid()));
};
using CollectIntoAFile = Folder;

TEST(Collect, IsEmptyAtFirst) {
  const shard::collect<int> items;
  EXPECT_TRUE(items.items().empty());
  const shard::collect<int> with(shard::with_offsets);
  EXPECT_EQ(vector_of(with.offsets()), std::vector<std::uint64_t>{0});
}

TEST(Collect, HasTheItemsOfEachIndexInTheOrderOfTheIndices) {
  shard::collect<int> items(shard::with_offsets);
  shard::map(alone, n, shard::reduce(items), push_some);
  EXPECT_EQ(vector_of(items.items()), expected_items());
  ASSERT_EQ(items.offsets().size(), n + 1);
  for (std::size_t i = 0; i < n; ++i) {
    ASSERT_EQ(items.items_of(i).size(), i % 4);
    if (i % 4 == 0) continue;
    EXPECT_EQ(items.items_of(i)[0], static_cast<int>(10 * i));
  }
}

// Of random counts: most of them small, some large; added one by one, or several at once.
RC_GTEST_PROP(Collect, IsWhatALoopCollects, (const std::vector<std::uint16_t>& counts)) {
  const auto grain = *rc::gen::inRange<std::size_t>(0, counts.size() + 2);
  const auto at_once = *rc::gen::inRange<std::size_t>(1, 100);
  const auto count_of = [&](std::size_t i) -> std::size_t {
    return counts[i] % 7 == 0 ? counts[i] % 5000 : counts[i] % 3;
  };
  std::vector<std::size_t> expected;
  std::vector<std::uint64_t> offsets{0};
  for (std::size_t i = 0; i < counts.size(); ++i) {
    for (std::size_t k = 0; k < count_of(i); ++k) expected.push_back(i * 10'000 + k);
    offsets.push_back(expected.size());
  }
  shard::collect<std::size_t> items(shard::with_offsets);
  shard::map({.grain = grain, .run_on = shard::executor::serial}, counts.size(),
             shard::reduce(items), [&](std::size_t i, auto& to) {
               std::vector<std::size_t> some;
               for (std::size_t k = 0; k < count_of(i); ++k) {
                 some.push_back(i * 10'000 + k);
                 if (some.size() < at_once) continue;
                 to.append(some);
                 some.clear();
               }
               for (const std::size_t each : some) to.push_back(each);
             });
  RC_ASSERT(vector_of(items.items()) == expected);
  RC_ASSERT(vector_of(items.offsets()) == offsets);
}

TEST(Collect, OfNothingIsEmpty) {
  shard::collect<double> items(shard::with_offsets);
  shard::map(alone, n, shard::reduce(items), [](std::size_t, auto&) {});
  EXPECT_TRUE(items.items().empty());
  EXPECT_EQ(vector_of(items.offsets()), std::vector<std::uint64_t>(n + 1));
  shard::map(alone, shard::range{n, n}, shard::reduce(items), [](std::size_t, auto&) {});
  EXPECT_TRUE(items.items().empty());
}

TEST(Collect, AddsTheItemsOfAnotherMapBehindThoseItHas) {
  shard::collect<int> items(shard::with_offsets);
  shard::map(alone, shard::range{0, 30}, shard::reduce(items), push_some);
  shard::map(alone, shard::range{40, n}, shard::reduce(items), push_some);
  std::vector<int> expected;
  for (std::size_t i = 0; i < n; ++i) {
    if (i >= 30 && i < 40) {
      EXPECT_TRUE(items.items_of(i).empty());
      continue;
    }
    EXPECT_EQ(items.items_of(i).size(), i % 4) << i;
    for (std::size_t k = 0; k < i % 4; ++k) expected.push_back(static_cast<int>(10 * i + k));
  }
  EXPECT_EQ(vector_of(items.items()), expected);
  EXPECT_TRUE(mentions(refusal([&] { shard::map(alone, n, shard::reduce(items), push_some); }),
                       {"found a map from index 0 on", "expected one from 100 on"}));
  EXPECT_EQ(vector_of(items.items()), expected);

  shard::collect<int> twice;
  shard::map(alone, n, shard::reduce(twice), push_some);
  shard::map(alone, n, shard::reduce(twice), push_some);
  std::vector<int> both = expected_items();
  both.insert(both.end(), both.begin(), both.begin() + static_cast<std::ptrdiff_t>(both.size()));
  EXPECT_EQ(vector_of(twice.items()), both);
}

TEST(Collect, AppendsSpansLargerThanAnyPiece) {
  shard::collect<std::uint64_t> items(shard::with_offsets);
  const std::size_t many = 300'000;  // more than a piece has, unless it is filled at once
  shard::map(alone, 3, shard::reduce(items), [&](std::size_t i, auto& to) {
    std::vector<std::uint64_t> some(many);
    for (std::size_t k = 0; k < many; ++k) some[k] = i * many + k;
    to.push_back(some[0]);
    to.append({});
    to.append(std::span<const std::uint64_t>(some).subspan(1, 99));
    to.append(std::span<const std::uint64_t>(some).subspan(100));
  });
  ASSERT_EQ(items.size(), 3 * many);
  for (std::size_t k = 0; k < 3 * many; ++k) ASSERT_EQ(items.items()[k], k);
  EXPECT_EQ(vector_of(items.offsets()), (std::vector<std::uint64_t>{0, many, 2 * many, 3 * many}));
}

TEST(Collect, PushesBackMoreThanAnyPieceHas) {
  shard::collect<std::uint64_t> items;
  const std::size_t many = 1'000'000;
  shard::map({.grain = 2, .run_on = shard::executor::serial}, 2, shard::reduce(items),
             [&](std::size_t i, auto& to) {
               for (std::size_t k = 0; k < many; ++k) to.push_back(i * many + k);
             });
  ASSERT_EQ(items.size(), 2 * many);
  for (std::size_t k = 0; k < 2 * many; ++k) ASSERT_EQ(items.items()[k], k);
}

struct alignas(256) wide {
  int value;
};
struct padded {
  std::uint8_t small;
  std::uint64_t large;
};
struct fixed {
  const int value;  // can be copied, but not assigned
};

TEST(Collect, TakesAllThatBuffersHold) {
  shard::collect<shard::text<8>> words;
  shard::collect<wide> wides;
  shard::collect<padded> padded_ones;
  shard::collect<fixed> fixed_ones;
  shard::collect<std::byte> bytes;
  shard::map(
      alone, n, shard::reduce(words), shard::reduce(wides), shard::reduce(padded_ones),
      shard::reduce(fixed_ones), shard::reduce(bytes),
      [](std::size_t i, auto& text, auto& aligned, auto& with_gap, auto& constant, auto& byte) {
        text.push_back(shard::text<8>(std::to_string(i)));
        aligned.push_back({static_cast<int>(i)});
        padded one;
        std::memset(static_cast<void*>(&one), 0xff, sizeof one);
        one.small = 1;
        one.large = i;
        with_gap.push_back(one);
        constant.push_back({static_cast<int>(i)});
        byte.push_back(static_cast<std::byte>(i));
      });
  for (std::size_t i = 0; i < n; ++i) {
    EXPECT_EQ(words.items()[i], std::to_string(i));
    EXPECT_EQ(wides.items()[i].value, static_cast<int>(i));
    EXPECT_EQ(padded_ones.items()[i].large, i);
    EXPECT_EQ(fixed_ones.items()[i].value, static_cast<int>(i));
    EXPECT_EQ(bytes.items()[i], static_cast<std::byte>(i));
    const auto* const gap = reinterpret_cast<const std::byte*>(&padded_ones.items()[i]) + 1;
    EXPECT_EQ(std::count(gap, gap + 7, std::byte{0}), 7) << "padding is zeros";
  }
}

TEST(Collect, WidensNumbers) {
  shard::collect<double> items;
  shard::map(alone, 1, shard::reduce(items), [](std::size_t, auto& to) {
    to.push_back(1);
    to.push_back(2.5f);
  });
  EXPECT_EQ(vector_of(items.items()), (std::vector<double>{1, 2.5}));
}

TEST(Collect, HasOffsetsOfKernelsByRangeThatSayTheirIndex) {
  shard::collect<int> items(shard::with_offsets);
  shard::map({.grain = 7, .run_on = shard::executor::serial}, n, shard::reduce(items),
             [](shard::range chunk, auto& to) {
               for (const std::size_t i : chunk) {
                 to.begin_index(i);
                 push_some(i, to);
               }
             });
  EXPECT_EQ(vector_of(items.items()), expected_items());
  for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(items.items_of(i).size(), i % 4);
}

TEST(Collect, HasOffsetsOfRows) {
  shard::collect<int> items(shard::with_offsets);
  shard::buffer<int, 2> grid(5, 3);
  shard::map(alone, grid, shard::reduce(items), [](std::size_t i, std::size_t j, auto& to) {
    if (i != 2) to.push_back(static_cast<int>(10 * i + j));
    return 0;
  });
  EXPECT_EQ(vector_of(items.offsets()), (std::vector<std::uint64_t>{0, 3, 6, 6, 9, 12}));
  EXPECT_EQ(items.items_of(3)[1], 31);
}

TEST(Collect, RefusesItemsWhoseIndexIsUnknown) {
  const auto why = [](const auto& steps) {
    shard::collect<int> items(shard::with_offsets);
    std::string told;
    shard::map({.grain = n, .run_on = shard::executor::serial}, shard::range{10, n},
               shard::reduce(items),
               [&](shard::range, auto& to) { told = refusal([&] { steps(to); }); });
    return told;
  };
  EXPECT_TRUE(mentions(why([](auto& to) { to.push_back(1); }),
                       {"cannot collect an item with offsets", "begin_index"}));
  EXPECT_TRUE(mentions(why([](auto& to) { to.begin_index(9); }),
                       {"cannot collect items of index 9", "outside of the chunk [10, 100)"}));
  EXPECT_TRUE(mentions(why([](auto& to) {
                         to.begin_index(20);
                         to.begin_index(19);
                       }),
                       {"cannot collect items of index 19", "after index 20", "ascending"}));
  shard::collect<int> items(shard::with_offsets);
  EXPECT_TRUE(mentions(refusal([&] {
                         shard::map(alone, shard::tiles{{4, 4}, {2, 2}}, shard::reduce(items),
                                    [](shard::tile, auto&) {});
                       }),
                       {"a map over tiles"}));
  const shard::collect<int> without;
  EXPECT_TRUE(mentions(refusal([&] { static_cast<void>(without.offsets()); }), {"with_offsets"}));
}

TEST(Collect, LeavesOutWhatFails) {
  for (const std::size_t grain : {1u, 7u, 100u}) {
    shard::collect<int> items(shard::with_offsets);
    const shard::report told =
        shard::try_map({.grain = grain, .keep_going = true, .run_on = shard::executor::serial}, n,
                       shard::reduce(items), [](std::size_t i, auto& to) {
                         push_some(i, to);
                         if (i % 13 == 3) throw std::runtime_error("no");
                       });
    EXPECT_FALSE(told.complete());
    std::vector<int> expected;
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t count = i % 13 == 3 ? 0 : i % 4;
      EXPECT_EQ(items.items_of(i).size(), count) << i;
      for (std::size_t k = 0; k < count; ++k) expected.push_back(static_cast<int>(10 * i + k));
    }
    EXPECT_EQ(vector_of(items.items()), expected);
  }
}

// What a kernel catches leaves items and offsets in step.
TEST(Collect, ThrowsWhereThereIsNoMemoryAndAddsNothing) {
  const std::size_t available = shard::os::memory_headroom(std::size_t{1} << 42).available_bytes;
  if (available >= std::size_t{1} << 41) GTEST_SKIP() << "knows of no limit";
  for (const std::size_t bytes : {available / 2 * 3, std::size_t{1} << 45}) {
    void* const zeros =
        mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (zeros == MAP_FAILED) continue;
    const std::span<const std::byte> all(static_cast<const std::byte*>(zeros), bytes);
    shard::collect<std::byte> items(shard::with_offsets);
    std::string told;
    shard::map(alone, 2, shard::reduce(items), [&](std::size_t, auto& to) {
      to.push_back(std::byte{1});
      told = refusal([&] { to.append(all); });
      to.push_back(std::byte{2});
    });
    EXPECT_TRUE(mentions(told, {"cannot collect items: found", "bytes available (", "expected"}));
    EXPECT_EQ(items.size(), 4u);
    EXPECT_EQ(items.items_of(1).size(), 2u);
    munmap(zeros, bytes);
  }
}

TEST(Collect, KeepsWhatItHasWhereThereIsNoRoomForMore) {
  EXPECT_TRUE(shard_test::holds_in_a_child([] {
    const struct rlimit limit {
      1 << 20, 1 << 20
    };
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
    const auto add_some = [](std::size_t, auto& to) {
      to.append(std::vector<std::byte>(100'000, std::byte{7}));
    };
    shard::collect<std::byte> items;
    shard::map(alone, 7, shard::reduce(items), add_some);
    const std::string told = refusal([&] { shard::map(alone, 7, shard::reduce(items), add_some); });
    if (items.size() != 700'000 || !mentions(told, {"cannot create", "RLIMIT_FSIZE"})) return false;
    shard::map(alone, 1, shard::reduce(items), add_some);
    return items.size() == 800'000 && items.items()[799'999] == std::byte{7};
  }));
}

TEST(Collect, GivesBackWhatItsMapsTook) {
  const auto live = [] {
    return shard::detail::segment::live(shard::detail::segment::hold_live());
  };
  shard::collect<int> items;
  const std::size_t before = live().size();
  shard::map(alone, n, shard::reduce(items), push_some);
  EXPECT_EQ(live().size(), before);
}

TEST(Collect, IsRefusedInTwoArgumentsOfAMap) {
  shard::collect<int> items;
  EXPECT_TRUE(mentions(refusal([&] {
                         shard::map({.run_on = shard::executor::serial}, 4, shard::reduce(items),
                                    shard::reduce(items), [](std::size_t, auto& a, auto& b) {
                                      a.push_back(1);
                                      b.push_back(2);
                                    });
                       }),
                       {"the same collect in two arguments"}));
  EXPECT_EQ(items.size(), 0u);
}

TEST(Collect, RefusesOffsetsThatNoMemoryCouldHoldBeforeAnyKernelRuns) {
  shard::collect<int> items(shard::with_offsets);
  constexpr std::size_t last = std::numeric_limits<std::size_t>::max();
  bool ran = false;
  EXPECT_TRUE(mentions(refusal([&] {
                         shard::map({.run_on = shard::executor::serial},
                                    shard::range{last - 10, last}, shard::reduce(items),
                                    [&](std::size_t, auto& to) {
                                      ran = true;
                                      to.push_back(1);
                                    });
                       }),
                       {"offsets", "expected one up to"}));
  EXPECT_FALSE(ran);
}

TEST(Collect, IsCopied) {
  shard::collect<int> items(shard::with_offsets);
  shard::map(alone, shard::range{0, 30}, shard::reduce(items), push_some);
  const shard::collect<int> copy = items;
  EXPECT_TRUE(copy == items);
  const std::vector<int> then = vector_of(items.items());
  shard::map(alone, shard::range{30, n}, shard::reduce(items), push_some);
  EXPECT_FALSE(copy == items);
  EXPECT_EQ(vector_of(copy.items()), then);
}

TEST_F(CollectIntoAFile, HasAFileOnceAMapIsComplete) {
  const fs::path file = path_ / "items.npy";
  shard::collect<int> items(file);
  EXPECT_TRUE(fs::is_empty(path_));
  shard::map(alone, n, shard::reduce(items), push_some);
  EXPECT_EQ(vector_of(items.items()), expected_items());
  EXPECT_EQ(vector_of(shard::open<int>(file)), expected_items());
  shard::map(alone, n, shard::reduce(items), push_some);
  EXPECT_EQ(shard::open<int>(file).size(), 2 * expected_items().size());
  EXPECT_EQ(items.size(), 2 * expected_items().size());
}

TEST_F(CollectIntoAFile, HasNoFileIfItIsNot) {
  const fs::path file = path_ / "items.npy";
  shard::collect<int> items(file, shard::with_offsets);
  const shard::report told = shard::try_map({.keep_going = true, .run_on = shard::executor::serial},
                                            n, shard::reduce(items), [](std::size_t i, auto& to) {
                                              push_some(i, to);
                                              if (i == 50) throw std::runtime_error("no");
                                            });
  EXPECT_FALSE(told.complete());
  EXPECT_TRUE(fs::is_empty(path_));
  EXPECT_EQ(items.size(), expected_items().size() - 2);
  EXPECT_EQ(items.items_of(51).size(), 3u);
}

TEST_F(CollectIntoAFile, IsRefusedWhereThereCanBeNone) {
  EXPECT_TRUE(mentions(refusal([&] { shard::collect<int> items(path_ / "no" / "items.npy"); }),
                       {"cannot create", "no/items.npy"}));
}

}  // namespace
