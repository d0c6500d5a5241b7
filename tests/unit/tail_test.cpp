#include "family/tail.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace {

using shard::family::tail;

std::string kept(const tail& of) {
  std::string room(tail::capacity, '?');
  room.resize(of.copy(room));
  return room;
}

std::unique_ptr<tail> fresh() { return std::make_unique<tail>(); }

TEST(Tail, OfNothingIsEmpty) { EXPECT_EQ(kept(*fresh()), ""); }

TEST(Tail, HasAllThatThereIsRoomFor) {
  const auto of = fresh();
  const std::string text = "begin\n" + std::string(tail::capacity - 6, 'x');
  of->append(text);
  EXPECT_EQ(kept(*of), text);
}

TEST(Tail, BeginsWithAWholeLineOnceThereWasMore) {
  const auto of = fresh();
  of->append(std::string(tail::capacity, 'x'));
  of->append("\none\ntwo");
  EXPECT_EQ(kept(*of), "one\ntwo");
}

TEST(Tail, OfOneLineThatIsTooLongIsItsEnd) {
  const auto of = fresh();
  of->append(std::string(tail::capacity, 'x') + "end\n");
  EXPECT_EQ(kept(*of), std::string(tail::capacity - 4, 'x') + "end\n");
}

TEST(Tail, ForgetsWhenItIsCleared) {
  const auto of = fresh();
  of->append(std::string(3 * tail::capacity, 'x'));
  of->clear();
  of->append("new\n");
  EXPECT_EQ(kept(*of), "new\n");
}

// Against a string of everything that was ever written.
RC_GTEST_PROP(Tail, IsTheEndOfWhateverWasAppended, (const std::vector<std::string>& pieces)) {
  const auto of = fresh();
  std::string all;
  for (const std::string& piece : pieces) {
    const std::string text = piece + std::string(piece.size() * 37 % 900, 'y') + "\n";
    of->append(text);
    all += text;
  }
  const std::string found = kept(*of);
  RC_ASSERT(all.ends_with(found));
  if (all.size() <= tail::capacity) {
    RC_ASSERT(found == all);
  } else {
    RC_ASSERT(found.size() > tail::capacity - 1000);
  }
}

}  // namespace
