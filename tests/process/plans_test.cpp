// What the spaces of plan.hpp promise beyond even chunks, whoever dies: groups without members, and
// results for whole groups; numbers of workers; memory that bounds how many work; strides.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "process/leftovers.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using shard::executor;
using shard::range;
using shard_test::bystander;
using shard_test::cast;
using shard_test::eventually;
using shard_test::folder;
using shard_test::holds_in_a_child;
using shard_test::mentions;
using shard_test::refusal;
using shard_test::tally;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Groups = shard_test::leaves_nothing;
using WholeChunks = shard_test::leaves_nothing;
using WorkerNumber = shard_test::leaves_nothing;
using ByMemory = shard_test::leaves_nothing;
using Strides = shard_test::leaves_nothing;

constexpr std::array everywhere{executor::processes, executor::threads, executor::serial};

template <class T>
std::vector<T> elements(const shard::buffer<const T>& of) {
  return {of.begin(), of.end()};
}
template <class T>
std::vector<T> elements(const shard::buffer<T>& of) {
  return {of.begin(), of.end()};
}

std::vector<std::size_t> indices_in(std::span<const range> parts) {
  std::vector<std::size_t> all;
  for (const range part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

// SHARD_REPLAY of the map that comes next in this process.
void replay_of_the_next(const std::string& which) {
  shard::counter none;
  const auto last =
      shard::map({.run_on = executor::serial}, 1, shard::reduce(none), [](std::size_t, auto&) {})
          .counts()
          .map;
  setenv("SHARD_REPLAY", (std::to_string(last + 1) + ":" + which).c_str(), 1);
}

// ---- Groups, some of them empty ----

// Of ten numbers; groups 0, 2, 3 and 5 have none.
const std::vector<range> groups{{0, 0}, {0, 4}, {4, 4}, {4, 4}, {4, 10}, {10, 10}};

TEST_F(Groups, WithoutMembersAreCompletedToo) {
  for (const executor where : everywhere) {
    shard::buffer<std::int64_t> sums(groups.size());
    const shard::report run =
        shard::map({.workers = 3, .run_on = where}, shard::chunk_list{{0, 10}, groups},
                   shard::out_per_chunk(sums), shard::chunk_number(),
                   [](range group, shard::slice<std::int64_t> own, std::size_t number) {
                     own[number] = 0;
                     for (const std::size_t i : group) own[number] += static_cast<int>(i);
                   });
    EXPECT_EQ(elements(sums), (std::vector<std::int64_t>{0, 6, 0, 0, 39, 0}));
    EXPECT_EQ(run.counts().chunks, groups.size());
    EXPECT_EQ(run.indices(), 10u);
    EXPECT_THAT(run.completed(), ElementsAre(range{0, 10}));
    EXPECT_THAT(run.missing_chunks(), IsEmpty());
  }
}

TEST_F(Groups, MayAllBeEmpty) {
  const std::vector<range> none{{5, 5}, {5, 5}};
  for (const executor where : everywhere) {
    shard::collect<std::size_t> sizes;
    const shard::report run =
        shard::map({.workers = 2, .run_on = where}, shard::chunk_list{{5, 5}, none},
                   shard::reduce(sizes), [](range group, auto& to) { to.push_back(group.size()); });
    EXPECT_EQ(elements(sizes.items()), (std::vector<std::size_t>{0, 0}));
    EXPECT_THAT(run.completed(), IsEmpty());
    EXPECT_TRUE(run.complete());
  }
}

TEST_F(Groups, WithoutMembersCallNoKernelByIndex) {
  shard::counter calls;
  shard::map({.workers = 2}, shard::chunk_list{{0, 10}, groups}, shard::reduce(calls),
             [](std::size_t, auto& hits) { ++hits; });
  EXPECT_EQ(calls.value(), 10);
}

// Of the kernel's two ways to say which group it has, with the number and without.
TEST_F(Groups, WithoutMembersThatFailAreNamedByTheirNumber) {
  for (const executor where : everywhere) {
    for (const bool crashes : {false, true}) {
      if (crashes && where != executor::processes) continue;
      const auto fail = [crashes] {
        if (crashes) std::abort();
        throw std::runtime_error("nothing to be had");
      };
      const shard::options how{.workers = 2, .keep_going = true, .run_on = where};
      shard::collect<std::size_t> numbers;
      shard::counter entered;
      const shard::report run = shard::try_map(
          how, shard::chunk_list{{0, 10}, groups}, shard::chunk_number(), shard::reduce(numbers),
          shard::reduce(entered), [&](range, std::size_t number, auto& to, auto& hits) {
            to.push_back(number);
            ++hits;
            if (number == 3) fail();
          });
      EXPECT_FALSE(run.complete());
      EXPECT_THAT(run.completed(), ElementsAre(range{0, 10}));
      EXPECT_THAT(run.missing(), IsEmpty());
      EXPECT_THAT(run.missing_chunks(), ElementsAre(range{3, 4}));
      EXPECT_EQ(elements(numbers.items()), (std::vector<std::size_t>{0, 1, 2, 4, 5}));
      EXPECT_EQ(entered.value(), 5);
      ASSERT_FALSE(run.failures().empty());
      for (const shard::failure& one : run.failures()) {
        EXPECT_EQ(one.chunk, 3u);
        EXPECT_TRUE(one.empty_part);
        EXPECT_TRUE(one.indices.empty());
        EXPECT_EQ(run.replay(one), "SHARD_REPLAY=" + std::to_string(run.counts().map) + ":chunk3");
      }
      const std::string text = testing::PrintToString(run);
      EXPECT_THAT(text, HasSubstr("10 of 10 indices, without 1 empty part"));
      EXPECT_THAT(text, HasSubstr("an empty part at index 4 (chunk 3), attempt 1"));
      EXPECT_THAT(run.json(), HasSubstr(R"("missing_chunks":[[3,4]])"));
      EXPECT_THAT(run.json(), HasSubstr(R"("empty_part":true)"));

      // Three parts have the same indices: none. Without their number they are tried, too.
      const std::vector<range> twins{{0, 5}, {5, 5}, {5, 10}};
      shard::counter groups_done;
      const shard::report other =
          shard::try_map(how, shard::chunk_list{{0, 10}, twins}, shard::reduce(groups_done),
                         [&](range group, auto& hits) {
                           if (group.empty()) fail();
                           ++hits;
                         });
      EXPECT_EQ(groups_done.value(), 2);
      EXPECT_THAT(other.missing_chunks(), ElementsAre(range{1, 2}));
      EXPECT_THAT(other.completed(), ElementsAre(range{0, 10}));
    }
  }
}

TEST_F(Groups, WithoutMembersThatFailEndAMapWithAnErrorThatSaysSo) {
  shard::counter none;
  EXPECT_TRUE(mentions(refusal([&] {
                         shard::map({.workers = 2}, shard::chunk_list{{0, 10}, groups},
                                    shard::reduce(none), shard::chunk_number(),
                                    [](range, auto&, std::size_t number) {
                                      if (number == 5) throw std::runtime_error("the last one");
                                    });
                       }),
                       {"found 10 of 10 indices done, without 1 empty part", "the last one"}));
}

TEST_F(Groups, OfWhichWorkersDieAreDoneOnceAllTheSame) {
  constexpr std::size_t many = 300;
  std::vector<range> parts;
  std::vector<std::int64_t> expected;
  for (std::size_t k = 0, at = 0; k < many; ++k) {
    const std::size_t size = k * 7919 % 5;  // every fifth is empty
    parts.push_back({at, at + size});
    expected.push_back(static_cast<std::int64_t>(1000 * k + size));
    at += size;
  }
  for (const int signal : {SIGKILL, SIGSEGV}) {
    const tally tries;
    shard::buffer<std::int64_t> results(many);
    shard::collect<std::int64_t> collected;
    shard::counter runs;
    const shard::report run = shard::map(
        {.workers = 3}, shard::chunk_list{{0, parts.back().last}, parts},
        shard::out_per_chunk(results), shard::chunk_number(), shard::reduce(collected),
        shard::reduce(runs),
        [&](range group, shard::slice<std::int64_t> own, std::size_t k, auto& to, auto& hits) {
          ++hits;
          own[k] = -1;
          to.push_back(static_cast<std::int64_t>(1000 * k + group.size()));
          if (k % 10 < 2 && tries[k]++ == 0) raise(signal);
          own[k] = static_cast<std::int64_t>(1000 * k + group.size());
        });
    EXPECT_EQ(run.counts().deaths, many / 5);
    EXPECT_EQ(elements(results), expected);
    EXPECT_EQ(elements(collected.items()), expected);
    EXPECT_EQ(runs.value(), static_cast<std::int64_t>(many));
  }
}

TEST_F(Groups, AreDebuggedByTheirNumber) {
  EXPECT_TRUE(holds_in_a_child([] {
    replay_of_the_next("chunk3");
    std::vector<std::size_t> called;
    shard::collect<std::size_t> numbers;
    const shard::report run =
        shard::try_map(shard::chunk_list{{0, 10}, groups}, shard::chunk_number(),
                       shard::reduce(numbers), [&](range group, std::size_t number, auto& to) {
                         if (!group.empty()) std::abort();
                         called.push_back(number);
                         to.push_back(number);
                       });
    EXPECT_THAT(called, ElementsAre(3u));
    EXPECT_EQ(elements(numbers.items()), std::vector<std::size_t>{3});
    EXPECT_THAT(run.completed(), IsEmpty());
    EXPECT_THAT(run.missing_chunks(), ElementsAre(range{0, 3}, range{4, 6}));
    EXPECT_THAT(run.trouble(), HasSubstr("SHARD_REPLAY has run chunk 3 and no others"));
    return !testing::Test::HasFailure();
  }));
}

TEST_F(Groups, HaveTheirOwnNumbersInAReplayOfSomeIndices) {
  EXPECT_TRUE(holds_in_a_child([] {
    replay_of_the_next("3-6");
    std::vector<std::pair<std::size_t, std::size_t>> called;
    shard::counter none;
    static_cast<void>(shard::try_map(
        shard::chunk_list{{0, 10}, groups}, shard::chunk_number(), shard::reduce(none),
        [&](std::size_t i, std::size_t number, auto&) { called.emplace_back(i, number); }));
    EXPECT_THAT(called, ElementsAre(std::pair(3u, 1u), std::pair(4u, 4u), std::pair(5u, 4u)));
    return !testing::Test::HasFailure();
  }));
}

// Whatever fails, a group is done as a whole or is missing, and the report says which.
RC_GTEST_PROP(GroupsOfAnyMap, AreEitherDoneOrMissing, ()) {
  std::vector<range> parts;
  std::size_t at = *rc::gen::inRange<std::size_t>(0, 5);
  const std::size_t first = at;
  for (auto left = *rc::gen::inRange(1, 15); left > 0; --left) {
    const std::size_t begin = at + *rc::gen::element<std::size_t>(0, 0, 3);
    at = begin + *rc::gen::element<std::size_t>(0, 0, 1, 7);
    parts.push_back({begin, at});
  }
  const auto fails = *rc::gen::container<std::vector<bool>>(
      parts.size(), rc::gen::map(rc::gen::inRange(0, 6), [](int of_six) { return of_six == 0; }));
  const bool keep_going = *rc::gen::arbitrary<bool>();
  const executor where = *rc::gen::weightedElement<executor>(
      {{1, executor::processes}, {3, executor::threads}, {4, executor::serial}});
  const shard::options how{.workers = *rc::gen::inRange(1u, 4u),
                           .retries_error = *rc::gen::inRange(0u, 3u),
                           .keep_going = keep_going,
                           .run_on = where};
  shard::collect<std::size_t> done;
  shard::buffer<std::size_t> results(parts.size());
  const shard::report run =
      shard::try_map(how, shard::chunk_list{{first, at}, parts}, shard::reduce(done),
                     shard::out_per_chunk(results), shard::chunk_number(),
                     [&](range group, auto& to, shard::slice<std::size_t> own, std::size_t number) {
                       to.push_back(number);
                       if (group != parts[number]) std::abort();
                       own[number] = number + 1;
                       if (fails[number]) throw std::runtime_error("as it was drawn");
                     });
  std::vector<std::size_t> complete, failed, indices, missing;
  for (const range part : run.missing_chunks())
    missing.insert(missing.end(), part.begin(), part.end());
  for (std::size_t k = 0; k < parts.size(); ++k) {
    if (fails[k]) failed.push_back(k);
    if (std::ranges::count(missing, k) != 0) continue;
    RC_ASSERT(results[k] == k + 1);
    complete.push_back(k);
    indices.insert(indices.end(), parts[k].begin(), parts[k].end());
  }
  RC_ASSERT(elements(done.items()) == complete);
  RC_ASSERT(indices_in(run.completed()) == indices);
  RC_ASSERT(std::ranges::includes(missing, failed) || !keep_going);
  RC_ASSERT(missing.empty() == failed.empty());
  RC_ASSERT(run.complete() == failed.empty());
  if (keep_going) RC_ASSERT(missing == failed);
}

TEST_F(Groups, ThatAreKeptWholeAreNotReplayedInParts) {
  EXPECT_TRUE(holds_in_a_child([] {
    replay_of_the_next("5-7");
    shard::counter none;
    return mentions(refusal([&] {
                      shard::map(shard::chunk_list{{0, 10}, groups}, shard::reduce(none),
                                 shard::chunk_number(),
                                 [](range, auto&, std::size_t) { std::abort(); });
                    }),
                    {"found the indices [5, 7)", "expected whole chunks"});
  }));
}

TEST_F(Groups, ThatAreNotThereAreNoReplay) {
  EXPECT_TRUE(holds_in_a_child([] {
    replay_of_the_next("chunk6");
    shard::counter none;
    return mentions(refusal([&] {
                      shard::map(shard::chunk_list{{0, 10}, groups}, shard::reduce(none),
                                 [](range, auto&) { std::abort(); });
                    }),
                    {"cannot replay map ", "found chunk 6", "in 6 chunks"});
  }));
}

// ---- Chunks that are never cut ----

TEST_F(WholeChunks, AreNotSearchedForWhatFails) {
  for (const executor where : everywhere) {
    for (const bool has_number : {true, false}) {
      const tally sizes;
      const auto kernel = [&](range chunk, std::size_t) {
        ++sizes[chunk.size()];
        if (chunk.contains(25)) throw std::runtime_error("twenty-five");
      };
      const shard::options how{.workers = 2, .keep_going = true, .run_on = where};
      shard::counter chunks;
      const shard::report run =
          has_number
              ? shard::try_map(
                    how, shard::chunks{{0, 60}, 10}, shard::reduce(chunks), shard::chunk_number(),
                    [&](range chunk, auto& hits, std::size_t k) { ++hits, kernel(chunk, k); })
              : shard::try_map(
                    how, shard::chunks{{0, 60}, 10}, shard::reduce(chunks),
                    shard::value(std::size_t{0}),
                    [&](range chunk, auto& hits, std::size_t k) { ++hits, kernel(chunk, k); });
      EXPECT_THAT(run.missing_chunks(), ElementsAre(range{2, 3}));
      if (has_number) {
        EXPECT_THAT(run.failed(), ElementsAre(range{20, 30}));
        EXPECT_EQ(chunks.value(), 5);
        for (std::size_t size = 0; size < 10; ++size) EXPECT_EQ(sizes[size], 0) << size;
      } else {
        EXPECT_THAT(run.failed(), ElementsAre(range{25, 26}));
      }
    }
  }
}

// A group that is too large for the memory of one worker, say: its halves would both fit, and the
// second one's result would stand for the group.
TEST_F(WholeChunks, AreGivenUpThoughPartsWouldSucceed) {
  const auto dies = [](range chunk) {
    if (chunk == range{20, 30}) std::abort();
  };
  const shard::options how{.workers = 2, .keep_going = true};
  shard::buffer<std::int64_t> sums(6);
  const shard::report run =
      shard::try_map(how, shard::chunks{{0, 60}, 10}, shard::out_per_chunk(sums),
                     [=](range chunk, shard::slice<std::int64_t> own) {
                       dies(chunk);
                       own[own.chunk().first] = static_cast<std::int64_t>(chunk.size());
                     });
  EXPECT_EQ(run.counts().deaths, 2u);  // it is run again as a whole
  EXPECT_THAT(run.failed(), ElementsAre(range{20, 30}));
  EXPECT_THAT(run.missing_chunks(), ElementsAre(range{2, 3}));
  for (const std::size_t k : {0u, 1u, 3u, 4u, 5u}) EXPECT_EQ(sums[k], 10);

  shard::counter count;
  EXPECT_TRUE(shard::try_map(how, shard::chunks{{0, 60}, 10}, shard::reduce(count),
                             [=](range chunk, auto& hits) {
                               dies(chunk);
                               hits += static_cast<std::int64_t>(chunk.size());
                             })
                  .complete());
  EXPECT_EQ(count.value(), 60);
}

TEST_F(WholeChunks, HaveARowEachOrAreRefused) {
  shard::buffer<double> to(5);
  EXPECT_TRUE(
      mentions(refusal([&] {
                 shard::map(shard::chunks{{0, 60}, 10}, shard::out_per_chunk(to),
                            [](range, shard::slice<double>) { std::abort(); });
               }),
               {"cannot map to argument 1", "found 5 rows", "expected 6, one for each chunk"}));
}

TEST_F(WholeChunks, FillFilesOfAnyRank) {
  const folder folder;
  auto to = shard::create<int>(folder / "sums.npy", 4, 3);
  shard::map(shard::tiles{.shape = {20, 20}, .step = {10, 10}}, shard::out_per_chunk(to),
             [](const shard::tile& cells, shard::slice<int, 2> own) {
               for (int& each : own.row(own.chunk().first))
                 each = static_cast<int>(cells.cols.first);
             });
  EXPECT_THAT(folder.names(), ElementsAre("sums.npy"));
  EXPECT_THAT(std::vector<int>(to.begin(), to.end()),
              ElementsAre(0, 0, 0, 10, 10, 10, 0, 0, 0, 10, 10, 10));
}

struct padded {
  std::int8_t small;
  double large;
};

// The last part dies for good, in the middle of its row.
TEST_F(WholeChunks, LeaveNoPaddingInTheirRows) {
  for (const executor where : everywhere) {
    const bool dies = where == executor::processes;
    shard::buffer<padded> to(groups.size());
    static_cast<void>(shard::try_map(
        {.workers = 2, .retries = 0, .run_on = where}, shard::chunk_list{{0, 10}, groups},
        shard::out_per_chunk(to), [&](range group, shard::slice<padded> own) {
          padded& row = own[own.chunk().first];
          std::fill_n(reinterpret_cast<unsigned char*>(&row), sizeof row, std::uint8_t{0xa5});
          if (dies && group.first == 10) std::abort();
          if (dies && group.first == 4 && !group.empty()) std::abort();
        }));
    for (const padded& each : std::as_const(to)) {
      const auto* const bytes = reinterpret_cast<const unsigned char*>(&each);
      EXPECT_EQ(std::count(bytes + 1, bytes + 8, 0), 7);
    }
  }
}

// ---- Numbers of workers ----

TEST_F(WorkerNumber, IsNeverThatOfTwoThatLiveThoughOthersDie) {
  constexpr std::size_t workers = 4;
  const tally holders, tries, clashes;
  shard::counter runs;
  const shard::report run =
      shard::map({.workers = workers}, shard::chunks{{0, 400}, 1}, shard::worker_number(),
                 shard::reduce(runs), [&](std::size_t i, unsigned number, auto& hits) {
                   ++hits;
                   if (number >= workers) std::abort();
                   const int before = holders[number].exchange(getpid());
                   if (before != 0 && before != getpid() && kill(before, 0) == 0) ++clashes[0];
                   sched_yield();
                   if (i % 20 == 7 && tries[i]++ == 0) raise(SIGKILL);
                   holders[number] = 0;
                 });
  EXPECT_EQ(clashes[0], 0);
  EXPECT_EQ(run.counts().deaths, 20u);
  EXPECT_EQ(runs.value(), 400);
}

TEST_F(WorkerNumber, IsThatOfTheReport) {
  for (const executor where : everywhere) {
    shard::counter none;
    const tally seen;
    const shard::report run = shard::try_map(
        {.workers = 3, .keep_going = true, .run_on = where}, shard::chunks{{0, 60}, 1},
        shard::reduce(none), shard::worker_number(), [&](std::size_t i, auto&, unsigned number) {
          if (i % 10 != 9) return;
          seen[i] = static_cast<int>(number);
          throw std::runtime_error("no");
        });
    ASSERT_GE(run.failures().size(), 6u);
    for (const shard::failure& one : run.failures()) {
      EXPECT_EQ(one.worker, static_cast<unsigned>(seen[one.indices.first]));
    }
  }
}

// A file for each worker, which its successor begins anew. What they hold comes back by appending.
TEST_F(WorkerNumber, NamesScratchFilesThatSuccessorsBeginAnew) {
  const folder folder;
  const tally tries;
  shard::collect<std::size_t> read;
  shard::map({.workers = 3}, shard::chunks{{0, 60}, 2},
             shard::worker_state(
                 [&](unsigned number) { return folder / ("scratch." + std::to_string(number)); },
                 shard::worker_number()),
             shard::reduce(read), [&](range chunk, std::filesystem::path& scratch, auto& to) {
               std::ofstream out(scratch, std::ios::trunc);
               for (const std::size_t i : chunk) {
                 out << i << "\n" << std::flush;
                 if (i % 10 == 5 && tries[i]++ == 0) raise(SIGKILL);
               }
               std::ifstream in(scratch);
               for (std::size_t i; in >> i;) to.push_back(i);
             });
  std::vector<std::size_t> all(60);
  std::iota(all.begin(), all.end(), std::size_t{0});
  EXPECT_EQ(elements(read.items()), all);
  for (const std::string& name : folder.names()) {
    EXPECT_THAT(name, testing::MatchesRegex("scratch\\.[012]"));
  }
}

TEST_F(WorkerNumber, OfAMapInAKernelCountsAnew) {
  shard::buffer<int> to(20);
  shard::map({.workers = 3}, to, [](std::size_t) {
    shard::maximum<unsigned> most;
    shard::map({.workers = 5}, 10, shard::reduce(most), shard::worker_number(),
               [](std::size_t, auto& m, unsigned number) { m(number); });
    return static_cast<int>(most.value());
  });
  EXPECT_EQ(elements(to), std::vector<int>(20, 0));
}

TEST_F(WorkerNumber, IsBelowTheDefaultNumberOfWorkers) {
  const unsigned workers = shard::default_workers();
  shard::maximum<unsigned> most;
  shard::map(1000, shard::reduce(most), shard::worker_number(),
             [](std::size_t, auto& m, unsigned number) { m(number); });
  EXPECT_LT(most.value(), workers);
}

// ---- Memory ----

TEST_F(ByMemory, RefusesAnIndexThatNeedsMoreThanThereIs) {
  for (const executor where : everywhere) {
    shard::counter none;
    EXPECT_TRUE(mentions(
        refusal([&] {
          shard::map(
              {.run_on = where},
              shard::by_memory{.all = {0, 10}, .index_bytes = 3'000'000, .budget_bytes = 2'999'999},
              shard::reduce(none), [](std::size_t, auto&) { std::abort(); });
        }),
        {"cannot plan the map", "3000000 bytes (index_bytes)", "2999999 bytes (budget_bytes)"}));
  }
}

TEST_F(ByMemory, HasFewerWorkersThanAreAllowedAndTheSameChunks) {
  const shard::by_memory space{.all = {0, 100}, .index_bytes = 100, .budget_bytes = 250};
  for (const unsigned workers : {1u, 2u, 8u}) {
    for (const executor where : everywhere) {
      shard::ordered_sum<double> sum;
      const shard::report run =
          shard::map({.workers = workers, .run_on = where}, space, shard::reduce(sum),
                     [](std::size_t i, auto& to) { to += 1.0 / static_cast<double>(i + 1); });
      EXPECT_LE(run.counts().workers, std::min(workers, 2u));
      EXPECT_EQ(run.counts().grain, 1u);
      EXPECT_EQ(run.counts().chunks, 100u);
    }
  }
}

// Two at a time, of whom one or the other dies. In the pool there are more, who must not help.
TEST_F(ByMemory, IsKeptToWhereWorkersDie) {
  const auto check = [&](auto&& map) {
    shard::buffer<int> work(2), tries(200);  // how many are at work, and how often too many
    shard::counter runs;
    map(shard::by_memory{.all = {0, 200}, .index_bytes = 10, .budget_bytes = 20},
        shard::reduce(runs), shard::shared(work), shard::shared(tries),
        [](std::size_t i, shard::counter::accumulator& hits, shard::shared_view<int> at,
           shard::shared_view<int> deaths) {
          ++hits;
          if (at.fetch_add(0, 1) >= 2) at.fetch_add(1, 1);
          sched_yield();
          at.fetch_sub(0, 1);
          if (i % 25 == 3 && deaths.fetch_add(i, 1) == 0) raise(SIGKILL);
        });
    EXPECT_EQ(runs.value(), 200);
    EXPECT_EQ(work[0], 0);
    EXPECT_EQ(work[1], 0);
    for (std::size_t i = 3; i < 200; i += 25) EXPECT_GE(tries[i], 2);
  };
  check([](const auto&... what) { shard::map({.workers = 6}, what...); });
  shard::pool pool({.workers = 6});
  for (int times = 0; times < 3; ++times) {
    check([&](const auto&... what) { pool.map(what...); });
    check([&](const auto&... what) {
      pool.queue(what...);
      pool.wait();
    });
  }
}

// A pool wakes some of its workers for a short run: here that must be one that may enter.
TEST_F(ByMemory, WakesThoseWhoMayWorkForManyShortRuns) {
  shard::pool pool({.workers = 6});
  const shard::by_memory one{.all = {0, 20}, .index_bytes = 10, .budget_bytes = 10};
  const auto add = [](std::size_t, shard::counter::accumulator& hits) { ++hits; };
  for (int times = 0; times < 300; ++times) {
    shard::counter count;
    pool.map(one, shard::reduce(count), add);
    EXPECT_EQ(count.value(), 20);
    pool.map(20, shard::reduce(count), add);
    for (int queued = 0; queued < times % 5; ++queued) {
      pool.queue(one, shard::reduce(count), add);
      if (queued % 2 == 0) pool.queue(20, shard::reduce(count), add);
    }
    pool.wait();
    EXPECT_EQ(count.value() % 20, 0);
    if (times % 50 == 0) usleep(2000);  // all of them sleep
  }
}

// ---- Strides ----

constexpr std::size_t n = 103;
constexpr std::size_t stride = 10;

TEST_F(Strides, AreChunksOfIndicesThatAreAStrideApart) {
  for (const executor where : everywhere) {
    shard::buffer<std::size_t> number(n);
    shard::collect<std::size_t> order;
    const shard::report run =
        shard::map({.workers = 3, .run_on = where}, shard::strided{{3, n}, stride},
                   shard::out(number), shard::chunk_number(), shard::reduce(order),
                   [](std::size_t i, shard::slice<std::size_t> own, std::size_t k, auto& to) {
                     if (own.chunk() != range{i, i + 1} || own.span().size() != 1) std::abort();
                     own[i] = k;
                     to.push_back(i);
                   });
    std::vector<std::size_t> expected;
    for (std::size_t k = 0; k < stride; ++k) {
      for (std::size_t i = 3 + k; i < n; i += stride) {
        expected.push_back(i);
        EXPECT_EQ(number[i], k);
      }
    }
    EXPECT_EQ(elements(order.items()), expected);
    EXPECT_EQ(run.counts().chunks, stride);
    EXPECT_THAT(run.completed(), ElementsAre(range{3, n}));
  }
}

TEST_F(Strides, OwnNoOtherRowOfTheirChunkWhereThatIsChecked) {
  if (!shard::detail::checked) GTEST_SKIP() << "nothing is checked in this build";
  shard::buffer<int> to(n);
  const shard::report run =
      shard::try_map({.workers = 1}, shard::strided{{0, n}, stride}, shard::out(to),
                     [](std::size_t i, shard::slice<int> own) { own[i == 12 ? 22 : i] = 1; });
  EXPECT_THAT(run.failed(), ElementsAre(range{12, 13}));
  ASSERT_FALSE(run.failures().empty());
  EXPECT_THAT(run.failures()[0].what, HasSubstr("22"));
}

TEST_F(Strides, LongerThanTheRangeAreSingleIndices) {
  shard::counter count;
  const shard::report run = shard::map(shard::strided{{0, 5}, 1000}, shard::reduce(count),
                                       [](std::size_t, auto& hits) { ++hits; });
  EXPECT_EQ(count.value(), 5);
  EXPECT_EQ(run.counts().chunks, 5u);
  EXPECT_TRUE(shard::map(shard::strided{{7, 7}, 3}, shard::reduce(count), [](std::size_t, auto&) {
                std::abort();
              }).complete());
  EXPECT_TRUE(mentions(refusal([&] {
                         shard::map(shard::strided{{0, 5}, 0}, shard::reduce(count),
                                    [](std::size_t, auto&) { std::abort(); });
                       }),
                       {"found stride 0", "at least 1"}));
}

TEST_F(Strides, CollectNoOffsets) {
  shard::collect<int> items(shard::with_offsets);
  EXPECT_TRUE(mentions(refusal([&] {
                         shard::map(shard::strided{{0, n}, stride}, shard::reduce(items),
                                    [](std::size_t, auto&) { std::abort(); });
                       }),
                       {"cannot collect items with offsets", "strided"}));
}

// Each index that fails is given up, and no other one.
TEST_F(Strides, NameTheIndicesThatFail) {
  for (const executor where : everywhere) {
    for (const bool crashes : {false, true}) {
      if (crashes && where != executor::processes) continue;
      shard::buffer<int> to(n);
      shard::buffer<int> counts(n);
      shard::ordered_sum<double> sum;
      shard::counter runs;
      const shard::report run = shard::try_map(
          {.workers = 2, .keep_going = true, .run_on = where}, shard::strided{{0, n}, stride},
          shard::out(to), shard::inout(counts), shard::reduce(sum), shard::reduce(runs),
          [=](std::size_t i, shard::slice<int> own, shard::slice<int> count, auto& s, auto& hits) {
            own[i] = 1;
            ++count[i];
            s += 1;
            ++hits;
            if (i == 42 || i == 57 || i == 62) {
              if (crashes) std::abort();
              throw std::runtime_error("no " + std::to_string(i));
            }
          });
      EXPECT_THAT(run.failed(), ElementsAre(range{42, 43}, range{57, 58}, range{62, 63}));
      EXPECT_THAT(run.completed(),
                  ElementsAre(range{0, 42}, range{43, 57}, range{58, 62}, range{63, n}));
      EXPECT_THAT(run.missing_chunks(), ElementsAre(range{2, 3}, range{7, 8}));
      EXPECT_EQ(runs.value(), static_cast<std::int64_t>(n - 3));
      EXPECT_EQ(sum.value(), static_cast<double>(n - 3));
      const std::vector<std::size_t> failed = indices_in(run.failed());
      for (std::size_t i = 0; i < n; ++i) {
        EXPECT_EQ(counts[i], std::ranges::count(failed, i) == 0 ? 1 : 0) << i;
      }
      // The first attempt is at the whole chunk.
      const shard::failure& first = run.failures()[0];
      EXPECT_EQ(first.chunk, 2u);
      EXPECT_EQ(first.indices, (range{2, 103}));
      EXPECT_EQ(first.stride, stride);
      EXPECT_THAT(run.replay(first), HasSubstr(":2-103/10"));
      EXPECT_THAT(testing::PrintToString(run),
                  HasSubstr("indices [2, 103) in steps of 10 (chunk 2)"));
      const auto single =
          std::ranges::find(run.failures(), range{42, 43}, &shard::failure::indices);
      ASSERT_NE(single, run.failures().end());
      EXPECT_EQ(single->stride, 1u);
      EXPECT_THAT(run.replay(*single), HasSubstr(":42-43"));
    }
  }
}

TEST_F(Strides, AreRunAgainFromTheirOldValuesWhereWorkersDie) {
  for (const int signal : {SIGKILL, SIGSEGV}) {
    const tally tries;
    shard::buffer<std::int64_t, 2> cells(300, 3);
    for (std::int64_t& each : cells) each = 5;
    shard::buffer<std::int64_t> to(300);
    shard::counter runs;
    const shard::report run = shard::map({.workers = 3}, shard::strided{{0, 300}, 40},
                                         shard::inout(cells), shard::out(to), shard::reduce(runs),
                                         [&](std::size_t i, shard::slice<std::int64_t, 2> rows,
                                             shard::slice<std::int64_t> own, auto& hits) {
                                           for (std::int64_t& each : rows.row(i)) ++each;
                                           own[i] = -1;
                                           ++hits;
                                           if (i % 30 == 17 && tries[i]++ == 0) raise(signal);
                                           own[i] = static_cast<std::int64_t>(i);
                                         });
    EXPECT_EQ(run.counts().deaths, 10u);
    EXPECT_EQ(runs.value(), 300);
    for (const std::int64_t each : cells) ASSERT_EQ(each, 6);
    for (std::size_t i = 0; i < 300; ++i) ASSERT_EQ(to[i], static_cast<std::int64_t>(i));
  }
}

// Whatever fails, an index has its old value, or is changed once, and the report says which.
RC_GTEST_PROP(StridesOfAnyMap, AreEitherDoneOnceOrMissing, ()) {
  const auto first = *rc::gen::inRange<std::size_t>(0, 5);
  const range all{first, first + *rc::gen::inRange<std::size_t>(1, 80)};
  const auto apart = *rc::gen::inRange<std::size_t>(1, 30);
  const auto fails = *rc::gen::container<std::vector<bool>>(
      all.last, rc::gen::map(rc::gen::inRange(0, 15), [](int of_many) { return of_many == 0; }));
  const bool keep_going = *rc::gen::arbitrary<bool>();
  const executor where = *rc::gen::weightedElement<executor>(
      {{1, executor::processes}, {3, executor::threads}, {4, executor::serial}});
  const shard::options how{.workers = *rc::gen::inRange(1u, 4u),
                           .retries_error = *rc::gen::inRange(0u, 3u),
                           .keep_going = keep_going,
                           .run_on = where};
  shard::buffer<int> counts(all.last);
  shard::counter hits;
  shard::collect<std::size_t> order;
  const shard::report run = shard::try_map(
      how, shard::strided{all, apart}, shard::inout(counts), shard::reduce(hits),
      shard::reduce(order), [&](std::size_t i, shard::slice<int> own, auto& count, auto& to) {
        ++own[i];
        ++count;
        to.push_back(i);
        if (fails[i]) throw std::runtime_error("as it was drawn");
      });
  const std::vector<std::size_t> completed = indices_in(run.completed());
  const std::vector<std::size_t> missing = indices_in(run.missing());
  std::vector<std::size_t> both = completed, in_order = completed, failed;
  both.insert(both.end(), missing.begin(), missing.end());
  std::ranges::sort(both);
  RC_ASSERT(both == std::vector<std::size_t>(all.begin(), all.end()));
  for (const std::size_t i : all) {
    if (fails[i]) failed.push_back(i);
    RC_ASSERT(counts[i] == static_cast<int>(std::ranges::count(completed, i)));
  }
  RC_ASSERT(hits.value() == static_cast<std::int64_t>(completed.size()));
  std::ranges::stable_sort(in_order, {}, [&](std::size_t i) { return (i - first) % apart; });
  RC_ASSERT(elements(order.items()) == in_order);
  RC_ASSERT(std::ranges::includes(failed, indices_in(run.failed())));
  if (keep_going) RC_ASSERT(missing == failed);
  std::vector<std::size_t> chunks;
  for (const std::size_t i : missing) chunks.push_back((i - first) % apart);
  std::ranges::sort(chunks);
  chunks.erase(std::unique(chunks.begin(), chunks.end()), chunks.end());
  RC_ASSERT(indices_in(run.missing_chunks()) == chunks);
}

// From outside, at any moment: workers, and the supervisor.
TEST_F(Strides, AreDoneOnceWhoeverIsKilledAtAnyMoment) {
  constexpr int kills = 6;
  constexpr std::size_t size = 6000, apart = 60;
  enum : std::size_t { started, killed };
  for (unsigned seed = 1; seed <= (shard_test::sanitized ? 2u : 6u); ++seed) {
    SCOPED_TRACE(seed);
    const tally at;
    bystander killer([&] {
      std::mt19937 random(seed);
      for (int k = 0; k < kills; ++k) {
        const int enough = at[started] + static_cast<int>(random() % 500);
        for (auto turns = random() % 2000; turns != 0 && at[started] < enough; --turns) {
          sched_yield();
        }
        if (!eventually([&] {
              const cast run(relatives().living());
              if (run.supervisor == 0 || run.workers.empty()) return false;
              const pid_t victim =
                  k % 3 == 2 ? run.supervisor : run.workers[random() % run.workers.size()];
              return ::kill(victim, SIGKILL) == 0;
            })) {
          return false;
        }
        ++at[killed];
      }
      return true;
    });
    shard::buffer<std::int64_t> cells(size);
    shard::sum<std::int64_t> total;
    const shard::report run = shard::map(
        {.workers = 3}, shard::strided{{0, size}, apart}, shard::inout(cells), shard::reduce(total),
        [&](std::size_t i, shard::slice<std::int64_t> own, auto& sum) {
          ++at[started];
          own[i] += static_cast<std::int64_t>(i);
          sum += static_cast<std::int64_t>(i);
          // The last chunks are not done before all kills have hit the run.
          const bool gate = i % apart >= apart - 3 && i >= apart && i < 2 * apart;
          if (gate && !eventually([&] { return at[killed] >= kills; })) std::abort();
        });
    EXPECT_TRUE(killer.succeeded());
    EXPECT_EQ(total.value(), static_cast<std::int64_t>(size * (size - 1) / 2)) << run;
    for (std::size_t i = 0; i < size; ++i) ASSERT_EQ(cells[i], static_cast<std::int64_t>(i));
  }
}

// What is begun and not completed has its old values, and the report says which that is.
TEST_F(Strides, ThatAreNotCompletedKeepTheirOldValues) {
  for (const executor where : everywhere) {
    shard::buffer<int> counts(1000);
    const shard::report run =
        shard::try_map({.workers = 3, .run_on = where}, shard::strided{{0, 1000}, 100},
                       shard::inout(counts), [](std::size_t i, shard::slice<int> own) {
                         ++own[i];
                         if (i == 550) throw std::runtime_error("stop");
                       });
    EXPECT_FALSE(run.complete());
    std::vector<int> done(1000);
    for (const std::size_t i : indices_in(run.completed())) done[i] = 1;
    EXPECT_EQ(elements(counts), done);
    EXPECT_EQ(run.indices(), 1000u);
    const auto missing = indices_in(run.missing());
    EXPECT_EQ(missing.size() + indices_in(run.completed()).size(), 1000u);
    for (const std::size_t i : missing) {
      const auto number = i % 100;
      EXPECT_TRUE(std::ranges::any_of(run.missing_chunks(),
                                      [=](range part) { return part.contains(number); }));
    }
  }
}

TEST_F(Strides, AreToldOfWhileTheRunGoesOn) {
  for (const shard::chunk_order order :
       {shard::chunk_order::as_they_come, shard::chunk_order::ascending}) {
    shard::buffer<int> to(n);
    shard::options how{.workers = 2, .keep_going = true};
    shard::run run = shard::start(how, shard::strided{{0, n}, stride}, shard::out(to),
                                  [](std::size_t i, shard::slice<int> own) {
                                    own[i] = 1;
                                    if (i == 33) throw std::runtime_error("no");
                                  });
    std::vector<std::size_t> told;
    for (const range part : run.chunks(order)) {
      EXPECT_EQ(part.size(), 1u);
      EXPECT_EQ(to[part.first], 1);
      told.push_back(part.first);
    }
    std::ranges::sort(told);
    std::vector<std::size_t> all(n);
    std::iota(all.begin(), all.end(), std::size_t{0});
    std::erase(all, 33u);
    EXPECT_EQ(told, all);
    EXPECT_FALSE(run.wait().complete());
  }
}

TEST_F(Strides, FillFilesAndLeaveNoPadding) {
  const folder folder;
  auto to = shard::create<padded>(folder / "out.npy", n);
  const tally tries;
  shard::map({.workers = 2}, shard::strided{{0, n}, stride}, shard::out(to),
             [&](std::size_t i, shard::slice<padded> own) {
               std::fill_n(reinterpret_cast<unsigned char*>(&own[i]), sizeof(padded),
                           std::uint8_t{0xa5});
               if (i == 50 && tries[0]++ == 0) raise(SIGKILL);
             });
  EXPECT_THAT(folder.names(), ElementsAre("out.npy"));
  for (const padded& each : std::as_const(to)) {
    const auto* const bytes = reinterpret_cast<const unsigned char*>(&each);
    EXPECT_EQ(bytes[0], 0xa5);
    EXPECT_EQ(std::count(bytes + 1, bytes + 8, 0), 7);
  }
}

TEST_F(Strides, OfWhichSomeDieForGoodLeaveNoPadding) {
  shard::buffer<padded> to(n);
  const shard::report run = shard::try_map(
      {.workers = 2, .retries = 0, .keep_going = true}, shard::strided{{0, n}, stride},
      shard::out(to), [](std::size_t i, shard::slice<padded> own) {
        std::fill_n(reinterpret_cast<unsigned char*>(&own[i]), sizeof(padded), std::uint8_t{0xa5});
        if (i == 50) std::abort();
      });
  EXPECT_THAT(run.missing(), ElementsAre(range{50, 51}));
  for (const padded& each : std::as_const(to)) {
    const auto* const bytes = reinterpret_cast<const unsigned char*>(&each);
    EXPECT_EQ(std::count(bytes + 1, bytes + 8, 0), 7);
  }
}

TEST_F(Strides, AreDebuggedByIndicesOrByChunk) {
  const auto called_by = [](const char* replay) {
    return [replay](const std::vector<std::size_t>& expected, std::vector<range> chunks) {
      return holds_in_a_child([&] {
        replay_of_the_next(replay);
        std::vector<std::size_t> called;
        shard::buffer<int> to(n);
        const shard::report run =
            shard::try_map(shard::strided{{0, n}, stride}, shard::out(to), shard::chunk_number(),
                           [&](std::size_t i, shard::slice<int> own, std::size_t number) {
                             EXPECT_EQ(number, i % stride);
                             own[i] = 1;
                             called.push_back(i);
                           });
        EXPECT_EQ(called, expected);
        std::vector<std::size_t> sorted = expected;
        std::ranges::sort(sorted);
        EXPECT_EQ(indices_in(run.completed()), sorted);
        EXPECT_EQ(run.indices(), n);
        EXPECT_EQ(std::vector(run.missing_chunks().begin(), run.missing_chunks().end()), chunks);
        return !testing::Test::HasFailure();
      });
    };
  };
  EXPECT_TRUE(called_by("42-43")({42}, {{0, 10}}));
  EXPECT_TRUE(called_by("22-53/10")({22, 32, 42, 52}, {{0, 10}}));
  EXPECT_TRUE(called_by("4-98/10")({4, 14, 24, 34, 44, 54, 64, 74, 84, 94}, {{0, 4}, {5, 10}}));
  EXPECT_TRUE(called_by("chunk4")({4, 14, 24, 34, 44, 54, 64, 74, 84, 94}, {{0, 4}, {5, 10}}));
  EXPECT_TRUE(called_by("9-12")({10, 11, 9}, {{0, 10}}));
  for (const char* const wrong : {"22-53/7", "100-104", "chunk10"}) {
    EXPECT_TRUE(holds_in_a_child([&] {
      replay_of_the_next(wrong);
      shard::counter none;
      return mentions(refusal([&] {
                        shard::map(shard::strided{{0, n}, stride}, shard::reduce(none),
                                   [](std::size_t, auto&) { std::abort(); });
                      }),
                      {"cannot replay map ", "expected some of the 103"});
    })) << wrong;
  }
}

}  // namespace
