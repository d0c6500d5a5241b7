// With keep_going every index completes whose kernel doesn't fail, however many others do: random
// sets of indices that throw and crash, in every form of kernel, against a loop that leaves them
// out. And accidents leave every bit as it was.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <set>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "process/leftovers.hpp"
#include "shard/shard.hpp"

namespace {

using shard_test::tally;
using testing::ElementsAre;
using testing::ElementsAreArray;

using AllOthers = shard_test::leaves_nothing;

enum class fate : char { well, throws, crashes, is_killed };
using fates = std::vector<fate>;

double value(std::size_t i) { return std::sin(static_cast<double>(i)) * 1e3; }
int bin(std::size_t i) { return static_cast<int>(i % 50); }

void meet(fate one) {
  if (one == fate::throws) throw std::runtime_error("no data");
  if (one == fate::crashes) std::abort();
  if (one == fate::is_killed) raise(SIGKILL);
}

// Adds in place, and in floating point, where the order counts.
class blurred {
 public:
  class accumulator {
   public:
    accumulator(const blurred&, std::byte* state) : sums_(reinterpret_cast<double*>(state)) {}
    accumulator(const accumulator&) = delete;
    accumulator& operator=(const accumulator&) = delete;
    void operator()(double x) { sums_[static_cast<std::size_t>(std::abs(x)) % 4] += x; }
    void store(std::byte*) const {}

   private:
    friend blurred;
    double* sums_;
  };
  static constexpr bool ordered = true;
  std::size_t state_bytes() const { return 4 * sizeof(double); }
  void start(std::byte*) const {}
  void merge(const accumulator& part) {
    for (std::size_t k = 0; k < 4; ++k) sums_[k] += part.sums_[k];
  }
  std::vector<std::uint64_t> bits() const {
    std::vector<std::uint64_t> all;
    for (const double one : sums_) all.push_back(std::bit_cast<std::uint64_t>(one));
    return all;
  }

 private:
  double sums_[4] = {};
};

struct results {
  shard::report run;
  std::vector<double> out;
  std::vector<std::int64_t> cells;  // each one more than it was
  std::uint64_t sum = 0;
  std::vector<std::uint64_t> blur;
  std::int64_t counted = 0;
  std::vector<std::int64_t> bins;
};

// What the user would see if nothing ever failed: a loop over the chunks, that knows better.
results expected(const fates& of, std::size_t grain) {
  results all;
  all.bins.resize(50);
  blurred blur;
  double total = 0;
  for (std::size_t first = 0; first < of.size(); first += grain) {
    double sum = 0;
    std::vector<double> state(4);
    blurred::accumulator part(blur, reinterpret_cast<std::byte*>(state.data()));
    for (std::size_t i = first; i < std::min(first + grain, of.size()); ++i) {
      const bool well = of[i] == fate::well;
      all.out.push_back(well ? value(i) : 0);
      all.cells.push_back(static_cast<std::int64_t>(i) + (well ? 1 : 0));
      if (!well) continue;
      sum += value(i);
      part(value(i));
      ++all.counted;
      ++all.bins[static_cast<std::size_t>(bin(i))];
    }
    total += sum;
    blur.merge(part);
  }
  all.sum = std::bit_cast<std::uint64_t>(total);
  all.blur = blur.bits();
  return all;
}

std::vector<shard::range> those(const fates& of, bool well) {
  std::vector<shard::range> found;
  for (std::size_t i = 0; i < of.size(); ++i) {
    if ((of[i] == fate::well) != well) continue;
    if (!found.empty() && found.back().last == i) {
      ++found.back().last;
    } else {
      found.push_back({i, i + 1});
    }
  }
  return found;
}
std::vector<shard::range> those_that_are_well(const fates& of) { return those(of, true); }

// In place or not: what a throw costs is mended in different ways.
template <bool InPlace>
results run(const shard::options& how, const fates& of) {
  const std::size_t n = of.size();
  shard::buffer<double> out(n);
  shard::buffer<std::int64_t> cells(n);
  for (std::size_t i = 0; i < n; ++i) cells[i] = static_cast<std::int64_t>(i);
  shard::ordered_sum<double> sum;
  blurred blur;
  shard::counter count;
  shard::histogram bins(shard::axis::integer(0, 50));
  results all;
  if constexpr (InPlace) {
    all.run =
        shard::try_map(how, n, shard::out(out), shard::inout(cells), shard::reduce(sum),
                       shard::reduce(count), shard::reduce(blur), shard::reduce(bins),
                       [&](std::size_t i, shard::slice<double> to, shard::slice<std::int64_t> cell,
                           auto& total, auto& hits, auto& blurs, auto& filled) {
                         ++hits;
                         ++cell[i];
                         total += value(i);
                         blurs(value(i));
                         filled(bin(i));
                         meet(of[i]);
                         to[i] = value(i);
                       });
    all.blur = blur.bits();
    for (int k = 0; k < 50; ++k) all.bins.push_back(bins.at(k));
  } else {
    all.run = shard::try_map(how, n, shard::out(out), shard::inout(cells), shard::reduce(sum),
                             shard::reduce(count),
                             [&](std::size_t i, shard::slice<double> to,
                                 shard::slice<std::int64_t> cell, auto& total, auto& hits) {
                               ++hits;
                               ++cell[i];
                               total += value(i);
                               meet(of[i]);
                               to[i] = value(i);
                             });
  }
  all.out.assign(out.begin(), out.end());
  all.cells.assign(cells.begin(), cells.end());
  all.sum = std::bit_cast<std::uint64_t>(sum.value());
  all.counted = count.value();
  return all;
}

fates some_fates(std::minstd_rand& random, std::size_t n, bool may_crash) {
  fates all(n, fate::well);
  const unsigned one_in = std::uniform_int_distribution(2u, 20u)(random);
  for (fate& one : all) {
    const auto drawn = random() % (10 * one_in);
    if (drawn < 10) one = fate::throws;
    if (may_crash && drawn == 0) one = random() % 2 == 0 ? fate::crashes : fate::is_killed;
  }
  return all;
}

shard::options some_options(std::minstd_rand& random, std::size_t n, shard::executor where) {
  return {.workers = static_cast<unsigned>(1 + random() % 3),
          .grain = 1 + random() % n,
          .retries_error = static_cast<unsigned>(random() % 2),
          .retries_kill = static_cast<unsigned>(random() % 3),
          .keep_going = true,
          .run_on = where};
}

const shard::executor executors[]{shard::executor::processes, shard::executor::threads,
                                  shard::executor::serial};

template <bool InPlace>
void complete_by_index() {
  std::minstd_rand random(InPlace ? 1 : 2);
  for (int round = 0; round < 24; ++round) {
    const shard::executor where = executors[round % 3];
    const std::size_t n = 1 + random() % 200;
    const fates of = some_fates(random, n, where == shard::executor::processes);
    const shard::options how = some_options(random, n, where);
    const results what = run<InPlace>(how, of);
    const results wanted = expected(of, how.grain.value());
    ASSERT_THAT(what.run.completed(), ElementsAreArray(those_that_are_well(of))) << round;
    for (std::size_t i = 0; i < n; ++i) {
      if (of[i] == fate::well) {
        ASSERT_EQ(what.out[i], wanted.out[i]) << i;
      }
    }
    ASSERT_EQ(what.cells, wanted.cells) << round;
    ASSERT_EQ(what.sum, wanted.sum) << round;
    ASSERT_EQ(what.counted, wanted.counted) << round;
    if constexpr (InPlace) {
      ASSERT_EQ(what.blur, wanted.blur) << round;
      ASSERT_EQ(what.bins, wanted.bins) << round;
    }
  }
}

TEST_F(AllOthers, CompleteWhereAKernelByIndexFails) { complete_by_index<false>(); }
TEST_F(AllOthers, CompleteWhereAKernelByIndexThatAddsInPlaceFails) { complete_by_index<true>(); }

TEST_F(AllOthers, CompleteWhereElementsCellsAndRowsFail) {
  std::minstd_rand random(3);
  for (int round = 0; round < 12; ++round) {
    const shard::executor where = executors[round % 3];
    const std::size_t n = 1 + random() % 60;
    const fates of = some_fates(random, n, where == shard::executor::processes);
    const shard::options how = some_options(random, n, where);
    const auto right = those_that_are_well(of);
    shard::buffer<double> one(n);
    shard::buffer<int> other(n);
    shard::buffer<double, 2> cells(n, 7), rows(n, 5);
    const auto element = [&](std::size_t i) { return meet(of[i]), value(i); };
    EXPECT_THAT(shard::try_map(how, one, element).completed(), ElementsAreArray(right));
    EXPECT_THAT(shard::try_map(how, std::tie(one, other),
                               [&](std::size_t i) {
                                 meet(of[i]);
                                 return std::tuple(value(i), bin(i));
                               })
                    .completed(),
                ElementsAreArray(right));
    EXPECT_THAT(shard::try_map(how, cells,
                               [&](std::size_t i, std::size_t j) {
                                 if (j == i % 7) meet(of[i]);
                                 return value(i + j);
                               })
                    .completed(),
                ElementsAreArray(right));
    EXPECT_THAT(shard::try_map(how, rows,
                               [&](std::size_t i, std::span<double> row) {
                                 row[0] = value(i);
                                 meet(of[i]);
                               })
                    .completed(),
                ElementsAreArray(right));
    for (const shard::range part : right) {
      for (const std::size_t i : part) {
        ASSERT_EQ(one[i], value(i));
        ASSERT_EQ(other[i], bin(i));
        for (std::size_t j = 0; j < 7; ++j) ASSERT_EQ(cells(i, j), value(i + j));
        ASSERT_EQ(rows(i, 0), value(i));
      }
    }
  }
}

// ---- Kernels by range ----

struct of_ranges {
  std::vector<shard::range> completed;
  std::vector<shard::range> failed;
  std::uint64_t sum = 0;
  std::vector<std::int64_t> cells;
  bool operator==(const of_ranges&) const = default;
};

// A local sum in less than the reducer's precision: its bits say which ranges the kernel had.
template <class Fail>
of_ranges sums_by_range(const shard::options& how, std::size_t n, Fail fail) {
  shard::ordered_sum<double> sum;
  shard::buffer<std::int64_t> cells(n);
  const shard::report run =
      shard::try_map(how, shard::range{0, n}, shard::reduce(sum), shard::inout(cells),
                     [&](shard::range chunk, auto& total, shard::slice<std::int64_t> cell) {
                       float local = 0;
                       for (const std::size_t i : chunk) {
                         local += 1.0f / static_cast<float>(i % 313 + 1);
                         ++cell[i];
                       }
                       total += static_cast<double>(local);
                       fail(chunk);
                     });
  return {{run.completed().begin(), run.completed().end()},
          {run.failed().begin(), run.failed().end()},
          std::bit_cast<std::uint64_t>(sum.value()),
          {cells.begin(), cells.end()}};
}

// The kernel is called once for each range between two indices that fail.
of_ranges expected_by_range(const fates& of, std::size_t grain) {
  of_ranges all{those(of, true), those(of, false), 0, std::vector<std::int64_t>(of.size())};
  double total = 0;
  for (std::size_t first = 0; first < of.size(); first += grain) {
    const std::size_t last = std::min(first + grain, of.size());
    double sum = 0;
    for (std::size_t i = first; i < last;) {
      float local = 0;
      for (; i < last && of[i] == fate::well; ++i) {
        local += 1.0f / static_cast<float>(i % 313 + 1);
        all.cells[i] = 1;
      }
      sum += static_cast<double>(local);
      while (i < last && of[i] != fate::well) ++i;
    }
    total += sum;
  }
  all.sum = std::bit_cast<std::uint64_t>(total);
  return all;
}

TEST_F(AllOthers, CompleteWhereAKernelByRangeFails) {
  std::minstd_rand random(4);
  for (int round = 0; round < 15; ++round) {
    const shard::executor where = executors[round % 3];
    const std::size_t n = 1 + random() % 100;
    fates of = some_fates(random, n, false);
    if (where == shard::executor::processes) {
      of[random() % n] = round % 2 == 0 ? fate::crashes : fate::is_killed;
    }
    const shard::options how = some_options(random, n, where);
    const of_ranges what = sums_by_range(how, n, [&](shard::range chunk) {
      for (const std::size_t i : chunk) meet(of[i]);
    });
    ASSERT_EQ(what, expected_by_range(of, how.grain.value())) << round;
  }
}

// ---- Kernels that kill their own process, which looks like a kill from outside ----

TEST_F(AllOthers, CompleteWhereAKernelByIndexKillsItsOwnProcess) {
  constexpr std::size_t n = 40, victim = 13;
  fates of(n, fate::well);
  of[victim] = fate::is_killed;
  for (const unsigned kills : {0u, 2u}) {
    const shard::options how{.workers = 2, .grain = 8, .retries_kill = kills, .keep_going = true};
    const results what = run<true>(how, of);
    const results wanted = expected(of, 8);
    EXPECT_THAT(what.run.completed(), ElementsAreArray(those_that_are_well(of)));
    EXPECT_THAT(what.run.failed(), ElementsAre(shard::range{victim, victim + 1}));
    EXPECT_EQ(what.run.counts().deaths, kills + 3) << "beyond its budget once, and twice alone";
    for (const shard::range part : what.run.completed()) {
      for (const std::size_t i : part) EXPECT_EQ(what.out[i], wanted.out[i]);
    }
    EXPECT_EQ(what.cells, wanted.cells);
    EXPECT_EQ(what.sum, wanted.sum);
    EXPECT_EQ(what.counted, wanted.counted);
    EXPECT_EQ(what.blur, wanted.blur);
    EXPECT_EQ(what.bins, wanted.bins);
  }
}

TEST_F(AllOthers, CompleteWhereAKernelByRangeKillsItsOwnProcess) {
  constexpr std::size_t n = 40, victim = 13;
  fates of(n, fate::well);
  of[victim] = fate::is_killed;
  for (const unsigned kills : {0u, 2u}) {
    const of_ranges what =
        sums_by_range({.workers = 2, .grain = 8, .retries_kill = kills, .keep_going = true}, n,
                      [&](shard::range chunk) {
                        for (const std::size_t i : chunk) meet(of[i]);
                      });
    EXPECT_EQ(what, expected_by_range(of, 8));
  }
}

TEST_F(AllOthers, AreUnmovedByAccidentsToTheBit) {
  constexpr std::size_t n = 4000;
  for (const std::size_t grain : {300u, 1000u, 4000u}) {
    const of_ranges undisturbed =
        sums_by_range({.workers = 2, .grain = grain}, n, [](shard::range) {});
    for (const int accidents : {1, 2, 3, 5}) {
      const tally so_far;
      const of_ranges disturbed =
          sums_by_range({.workers = 2, .grain = grain}, n, [&](shard::range chunk) {
            if (chunk.contains(900) && ++so_far[0] <= accidents) raise(SIGSEGV);
          });
      EXPECT_EQ(disturbed, undisturbed) << accidents << " accidents, grain " << grain;
    }
  }
}

// No index fails alone, but more than so many together do.
TEST_F(AllOthers, CompleteWhereOnlyLargeRangesFail) {
  for (const std::size_t longest : {1u, 3u, 64u, 199u}) {
    std::set<std::uint64_t> sums;
    for (const shard::executor where : executors) {
      const of_ranges what =
          sums_by_range({.workers = 2, .grain = 200, .keep_going = true, .run_on = where}, 400,
                        [&](shard::range chunk) {
                          if (chunk.size() > longest) throw std::length_error("too much at a time");
                        });
      EXPECT_THAT(what.completed, ElementsAre(shard::range{0, 400}));
      EXPECT_THAT(what.cells, testing::Each(1));
      sums.insert(what.sum);
    }
    EXPECT_EQ(sums.size(), 1u);
  }
}

// ---- Many ----

TEST_F(AllOthers, CompleteWhereMoreFailsThanTheReportHasRoomFor) {
  constexpr std::size_t n = 100'000;
  for (const shard::executor where : executors) {
    shard::buffer<float> score(n);
    const shard::report run = shard::try_map({.workers = 2, .keep_going = true, .run_on = where},
                                             score, [](std::size_t i) {
                                               if (i % 20 == 0)
                                                 throw std::invalid_argument("no data");
                                               return static_cast<float>(i);
                                             });
    std::size_t completed = 0;
    for (const shard::range part : run.completed()) completed += part.size();
    EXPECT_EQ(completed, n - n / 20);
    EXPECT_GT(run.counts().failures_lost, n / 20 - 1025);
  }
}

// Each timeout costs time: after so many the run ends, and says what it did not try.
TEST_F(AllOthers, AreNotTriedOnceARunHasHadItsTimeouts) {
  constexpr std::size_t n = 100, workers = 2, most = 3;
  shard::buffer<int> out(n);
  const shard::report run = shard::try_map({.workers = workers,
                                            .grain = 10,
                                            .timeout = std::chrono::milliseconds(20),
                                            .keep_going = true,
                                            .max_timeouts = most},
                                           out, [](std::size_t i) {
                                             while (i % 10 == 3) pause();
                                             return static_cast<int>(i);
                                           });
  EXPECT_LE(run.counts().deaths, most + workers);
  EXPECT_THAT(run.trouble(), testing::HasSubstr("max_timeouts = 3"));
  EXPECT_FALSE(run.not_tried().empty());
  std::size_t all = 0;
  for (const auto set : {run.completed(), run.failed(), run.not_tried()}) {
    for (const shard::range part : set) all += part.size();
  }
  EXPECT_EQ(all, n);
}

TEST_F(AllOthers, OfManyThatCrashCostThreeDeathsEach) {
  constexpr std::size_t n = 20'000, bad = 40;
  shard::buffer<float> score(n);
  const shard::report run =
      shard::try_map({.workers = 2, .keep_going = true}, score, [](std::size_t i) {
        if (i % (n / bad) == 7) std::abort();
        return static_cast<float>(i);
      });
  std::size_t completed = 0;
  for (const shard::range part : run.completed()) completed += part.size();
  EXPECT_EQ(completed, n - bad);
  EXPECT_LE(run.counts().deaths, 3 * bad);
}

// More indices than anybody could mark one by one: a failure costs its neighbours, and no more.
TEST_F(AllOthers, CompleteInAnAbsurdlyLargeRange) {
  constexpr std::size_t n = 1'000'000'000'000'000, bad = 123'456'789'012'345;
  shard::counter blocks;
  const shard::report run =
      shard::try_map({.workers = 2, .keep_going = true}, shard::range{0, n}, shard::reduce(blocks),
                     [](shard::range chunk, auto& count) {
                       if (chunk.contains(bad)) throw std::runtime_error("not this one");
                       count += static_cast<std::int64_t>(chunk.size());
                     });
  ASSERT_EQ(run.completed().size(), 2u);
  const shard::range lost{run.completed()[0].last, run.completed()[1].first};
  EXPECT_TRUE(lost.contains(bad));
  EXPECT_LE(lost.size(), 100'000u);
  EXPECT_EQ(blocks.value(), static_cast<std::int64_t>(n - lost.size()));
}

// ---- Limits of the whole run ----

TEST_F(AllOthers, OfAChunkOfWhichEveryIndexFailsAreLeftAlone) {
  const tally calls;
  shard::buffer<int> out(300);
  const shard::report run =
      shard::try_map({.workers = 1, .grain = 100, .keep_going = true}, out, [&](std::size_t i) {
        if (i / 100 == 1) {
          ++calls[0];
          throw std::runtime_error("never");
        }
        return 1;
      });
  EXPECT_THAT(run.completed(), ElementsAre(shard::range{0, 100}, shard::range{200, 300}));
  EXPECT_EQ(calls[0], 101) << "once as a chunk, and once each";
}

}  // namespace
