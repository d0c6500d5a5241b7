// What a report says of every index: final, given up, or not tried. Whatever the map, whatever
// failed in it and whatever ended it, these three add up to all indices.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <sstream>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <tuple>
#include <vector>

#include "process/leftovers.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using shard::executor;
using shard::range;
using shard_test::mentions;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

using Report = shard_test::leaves_nothing;

constexpr executor everywhere[]{executor::processes, executor::threads, executor::serial};

std::string text_of(const shard::report& run) {
  std::ostringstream text;
  text << run;
  return text.str();
}

std::string first_line_of(const shard::report& run) {
  const std::string text = text_of(run);
  return text.substr(0, text.find('\n'));
}

std::set<std::size_t> indices_of(std::span<const range> ranges) {
  std::set<std::size_t> all;
  for (const range part : ranges) all.insert(part.begin(), part.end());
  return all;
}

bool is_normal(std::span<const range> ranges) {
  for (std::size_t k = 0; k < ranges.size(); ++k) {
    if (ranges[k].first >= ranges[k].last) return false;
    if (k != 0 && ranges[k - 1].last >= ranges[k].first) return false;
  }
  return true;
}

// Each of `all` is in exactly one of the three sets, and missing() is two of them.
bool adds_up(const shard::report& run, const std::set<std::size_t>& all) {
  std::set<std::size_t> found = indices_of(run.completed());
  std::set<std::size_t> missing;
  std::size_t sum = found.size();
  for (const std::span<const range> part : {run.failed(), run.not_tried()}) {
    const std::set<std::size_t> indices = indices_of(part);
    sum += indices.size();
    missing.insert(indices.begin(), indices.end());
  }
  found.insert(missing.begin(), missing.end());
  return is_normal(run.completed()) && is_normal(run.failed()) && is_normal(run.not_tried()) &&
         is_normal(run.missing()) && found == all && sum == all.size() &&
         run.indices() == all.size() && indices_of(run.missing()) == missing &&
         run.complete() == missing.empty();
}

nlohmann::json as_json(std::span<const range> ranges) {
  nlohmann::json all = nlohmann::json::array();
  for (const range part : ranges) all.push_back({part.first, part.last});
  return all;
}

bool says_the_same_in_json(const shard::report& run) {
  const nlohmann::json told = nlohmann::json::parse(run.json());
  return told["completed"] == as_json(run.completed()) && told["failed"] == as_json(run.failed()) &&
         told["not_tried"] == as_json(run.not_tried()) && told["missing"] == as_json(run.missing());
}

// ---- The three sets ----

// Ranges with gaps between them, as a chunk_list wants them.
std::vector<range> any_chunks() {
  std::vector<range> chunks;
  std::size_t at = 0;
  for (int left = *rc::gen::inRange(1, 12); left > 0; --left) {
    const std::size_t first = at + *rc::gen::element<std::size_t>(0, 0, 1, 5);
    at = first + *rc::gen::inRange<std::size_t>(1, 12);
    chunks.push_back({first, at});
  }
  return chunks;
}

RC_GTEST_PROP(ReportOfAnyMap, HasEachIndexInExactlyOneOfThreeSets, ()) {
  const std::vector<range> chunks = any_chunks();
  const std::set<std::size_t> all = indices_of(chunks);
  const std::size_t size = *all.rbegin() + 1;
  const auto fails = *rc::gen::container<std::vector<bool>>(
      size, rc::gen::map(rc::gen::inRange(0, 8), [](int of_eight) { return of_eight == 0; }));
  const bool keep_going = *rc::gen::arbitrary<bool>();
  const bool by_range = *rc::gen::arbitrary<bool>();
  // Forks are slow: one run in eight is enough of them.
  const executor where = *rc::gen::weightedElement<executor>(
      {{1, executor::processes}, {3, executor::threads}, {4, executor::serial}});
  const shard::options how{.workers = *rc::gen::inRange(1u, 4u),
                           .retries_error = *rc::gen::inRange(0u, 3u),
                           .keep_going = keep_going,
                           .run_on = where};
  shard::buffer<int> out(size);
  const auto kernel = [&](std::size_t i, shard::slice<int> to) {
    if (fails[i]) throw std::runtime_error("as it was drawn");
    to[i] = 1;
  };
  const auto range_kernel = [&](range chunk, shard::slice<int> to) {
    for (const std::size_t i : chunk) kernel(i, to);
  };
  const shard::chunk_list space{{0, size}, chunks};
  const shard::report run = by_range ? shard::try_map(how, space, shard::out(out), range_kernel)
                                     : shard::try_map(how, space, shard::out(out), kernel);
  RC_ASSERT(adds_up(run, all));
  RC_ASSERT(says_the_same_in_json(run));
  std::set<std::size_t> bad;
  for (const std::size_t i : all) {
    if (fails[i]) bad.insert(i);
  }
  const std::set<std::size_t> failed = indices_of(run.failed());
  RC_ASSERT(std::ranges::includes(bad, failed));
  RC_ASSERT(failed.empty() == bad.empty());
  if (keep_going) {
    RC_ASSERT(failed == bad);
    RC_ASSERT(run.not_tried().empty());
  }
}

TEST_F(Report, OfACompleteMapMissesNothing) {
  for (const executor where : everywhere) {
    shard::buffer<int> out(100);
    const shard::report run = shard::map({.run_on = where}, out, [](std::size_t) { return 1; });
    EXPECT_THAT(run.completed(), ElementsAre(range{0, 100}));
    EXPECT_THAT(run.failed(), IsEmpty());
    EXPECT_THAT(run.not_tried(), IsEmpty());
    EXPECT_THAT(run.missing(), IsEmpty());
    EXPECT_THAT(first_line_of(run), testing::StartsWith("100 of 100 indices in "));
    EXPECT_TRUE(says_the_same_in_json(run));
  }
}

TEST_F(Report, OfNoMapIsOfNoIndices) {
  const shard::report none;
  EXPECT_EQ(none.indices(), 0u);
  EXPECT_TRUE(none.complete());
  EXPECT_THAT(none.missing(), IsEmpty());
}

shard::report fail_at_5_of_100(executor where, bool keep_going, void (*how)()) {
  shard::buffer<int> out(100);
  return shard::try_map({.workers = 1, .grain = 10, .keep_going = keep_going, .run_on = where}, out,
                        [how](std::size_t i) {
                          if (i == 5) how();
                          return 1;
                        });
}

void throw_something() { throw std::runtime_error("something"); }

TEST_F(Report, TellsWhatFailedFromWhatWasNotTried) {
  for (const executor where : everywhere) {
    SCOPED_TRACE(static_cast<int>(where));
    const shard::report run = fail_at_5_of_100(where, false, throw_something);
    EXPECT_THAT(run.failed(), ElementsAre(range{5, 6}));
    EXPECT_THAT(run.completed(), ElementsAre(range{0, 5}, range{6, 10}));
    EXPECT_THAT(run.not_tried(), ElementsAre(range{10, 100}));
    EXPECT_THAT(run.missing(), ElementsAre(range{5, 6}, range{10, 100}));
    EXPECT_THAT(
        first_line_of(run),
        testing::StartsWith("9 of 100 indices, 1 failed, 90 not tried, in 10 chunks on 1 "));
    EXPECT_THAT(
        shard::map_error(run).what(),
        HasSubstr("found 9 of 100 indices done, 1 failed, 90 not tried; expected all; index 5 "));
  }
}

TEST_F(Report, SaysNothingOfWhatThereIsNoneOf) {
  const shard::report failed = fail_at_5_of_100(executor::serial, true, throw_something);
  EXPECT_THAT(first_line_of(failed), testing::StartsWith("99 of 100 indices, 1 failed, in "));
  std::stop_source source;
  source.request_stop();
  shard::buffer<int> out(100);
  const shard::report stopped =
      shard::try_map({.stop = source.get_token()}, out, [](std::size_t) { return 1; });
  EXPECT_THAT(first_line_of(stopped), testing::StartsWith("0 of 100 indices, 100 not tried, in "));
  EXPECT_THAT(stopped.not_tried(), ElementsAre(range{0, 100}));
  EXPECT_THAT(stopped.failed(), IsEmpty());
}

// What was given up as a whole is told as a whole: nobody knows which of these indices it was.
TEST_F(Report, TellsAChunkThatWasGivenUpWhole) {
  shard::buffer<int> out(100);
  const shard::report run =
      shard::try_map({.workers = 1, .grain = 10, .timeout = std::chrono::milliseconds(100)}, 100,
                     shard::out(out), [](range chunk, shard::slice<int> to) {
                       for (const std::size_t i : chunk) to[i] = 1;
                       while (chunk.contains(55)) pause();
                     });
  EXPECT_THAT(run.failed(), ElementsAre(range{50, 60}));
  EXPECT_THAT(run.not_tried(), ElementsAre(range{60, 100}));
  EXPECT_THAT(run.failures(), SizeIs(2));
  EXPECT_EQ(run.counts().retries, 1u);
}

// What a map has missed, another one does.
TEST_F(Report, TellsTheNextMapWhatIsLeftToDo) {
  shard::buffer<int> out(1000);
  const shard::report first =
      shard::try_map({.workers = 2, .grain = 7}, out.size(), shard::out(out),
                     [](std::size_t i, shard::slice<int> to) {
                       if (i % 100 == 50) throw std::runtime_error("at first");
                       to[i] = 1;
                     });
  ASSERT_FALSE(first.complete());
  const std::vector<range> rest(first.missing().begin(), first.missing().end());
  const shard::report second = shard::map(shard::chunk_list{{0, 1000}, rest}, shard::out(out),
                                          [](std::size_t i, shard::slice<int> to) { to[i] = 1; });
  EXPECT_EQ(second.indices() + indices_of(first.completed()).size(), 1000u);
  for (const int each : out) EXPECT_EQ(each, 1);
}

// ---- While the run goes on ----

// What identifies a failure, and is known from the start.
using known = std::tuple<std::size_t, unsigned, std::size_t, std::size_t, std::string, std::string>;
std::multiset<known> known_of(std::span<const shard::failure> failures) {
  std::multiset<known> all;
  for (const shard::failure& one : failures) {
    all.insert({one.chunk, one.attempt, one.indices.first, one.indices.last, one.kind, one.what});
  }
  return all;
}

TEST_F(Report, HasTheFailuresThatTheCallerHasHeardOf) {
  for (const executor where : everywhere) {
    SCOPED_TRACE(static_cast<int>(where));
    const pid_t caller = gettid();
    std::vector<shard::failure> heard;
    shard::buffer<int> out(1000);
    const shard::report run =
        shard::try_map({.workers = 3,
                        .keep_going = true,
                        .run_on = where,
                        .on_failure =
                            [&](const shard::failure& one) {
                              EXPECT_EQ(gettid(), caller);
                              heard.push_back(one);
                            }},
                       out, [where](std::size_t i) {
                         if (i % 100 == 7) throw std::runtime_error("at " + std::to_string(i));
                         if (i == 500 && where == executor::processes) std::abort();
                         return 1;
                       });
    EXPECT_FALSE(heard.empty());
    EXPECT_EQ(known_of(heard), known_of(run.failures()));
  }
}

TEST_F(Report, OfAFailureIsHeardWhileOthersStillRun) {
  for (const executor where : {executor::processes, executor::threads}) {
    SCOPED_TRACE(static_cast<int>(where));
    const shard_test::tally heard;
    shard::buffer<int> out(2);
    const shard::report run =
        shard::try_map({.workers = 2,
                        .grain = 1,
                        .keep_going = true,
                        .run_on = where,
                        .on_failure = [&](const shard::failure&) { ++heard[0]; }},
                       out, [&](std::size_t i) {
                         if (i == 0) throw std::runtime_error("something");
                         return shard_test::eventually([&] { return heard[0] != 0; }) ? 1 : 0;
                       });
    EXPECT_EQ(out[1], 1);
    EXPECT_THAT(run.failed(), ElementsAre(range{0, 1}));
  }
}

// Inline the caller has no time of its own but between chunks.
TEST_F(Report, OfAFailureIsHeardBetweenTheChunksOfASerialRun) {
  using clock = std::chrono::steady_clock;
  std::optional<clock::time_point> began;
  bool heard = false;
  bool heard_meanwhile = false;
  shard::buffer<int> out(3);
  const shard::report run =
      shard::try_map({.grain = 1,
                      .keep_going = true,
                      .run_on = executor::serial,
                      .on_failure = [&](const shard::failure&) { heard = true; }},
                     out, [&](std::size_t i) {
                       if (!began) began = clock::now();
                       if (i == 0) throw std::runtime_error("something");
                       while (i == 1 && clock::now() - *began < std::chrono::milliseconds(100)) {
                       }
                       if (i == 2) heard_meanwhile = heard;
                       return 1;
                     });
  EXPECT_TRUE(heard_meanwhile);
  EXPECT_THAT(run.failed(), ElementsAre(range{0, 1}));
}

TEST_F(Report, IsNotMadeWhenHearingOfAFailureThrows) {
  const auto stop = [](const shard::failure& one) { throw std::out_of_range(one.what); };
  for (const executor where : everywhere) {
    SCOPED_TRACE(static_cast<int>(where));
    shard::buffer<int> out(100);
    try {
      shard::map(
          {.workers = 2, .grain = 1, .keep_going = true, .run_on = where, .on_failure = stop}, out,
          [where](std::size_t i) {
            if (i == 0) throw std::runtime_error("something");
            // In processes, kernels that would never return are ended.
            while (where == executor::processes) pause();
            return 1;
          });
      ADD_FAILURE() << "nothing was thrown";
    } catch (const std::out_of_range& e) {
      EXPECT_STREQ(e.what(), "std::runtime_error: something");
    }
  }
  shard::buffer<int> out(100);
  EXPECT_TRUE(shard::map({.workers = 2}, out, [](std::size_t) { return 1; }).complete());
}

TEST_F(Report, IsNotHeardOfBeforeAnythingFails) {
  for (const executor where : everywhere) {
    shard::buffer<int> out(100);
    shard::map({.run_on = where, .on_failure = [](const shard::failure&) { ADD_FAILURE(); }}, out,
               [](std::size_t) { return 1; });
  }
}

TEST_F(Report, AgreesWithTheCountsOfItsProgress) {
  for (const executor where : everywhere) {
    SCOPED_TRACE(static_cast<int>(where));
    std::vector<shard::progress> seen;
    shard::buffer<int> out(400);
    const shard::report run =
        shard::try_map({.workers = 2,
                        .keep_going = true,
                        .run_on = where,
                        .on_progress = [&](const shard::progress& now) { seen.push_back(now); }},
                       out, [where](std::size_t i) {
                         if (i % 40 == 3) throw std::runtime_error("something");
                         if (i == 200 && where == executor::processes) _exit(3);
                         return 1;
                       });
    ASSERT_FALSE(seen.empty());
    for (std::size_t k = 0; k < seen.size(); ++k) {
      EXPECT_LE(seen[k].failed, seen[k].done);
      if (k == 0) continue;
      EXPECT_LE(seen[k - 1].failed, seen[k].failed);
      EXPECT_LE(seen[k - 1].failures, seen[k].failures);
      EXPECT_LE(seen[k - 1].deaths, seen[k].deaths);
    }
    EXPECT_EQ(seen.back().done, 400u);
    EXPECT_EQ(seen.back().failed, indices_of(run.failed()).size());
    EXPECT_EQ(seen.back().failed, where == executor::processes ? 11u : 10u);
    EXPECT_EQ(seen.back().failures, run.failures().size() + run.counts().failures_lost);
    EXPECT_EQ(seen.back().deaths, run.counts().deaths);
  }
}

// ---- What there is to debug ----

TEST_F(Report, SaysHowToDebugWhatTheKernelIsToBlameFor) {
  for (void (*const how)() :
       {+[] { throw_something(); }, +[] { std::abort(); }, +[] { _exit(3); }}) {
    const shard::report run = fail_at_5_of_100(executor::processes, true, how);
    ASSERT_FALSE(run.failures().empty());
    for (const shard::failure& one : run.failures()) EXPECT_FALSE(one.from_outside);
    EXPECT_THAT(text_of(run), HasSubstr("\n    to debug it: SHARD_REPLAY="));
    EXPECT_THAT(run.replay(run.failures().back()), testing::EndsWith(":5-6"));
  }
}

TEST_F(Report, DoesNotSayHowToDebugAKillFromOutside) {
  const shard::report run = fail_at_5_of_100(executor::processes, true, [] { raise(SIGKILL); });
  ASSERT_THAT(run.failures(), SizeIs(103)) << "as a kill, and as a crash: in its chunk, and alone";
  for (const shard::failure& one : run.failures()) {
    EXPECT_TRUE(one.from_outside);
    EXPECT_EQ(run.replay(one), "");
    EXPECT_TRUE(nlohmann::json::parse(run.json())["failures"][0]["from_outside"]);
  }
  EXPECT_THAT(text_of(run), AllOf(HasSubstr("from outside"), Not(HasSubstr("SHARD_REPLAY"))));
}

// An accident at the end must not hide what there is to debug.
TEST_F(Report, SaysHowToDebugWhatFailedBeforeAKillFromOutside) {
  const shard::failure crash{.chunk = 3, .indices = {30, 40}, .kind = "signal", .attempt = 1};
  const shard::failure kill{
      .chunk = 3, .indices = {30, 40}, .kind = "killed", .attempt = 2, .from_outside = true};
  const shard::report run({.completed = {{0, 30}}, .failed = {{30, 40}}}, {crash, kill},
                          {.map = 1, .chunks = 4, .grain = 10, .workers = 1}, {});
  const std::string text = text_of(run);
  EXPECT_THAT(text, HasSubstr("to debug it: SHARD_REPLAY=1:30-40"));
  EXPECT_EQ(text.find("SHARD_REPLAY"), text.rfind("SHARD_REPLAY")) << text;
}

// ---- What it costs to fork a large caller ----

std::string told_of_forks(shard::seconds forking, shard::seconds elapsed, std::size_t bytes) {
  shard::run_counts counts;
  counts.forking = forking;
  counts.forked_bytes = bytes;
  const std::string text = text_of(shard::report({.completed = {{0, 9}}}, {}, counts, elapsed));
  const std::size_t line = text.find('\n');
  return line == std::string::npos ? "" : text.substr(line + 1);
}

TEST(ReportOfForks, SaysWhatALargeCallerCostsIfThatIsMostOfTheTime) {
  using shard::seconds;
  constexpr std::size_t gib = std::size_t{1} << 30;
  EXPECT_EQ(told_of_forks(seconds(0.49), seconds(0.52), 4 * gib),
            "  0.49 s of 0.52 s went into forking a caller that has 4.0 GiB of memory of its own: "
            "data in a shard::buffer would cost nothing");
  EXPECT_THAT(told_of_forks(seconds(15), seconds(20), 128 * gib), HasSubstr("has 128.0 GiB of"));
  EXPECT_EQ(told_of_forks(seconds(0.49), seconds(1.2), 4 * gib), "");
  EXPECT_EQ(told_of_forks(seconds(0.49), seconds(0.52), gib / 100), "") << "a busy machine";
  EXPECT_EQ(told_of_forks(seconds(0), seconds(0.001), 0), "");
}

TEST_F(Report, CountsTheTimeOfForks) {
  const std::vector<char> large(std::size_t{256} << 20, 'x');
  shard::buffer<int> out(4);
  for (const executor where : everywhere) {
    const shard::report run = shard::map({.workers = 2, .run_on = where}, out,
                                         [&](std::size_t i) { return static_cast<int>(large[i]); });
    const shard::run_counts& counts = run.counts();
    EXPECT_EQ(counts.forking > shard::seconds(), where == executor::processes);
    EXPECT_LE(counts.forking, run.elapsed());
    if (counts.forking >= shard::run_counts::noticed_forking) {
      EXPECT_GE(counts.forked_bytes, large.size());
    } else {
      EXPECT_EQ(counts.forked_bytes, 0u);
    }
    EXPECT_EQ(nlohmann::json::parse(run.json())["counts"]["forked_bytes"], counts.forked_bytes);
  }
}

}  // namespace
