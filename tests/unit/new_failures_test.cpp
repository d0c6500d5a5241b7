// Which records of a board are told, when, and how often.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "board/board.hpp"
#include "mapping/failures.hpp"
#include "os/anonymous.hpp"
#include "plan/partition.hpp"

namespace {

using shard::range;
using shard::board::failure_facts;
using shard::board::failure_kind;
using shard::mapping::all_failures;
using shard::mapping::new_failures;

// Four chunks of five indices, and two workers.
class NewFailures : public testing::Test {
 protected:
  void judge(std::size_t chunk, unsigned errors) {
    shard::board::verdict judged;
    judged.errors = static_cast<std::uint8_t>(errors);
    board_.verdict_on(chunk).store(judged);
  }
  void record(std::size_t chunk, unsigned attempt, const char* what) {
    board_.record({.kind = failure_kind::exception, .chunk = chunk, .attempt = attempt}, what);
  }
  void record_outside(const char* what) { board_.record({.kind = failure_kind::exit}, what); }

  std::vector<std::string> told() { return texts(unheard_.take()); }
  std::vector<std::string> all() { return texts(all_failures(board_, chunks_)); }

 private:
  static std::vector<std::string> texts(const std::vector<shard::failure>& failures) {
    std::vector<std::string> found;
    for (const shard::failure& one : failures) found.push_back(one.what);
    return found;
  }

  const shard::plan::partition chunks_ = shard::plan::partition::uniform({0, 20}, 5);
  const shard::board::dimensions size_{.chunks = 4, .slots = 2};
  const shard::os::anonymous_memory memory_{shard::board::board::size_bytes(size_),
                                            shard::os::sharing::none};
  const shard::board::board board_{memory_.base(), size_};
  new_failures unheard_{board_, chunks_};
};

using words = std::vector<std::string>;

TEST_F(NewFailures, AreToldOnceInTheOrderOfTheirRecords) {
  EXPECT_EQ(told(), words{});
  record(3, 1, "a");
  judge(3, 1);
  record(1, 1, "b");
  judge(1, 1);
  EXPECT_EQ(told(), (words{"a", "b"}));
  record(3, 2, "c");
  judge(3, 2);
  EXPECT_EQ(told(), words{"c"});
  EXPECT_EQ(told(), words{});
  EXPECT_EQ(all(), (words{"b", "a", "c"}));
}

TEST_F(NewFailures, AreNotToldBeforeTheyAreJudged) {
  record(2, 1, "not yet");
  record(1, 1, "judged");
  judge(1, 1);
  EXPECT_EQ(told(), words{"judged"});
  judge(2, 1);
  EXPECT_EQ(told(), words{"not yet"});
}

// Whoever recorded the first died before the verdict.
TEST_F(NewFailures, OfOneAttemptAreToldAsTheLastOneThatRecordedIt) {
  record(2, 1, "first");
  EXPECT_EQ(told(), words{});
  record(2, 1, "last");
  judge(2, 1);
  EXPECT_EQ(told(), words{"last"});
  EXPECT_EQ(told(), words{});
  EXPECT_EQ(all(), words{"last"});
}

TEST_F(NewFailures, ThatBlameNoChunkAreToldAtOnceAndComeLastInTheEnd) {
  record_outside("before");
  record(0, 1, "inside");
  EXPECT_EQ(told(), words{"before"});
  judge(0, 1);
  record_outside("after");
  EXPECT_EQ(told(), (words{"inside", "after"}));
  EXPECT_EQ(all(), (words{"inside", "before", "after"}));
}

}  // namespace
