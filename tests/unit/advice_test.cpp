// Which figures of a report make it say what to do otherwise. Each piece of advice comes when it is
// due, and not just before.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "shard/report.hpp"

namespace {

using shard::report;
using shard::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::size_t mebibyte = std::size_t{1} << 20;

// A map of 10 s, by four workers that worked all the time.
struct figures {
  shard::run_counts counts{.map = 1, .chunks = 1000, .grain = 1000, .workers = 4};
  shard::run_resources used{};
  seconds elapsed{10};

  figures() {
    used.workers.resize(4);
    for (unsigned k = 0; k < 4; ++k) {
      used.workers[k] = {.worker = k, .processes = 1, .chunks = 250};
      used.workers[k].working = elapsed;
      used.workers[k].user_time = elapsed;
    }
    used.working = 1;
  }

  report made() const {
    return report({.completed = {{0, counts.chunks * counts.grain}}}, {}, counts, elapsed, {},
                  used);
  }
  std::vector<std::string> advice() const { return made().advice(); }
};

figures large_heap() {
  figures of;
  of.counts.forking = seconds(6);
  of.counts.forked_bytes = 100 * mebibyte;
  return of;
}
figures near_the_limit() {
  figures of;
  of.used.memory_limit_bytes = 1000 * mebibyte;
  of.used.workers[2].peak_private_bytes = 950 * mebibyte;
  return of;
}
figures stalled() {
  figures of;
  of.used.output_stalled = seconds(2);
  return of;
}
figures one_long_chunk() {
  figures of;
  of.used.recorded = true;
  of.used.slowest = shard::chunk_record{.chunk = 77, .duration = seconds(1.5)};
  of.used.median_chunk = seconds(0.02);
  return of;
}
figures few_chunks() {
  figures of;
  of.counts.chunks = 6;
  of.used.working = 0.7;
  of.used.waiting = 0.3;
  return of;
}
figures short_chunks() {
  figures of;
  of.counts.chunks = 20'000'000;
  of.counts.grain = 10;
  return of;
}
figures many_faults() {
  figures of;
  for (auto& one : of.used.workers) {
    one.system_time = seconds(5);
    one.page_faults = 100'000;
  }
  return of;
}

TEST(Advice, IsNotGivenWhereNothingIsWrong) {
  EXPECT_THAT(figures().advice(), IsEmpty());
  EXPECT_THAT(report().advice(), IsEmpty());
}

TEST(Advice, OnForksOfALargeHeap) {
  figures of = large_heap();
  EXPECT_THAT(of.advice(), ElementsAre(AllOf(HasSubstr("forking"), HasSubstr("shard::buffer"))));
  of.counts.forking = seconds(4.9);
  EXPECT_THAT(of.advice(), IsEmpty());
  of = large_heap();
  of.counts.forked_bytes = 60 * mebibyte;
  EXPECT_THAT(of.advice(), IsEmpty());
}

TEST(Advice, OnMemoryCloseToTheLimit) {
  figures of = near_the_limit();
  EXPECT_THAT(of.advice(), ElementsAre(AllOf(HasSubstr("worker 2"), HasSubstr("memory_limit_bytes"),
                                             HasSubstr("0.93 GiB"))));
  of.used.workers[2].peak_private_bytes = 890 * mebibyte;
  EXPECT_THAT(of.advice(), IsEmpty());
  of.counts.replacements = 3;
  EXPECT_THAT(of.advice(), ElementsAre(HasSubstr("3 workers were replaced")));
  of = near_the_limit();
  of.used.memory_limit_bytes = 0;
  EXPECT_THAT(of.advice(), IsEmpty());
}

TEST(Advice, OnOutputThatNobodyTakes) {
  figures of = stalled();
  EXPECT_THAT(of.advice(), ElementsAre(AllOf(HasSubstr("2 s of 10 s"), HasSubstr("print"))));
  of.used.output_stalled = seconds(0.4);
  EXPECT_THAT(of.advice(), IsEmpty());
}

TEST(Advice, OnOneChunkThatTakesATenthOfTheMap) {
  figures of = one_long_chunk();
  EXPECT_THAT(of.advice(), ElementsAre(AllOf(HasSubstr("chunk 77"), HasSubstr("weighted"))));
  of.used.slowest->duration = seconds(0.9);
  EXPECT_THAT(of.advice(), IsEmpty());
  of = one_long_chunk();
  of.used.median_chunk = seconds(1);  // all of them are long
  EXPECT_THAT(of.advice(), IsEmpty());
  of = one_long_chunk();
  of.used.workers.resize(1);  // who would work meanwhile?
  EXPECT_THAT(of.advice(), IsEmpty());
}

TEST(Advice, OnTooFewChunks) {
  figures of = few_chunks();
  EXPECT_THAT(of.advice(), ElementsAre(AllOf(HasSubstr("6 chunks"), HasSubstr("30 %"),
                                             HasSubstr("a grain of 93"))));
  of.used.waiting = 0.1;
  EXPECT_THAT(of.advice(), IsEmpty());
  of = few_chunks();
  of.counts.chunks = 16;
  EXPECT_THAT(of.advice(), IsEmpty());
  of = few_chunks();
  of.counts.grain = 1;  // they can't be cut
  EXPECT_THAT(of.advice(), IsEmpty());
}

TEST(Advice, OnTooShortChunks) {
  figures of = short_chunks();
  EXPECT_THAT(of.advice(), ElementsAre(AllOf(HasSubstr("2e-06 s"), HasSubstr("a grain of 500"))));
  of.counts.chunks = 7'000'000;
  EXPECT_THAT(of.advice(), IsEmpty());
  of = short_chunks();
  of.counts.chunks = 4096;
  for (auto& one : of.used.workers) one.working = seconds(0.001);
  EXPECT_THAT(of.advice(), IsEmpty()) << "as many as there are by default";
}

TEST(Advice, OnPageFaults) {
  figures of = many_faults();
  EXPECT_THAT(of.advice(), ElementsAre(AllOf(HasSubstr("33 %"), HasSubstr("400000 page faults"),
                                             HasSubstr("shard::pages::huge"))));
  for (auto& one : of.used.workers) one.system_time = seconds(1);
  EXPECT_THAT(of.advice(), IsEmpty());
  of = many_faults();
  for (auto& one : of.used.workers) one.page_faults = 10'000;
  EXPECT_THAT(of.advice(), IsEmpty());
}

// A map that is over at once says only what its start cost.
TEST(Advice, IsNotGivenOnShortMaps) {
  for (figures of : {near_the_limit(), stalled(), one_long_chunk(), few_chunks(), short_chunks(),
                     many_faults()}) {
    of.elapsed = seconds(0.09);
    EXPECT_THAT(of.advice(), IsEmpty());
  }
  figures of = large_heap();
  of.elapsed = seconds(0.09);
  EXPECT_THAT(of.advice(), SizeIs(1));
}

TEST(Advice, IsThreeLinesAtMost) {
  figures of = large_heap();
  of.used.memory_limit_bytes = 1;
  of.used.output_stalled = seconds(9);
  of.used.slowest = one_long_chunk().used.slowest;
  of.used.median_chunk = seconds(0.02);
  EXPECT_THAT(of.advice(), SizeIs(3));
  std::ostringstream text;
  text << of.made();
  std::size_t lines = 0;
  for (const std::string& one : of.advice()) {
    EXPECT_THAT(text.str(), HasSubstr("\n  " + one));
    EXPECT_THAT(one, testing::Not(HasSubstr("\n")));
    ++lines;
  }
  EXPECT_EQ(lines, 3u);
}

}  // namespace
