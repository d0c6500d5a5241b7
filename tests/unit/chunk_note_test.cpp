// What a board keeps of one chunk: all of it comes back, or nothing.

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <optional>
#include <thread>

#include "board/chunk_note.hpp"

namespace {

using namespace std::chrono_literals;
using shard::board::chunk_facts;
using shard::board::chunk_note;
using words = std::array<std::uint64_t, 3>;

words words_of(const chunk_note& note) {
  words found;
  std::memcpy(found.data(), static_cast<const void*>(&note), sizeof found);
  return found;
}

std::optional<chunk_facts> read(const words& from) {
  chunk_note note{};
  std::memcpy(static_cast<void*>(&note), from.data(), sizeof from);
  return note.read();
}

words written(const chunk_facts& of) {
  chunk_note note{};
  note.write(of);
  return words_of(note);
}

chunk_facts some(std::int64_t k) {
  return {.start = std::chrono::nanoseconds(1'000'000 + k),
          .took = std::chrono::nanoseconds(2 * k),
          .worker = static_cast<unsigned>(k % 4096),
          .attempt = static_cast<unsigned>(k % 60'000) + 1,
          .memory_bytes = static_cast<std::size_t>(k % 1000) * 4096,
          .failed = k % 2 != 0};
}

TEST(ChunkNote, IsNothingBeforeItIsWritten) { EXPECT_EQ(read(words{}), std::nullopt); }

RC_GTEST_PROP(ChunkNote, GivesBackWhatWasWritten, ()) {
  const chunk_facts of{
      .start = std::chrono::nanoseconds(*rc::gen::inRange<std::int64_t>(0, INT64_MAX)),
      .took = std::chrono::nanoseconds(*rc::gen::inRange<std::int64_t>(0, 1LL << 48)),
      .worker = *rc::gen::inRange<unsigned>(0, 8192),
      .attempt = *rc::gen::inRange<unsigned>(1, 65536),
      .memory_bytes = *rc::gen::inRange<std::size_t>(0, std::size_t{1} << 32) * 4096,
      .failed = *rc::gen::arbitrary<bool>()};
  RC_ASSERT(read(written(of)) == of);
}

TEST(ChunkNote, CutsWhatIsTooMuch) {
  const auto found = read(written({.took = std::chrono::hours(1000),
                                   .worker = 10'000,
                                   .attempt = 1'000'000,
                                   .memory_bytes = ~std::size_t{0} / 2}));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->took.count(), (1LL << 48) - 1);
  EXPECT_EQ(found->worker, 8191u);
  EXPECT_EQ(found->attempt, 65535u);
  EXPECT_EQ(found->memory_bytes, 4096 * ((std::size_t{1} << 32) - 1));
}

TEST(ChunkNote, RoundsMemoryUpToPages) {
  EXPECT_EQ(read(written({.memory_bytes = 1}))->memory_bytes, 4096u);
  EXPECT_EQ(read(written({.memory_bytes = 4097}))->memory_bytes, 8192u);
}

// A writer makes four stores: 0 to the last word, then the words in their order.
TEST(ChunkNote, IsNothingWhereItsWriterDiedBetweenTwoStores) {
  const words before = written(some(3));
  const words after = written(some(4));
  words now = before;
  now[2] = 0;
  EXPECT_EQ(read(now), std::nullopt);
  now[0] = after[0];
  EXPECT_EQ(read(now), std::nullopt);
  now[1] = after[1];
  EXPECT_EQ(read(now), std::nullopt);
  now[2] = after[2];
  EXPECT_EQ(read(now), some(4));
}

// Words of two notes: what is left after a power cut, or by a wild store. Each of 1000 such has one
// chance in 131072 to pass for a note.
TEST(ChunkNote, IsNothingWhereWordsDontBelongTogether) {
  int passed = 0;
  for (std::int64_t k = 0; k < 1000; ++k) {
    const words one = written(some(k));
    const words other = written(some(k + 7));
    passed += read({other[0], one[1], one[2]}).has_value() ? 1 : 0;
    passed += read({one[0], other[1], one[2]}).has_value() ? 1 : 0;
    passed += read({one[0], one[1], one[2] ^ std::uint64_t{1} << (k % 64)}).has_value() ? 1 : 0;
  }
  EXPECT_LE(passed, 1);
}

TEST(ChunkNote, IsWholeOrNothingForWhoeverReadsMeanwhile) {
  chunk_note note{};
  std::atomic<bool> over = false;
  std::thread writer([&] {
    for (std::int64_t k = 0; k < 200'000; ++k) note.write(some(k));
    over = true;
  });
  std::size_t wrong = 0;
  while (!over) {
    const auto found = note.read();
    if (found) wrong += *found == some(found->took.count() / 2) ? 0 : 1;
  }
  writer.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(note.read(), some(199'999));
}

}  // namespace
