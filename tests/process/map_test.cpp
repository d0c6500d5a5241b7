// Every form of space, kernel and argument, run everywhere a kernel can run: the results are those
// of a serial loop, bit for bit.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <ostream>
#include <span>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "process/leftovers.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using shard::executor;
using shard_test::mentions;
using shard_test::refusal;
using testing::Each;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

using Map = shard_test::leaves_nothing;

constexpr std::array everywhere{executor::processes, executor::threads, executor::serial};

// Runs `check` with every executor and several numbers of workers; the grain is left to the space.
template <class Check>
void in_every_way(Check check) {
  for (const executor where : everywhere) {
    for (const unsigned workers : {1u, 2u, 3u, 8u}) {
      if (where == executor::serial && workers != 1) continue;
      SCOPED_TRACE("executor " + std::to_string(static_cast<int>(where)) + ", workers " +
                   std::to_string(workers));
      check(shard::options{.workers = workers, .run_on = where});
    }
  }
}

template <class Check>
void at_every_grain(Check check) {
  in_every_way([&](shard::options how) {
    for (const std::size_t grain : {1u, 7u, 100u, 5000u}) {
      SCOPED_TRACE("grain " + std::to_string(grain));
      how.grain = grain;
      check(how);
    }
  });
}

double root(std::size_t i) { return std::sqrt(static_cast<double>(i) + 0.1); }

template <class T, std::size_t Rank>
std::vector<std::remove_const_t<T>> elements(const shard::buffer<T, Rank>& of) {
  return {of.begin(), of.end()};
}

// ---- Spaces and kernels ----

TEST_F(Map, FillsABufferByIndex) {
  std::vector<double> expected(1000);
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = root(i);
  at_every_grain([&](const shard::options& how) {
    shard::buffer<double> out(1000);
    EXPECT_TRUE(shard::map(how, out, [](std::size_t i) { return root(i); }).complete());
    EXPECT_EQ(elements(out), expected);
  });
}

TEST_F(Map, FillsSeveralBuffersByATupleOfResults) {
  in_every_way([](const shard::options& how) {
    shard::buffer<double> a(300);
    shard::buffer<int> b(300);
    shard::buffer<bool> c(300);
    shard::map(how, std::tie(a, b, c), [](std::size_t i) {
      return std::tuple(root(i), static_cast<int>(i) - 5, i % 3 == 0);
    });
    for (std::size_t i = 0; i < 300; ++i) {
      EXPECT_EQ(std::tuple(a[i], b[i], c[i]),
                std::tuple(root(i), static_cast<int>(i) - 5, i % 3 == 0));
    }
  });
}

TEST_F(Map, FillsAGridByElementAndByRow) {
  in_every_way([](const shard::options& how) {
    shard::buffer<std::size_t, 2> by_element(37, 11);
    shard::buffer<std::size_t, 2> by_row(37, 11);
    shard::map(how, by_element, [](std::size_t i, std::size_t j) { return 100 * i + j; });
    shard::map(how, by_row, [](std::size_t i, std::span<std::size_t> row) {
      std::iota(row.begin(), row.end(), 100 * i);
    });
    for (std::size_t i = 0; i < 37; ++i) {
      for (std::size_t j = 0; j < 11; ++j) EXPECT_EQ(by_element(i, j), 100 * i + j);
    }
    EXPECT_EQ(elements(by_element), elements(by_row));
  });
}

TEST_F(Map, CallsAChunkKernelOncePerChunkAndAnIndexKernelOncePerIndex) {
  at_every_grain([](const shard::options& how) {
    shard::buffer<std::uint64_t> sizes(100);
    shard::buffer<int> calls(100);
    shard::map(
        how, 100, shard::out(sizes), shard::shared(calls),
        [](shard::range chunk, shard::slice<std::uint64_t> size, shard::shared_view<int> call) {
          EXPECT_EQ(size.chunk(), chunk);
          for (const std::size_t i : chunk) {
            size[i] = chunk.size();
            call.fetch_add(i, 1);
          }
        });
    for (std::size_t i = 0; i < 100; ++i) {
      const std::size_t first = i / *how.grain * *how.grain;
      EXPECT_EQ(sizes[i], std::min(first + *how.grain, std::size_t{100}) - first);
    }
    shard::map(how, 100, shard::shared(calls),
               [](std::size_t i, shard::shared_view<int> call) { call.fetch_add(i, 1); });
    EXPECT_THAT(elements(calls), Each(2));
  });
}

TEST_F(Map, GrantsPartsOfArraysOfManyDimensions) {
  at_every_grain([](const shard::options& how) {
    shard::buffer<int, 8> from(13, 2, 1, 2, 1, 2, 1, 3), to(13, 2, 1, 2, 1, 2, 1, 3);
    std::iota(from.begin(), from.end(), 0);
    shard::map(how, from.extent(0), shard::in(from), shard::out(to),
               [](std::size_t i, shard::view<int, 8> source, shard::slice<int, 8> target) {
                 EXPECT_EQ(target.slab().extent(0), target.chunk().size());
                 std::ranges::copy(source.row(i), target.row(i).begin());
               });
    EXPECT_EQ(elements(to), elements(from));
  });
}

TEST_F(Map, LeavesAloneWhatLiesOutsideItsRange) {
  in_every_way([](const shard::options& how) {
    shard::buffer<int> out(std::vector<int>(50, -1));
    const auto fill = [](std::size_t i, shard::slice<int> to) { to[i] = static_cast<int>(i); };
    shard::map(how, shard::range{10, 20}, shard::out(out), fill);
    shard::map(how, shard::chunks{{30, 41}, 4}, shard::out(out), fill);
    for (std::size_t i = 0; i < 50; ++i) {
      const bool mapped = (10 <= i && i < 20) || (30 <= i && i < 41);
      EXPECT_EQ(out[i], mapped ? static_cast<int>(i) : -1);
    }
  });
}

TEST_F(Map, TakesChunksOneByOne) {
  in_every_way([](const shard::options& how) {
    const std::vector<shard::range> parts{{2, 5}, {5, 6}, {40, 47}};
    shard::buffer<std::uint64_t> out(50);
    const shard::report run = shard::map(how, shard::chunk_list{{0, 50}, parts}, shard::out(out),
                                         [](shard::range chunk, shard::slice<std::uint64_t> to) {
                                           for (const std::size_t i : chunk)
                                             to[i] = 1 + chunk.first;
                                         });
    EXPECT_TRUE(run.complete());
    EXPECT_THAT(run.completed(), ElementsAre(shard::range{2, 6}, shard::range{40, 47}));
    EXPECT_EQ(run.counts().chunks, 3u);
    EXPECT_EQ(run.indices(), 11u);
    for (std::size_t i = 0; i < 50; ++i) {
      std::uint64_t expected = 0;
      for (const shard::range part : parts) expected += part.contains(i) ? 1 + part.first : 0;
      EXPECT_EQ(out[i], expected);
    }
  });
}

TEST_F(Map, MapsEveryWeightedIndexOnce) {
  std::vector<double> cost(20'000);
  for (std::size_t i = 0; i < cost.size(); ++i) cost[i] = i % 7 == 0 ? 50.0 : 0.5;
  in_every_way([&](const shard::options& how) {
    shard::buffer<int> calls(20'000);
    const shard::report run =
        shard::map(how, shard::weighted{{0, 20'000}, cost}, shard::shared(calls),
                   [](std::size_t i, shard::shared_view<int> call) { call.fetch_add(i, 1); });
    EXPECT_TRUE(run.complete());
    EXPECT_GT(run.counts().chunks, 1000u);
    EXPECT_THAT(elements(calls), Each(1));
  });
}

TEST_F(Map, CoversEachCellOfATiledSpaceOnce) {
  in_every_way([](const shard::options& how) {
    shard::buffer<int, 2> out(7, 5);
    shard::buffer<int, 2> calls(7, 5);
    const shard::report run =
        shard::map(how, shard::tiles{{7, 5}, {3, 2}}, shard::out(out), shard::shared(calls),
                   [](shard::tile cells, shard::slice<int, 2> to, shard::shared_view<int, 2> call) {
                     EXPECT_EQ(to.cells(), cells);
                     for (const std::size_t i : cells.rows) {
                       for (const std::size_t j : cells.cols) {
                         to(i, j) = static_cast<int>(10 * i + j);
                         call.fetch_add({i, j}, 1);
                       }
                     }
                   });
    EXPECT_EQ(run.counts().chunks, 9u);
    EXPECT_THAT(elements(calls), Each(1));
    for (std::size_t i = 0; i < 7; ++i) {
      for (std::size_t j = 0; j < 5; ++j) EXPECT_EQ(out(i, j), static_cast<int>(10 * i + j));
    }
  });
}

TEST_F(Map, GivesAThreeDimensionalOutputByRows) {
  in_every_way([](const shard::options& how) {
    shard::buffer<std::size_t, 3> out(13, 4, 5);
    shard::map(how, 13, shard::out(out), [](std::size_t i, shard::slice<std::size_t, 3> to) {
      for (std::size_t j = 0; j < 4; ++j) {
        for (std::size_t k = 0; k < 5; ++k) to(i, j, k) = 100 * i + 10 * j + k;
      }
    });
    for (std::size_t i = 0; i < 13; ++i) {
      for (std::size_t j = 0; j < 4; ++j) {
        for (std::size_t k = 0; k < 5; ++k) EXPECT_EQ(out(i, j, k), 100 * i + 10 * j + k);
      }
    }
  });
}

TEST_F(Map, TwoWorkersWriteDisjointColumns) {
  shard::buffer<std::size_t, 2> out(50, 16);
  shard::map({.workers = 2}, shard::tiles{{50, 16}, {50, 1}}, shard::out(out),
             [](shard::tile cells, shard::slice<std::size_t, 2> to) {
               for (const std::size_t i : cells.rows) {
                 for (const std::size_t j : cells.cols) to(i, j) = 16 * i + j;
               }
             });
  for (std::size_t k = 0; k < out.size(); ++k) EXPECT_EQ(out.span()[k], k);
}

TEST_F(Map, OfNothingSucceedsWithoutCallingTheKernel) {
  in_every_way([](const shard::options& how) {
    const auto never = [](auto&&...) { std::abort(); };
    shard::buffer<int> none(0);
    shard::buffer<int, 2> no_rows(0, 5);
    shard::buffer<int> some(9);
    shard::sum<int> total(7);
    const std::vector<double> no_costs;
    EXPECT_TRUE(shard::map(how, 0, shard::reduce(total), never).complete());
    EXPECT_TRUE(shard::map(how, none, [](std::size_t) -> int { std::abort(); }).complete());
    EXPECT_TRUE(
        shard::map(how, no_rows, [](std::size_t, std::size_t) -> int { std::abort(); }).complete());
    EXPECT_TRUE(shard::map(how, shard::range{4, 4}, shard::out(some), never).complete());
    EXPECT_TRUE(shard::map(how, shard::chunk_list{{0, 9}, {}}, shard::out(some), never).complete());
    EXPECT_TRUE(
        shard::map(how, shard::weighted{{3, 3}, no_costs}, shard::out(some), never).complete());
    EXPECT_TRUE(
        shard::map(how, shard::tiles{{0, 5}, {2, 2}}, shard::reduce(total), never).complete());
    EXPECT_EQ(total.value(), 7);
    EXPECT_THAT(elements(some), Each(0));
  });
}

TEST_F(Map, FillsRowsWithoutElements) {
  in_every_way([](const shard::options& how) {
    shard::buffer<int, 2> no_columns(20, 0);
    shard::counter rows;
    EXPECT_TRUE(shard::map(how, no_columns, shard::reduce(rows),
                           [](std::size_t, std::span<int> row, auto& seen) {
                             seen += row.empty() ? 1 : 100;
                           })
                    .complete());
    EXPECT_EQ(rows.value(), 20);
  });
}

int twice(std::size_t i) { return static_cast<int>(2 * i); }

TEST_F(Map, TakesAPlainFunction) {
  shard::buffer<int> out(10);
  shard::map({.workers = 2}, out, twice);
  EXPECT_THAT(elements(out), ElementsAre(0, 2, 4, 6, 8, 10, 12, 14, 16, 18));
}

// ---- Arguments ----

TEST_F(Map, HandsEveryKindOfArgumentToTheKernel) {
  at_every_grain([](const shard::options& how) {
    shard::buffer<double> x(500);
    std::iota(x.begin(), x.end(), -20.0);
    shard::buffer<double> squares(500);
    shard::buffer<std::int64_t> parity(2);
    shard::ordered_sum<double> total;
    shard::histogram near{shard::axis::regular(40, -20.0, 20.0)};
    const std::vector<double> factors{3.0, 0.5};
    shard::map(how, 500, shard::in(x), shard::out(squares), shard::shared(parity),
               shard::reduce(total), shard::reduce(near), shard::value(factors),
               [](std::size_t i, shard::view<double> from, shard::slice<double> to, auto parities,
                  auto& sum, auto& bins, const std::vector<double>& by) {
                 to[i] = from[i] * from[i] * by[0];
                 parities.fetch_add(i % 2, 1);
                 sum += from[i] * by[1];
                 bins(from[i]);
               });
    for (std::size_t i = 0; i < 500; ++i) EXPECT_EQ(squares[i], 3.0 * x[i] * x[i]);
    EXPECT_THAT(elements(parity), ElementsAre(250, 250));
    EXPECT_EQ(total.value(), std::accumulate(x.begin(), x.end(), 0.0) / 2);
    for (int bin = 0; bin < 40; ++bin) EXPECT_EQ(near.at(bin), 1);
    EXPECT_EQ(near.at(40), 460);
  });
}

TEST_F(Map, LetsKernelsReadWhatTheyCapture) {
  in_every_way([](const shard::options& how) {
    shard::buffer<int> x(200);
    std::iota(x.begin(), x.end(), 1);
    const std::vector<int> offsets(200, 7);
    shard::buffer<int> out(200);
    shard::map(how, out, [&](std::size_t i) { return 2 * x[i] + offsets[i]; });
    for (int i = 0; i < 200; ++i) EXPECT_EQ(out[static_cast<std::size_t>(i)], 2 * (i + 1) + 7);
  });
}

TEST_F(Map, FaultsWhereAKernelWritesToACapturedBuffer) {
  shard::buffer<int> captured(100);
  shard::buffer<int> out(100);
  const shard::report run =
      shard::try_map({.workers = 2, .grain = 10, .retries = 1}, out, [&](std::size_t i) {
        if (i == 42) captured[17] = 1;
        return 1;
      });
  ASSERT_FALSE(run.failures().empty());
  for (const shard::failure& one : run.failures()) {
    EXPECT_EQ(one.kind, "signal");
    EXPECT_EQ(one.chunk, 4u);
    EXPECT_TRUE(mentions(one.what, {"SIGSEGV", "buffer", "element 17", "captured"}));
  }
  EXPECT_EQ(run.failures().back().indices, (shard::range{42, 43}));
  EXPECT_EQ(captured[17], 0);
}

TEST_F(Map, FaultsWhereAKernelCastsAwayTheConstOfAnInput) {
  shard::buffer<int> input(100);
  shard::buffer<int> out(100);
  const shard::report run = shard::try_map({.workers = 1, .retries = 0}, out, shard::in(input),
                                           [](std::size_t i, shard::view<int> from) {
                                             const_cast<int&>(from[i]) = 1;
                                             return 1;
                                           });
  ASSERT_THAT(run.failures(), SizeIs(1));
  EXPECT_TRUE(mentions(run.failures()[0].what, {"SIGSEGV", "element 0", "granted for reading"}));
  EXPECT_THAT(elements(input), Each(0));
}

TEST_F(Map, LosesWhatAKernelAssignsToCapturedVariables) {
  int seen = 5;
  shard::buffer<int> out(10);
  shard::map({.workers = 2}, out, [&](std::size_t i) { return seen += static_cast<int>(i); });
  EXPECT_EQ(seen, 5);
}

TEST_F(Map, ReadsAndWritesOneBufferInTwoRoles) {
  shard::buffer<int> x(std::vector<int>(64, 3));
  shard::buffer<int> y(64);
  shard::map(
      {.workers = 3, .grain = 5}, y, shard::in(x), shard::in(x),
      [](std::size_t i, shard::view<int> a, shard::view<int> b) { return a[i] * b[63 - i]; });
  EXPECT_THAT(elements(y), Each(9));
}

// ---- Reductions ----

struct reductions {
  std::uint64_t sum = 0;
  double lowest = 0, highest = 0;
  std::int64_t count = 0;
  std::vector<std::int64_t> bins;
  bool operator==(const reductions&) const = default;
};

reductions reduce_all(const shard::options& how) {
  shard::ordered_sum<double> total;
  shard::minimum<double> lowest;
  shard::maximum<double> highest;
  shard::counter even;
  shard::histogram bins{shard::axis::regular(64, -1.0, 1.0)};
  shard::map(how, 30'000, shard::reduce(total), shard::reduce(lowest), shard::reduce(highest),
             shard::reduce(even), shard::reduce(bins),
             [](std::size_t i, auto& sum, auto& low, auto& high, auto& evens, auto& histogram) {
               const double x = std::sin(static_cast<double>(i) * 1.7) / (1.0 + 1e-3 * root(i));
               sum += x * 1e6;
               low(x);
               high(x);
               if (i % 2 == 0) ++evens;
               histogram(x);
             });
  return {std::bit_cast<std::uint64_t>(total.value()), lowest.value(), highest.value(),
          even.value(), elements(bins.counts())};
}

TEST_F(Map, ReducesToTheSameBitsOnAnyNumberOfWorkers) {
  for (const std::size_t grain : {1u, 64u, 1000u, 40'000u}) {
    const reductions expected = reduce_all({.grain = grain, .run_on = executor::serial});
    EXPECT_EQ(expected.count, 15'000);
    EXPECT_EQ(std::accumulate(expected.bins.begin(), expected.bins.end(), std::int64_t{0}), 30'000);
    in_every_way([&](shard::options how) {
      how.grain = grain;
      EXPECT_EQ(reduce_all(how), expected) << "grain " << grain;
    });
  }
}

TEST_F(Map, AddsToWhatAReducerHolds) {
  for (const std::size_t grain : {1u, 3u, 7u, 20u}) {
    for (const unsigned workers : {1u, 2u}) {
      shard::sum<int> total(10);
      const auto add = [](std::size_t i, auto& sum) { sum += static_cast<int>(i); };
      shard::map({.workers = workers}, shard::chunks{{1, 21}, grain}, shard::reduce(total), add);
      EXPECT_EQ(total.value(), 220);
      shard::map({.workers = workers}, shard::chunks{{1, 21}, grain}, shard::reduce(total), add);
      EXPECT_EQ(total.value(), 430);
    }
  }
}

TEST_F(Map, AddsASecondMapToAHistogram) {
  shard::histogram bins{shard::axis::integer(0, 4)};
  for (int times = 1; times <= 3; ++times) {
    shard::map({.workers = 2, .grain = 3}, 100, shard::reduce(bins),
               [](std::size_t i, auto& bin) { bin(static_cast<int>(i % 5)); });
    for (int bin = 0; bin < 4; ++bin) EXPECT_EQ(bins.at(bin), 20 * times);
    EXPECT_EQ(bins.at(4), 20 * times);
  }
}

// Not commutative: the text of the chunks' numbers, one after the other.
class spelled : public shard::detail::adds_by_accumulator {
 public:
  static constexpr bool ordered = true;
  class accumulator {
   public:
    accumulator(const spelled&, const std::byte* state) : number_(std::to_integer<int>(*state)) {}
    accumulator(const accumulator&) = delete;
    void set(int number) { number_ = number; }
    void store(std::byte* state) const { *state = static_cast<std::byte>(number_); }

   private:
    friend spelled;
    int number_;
  };
  std::size_t state_bytes() const { return 1; }
  void start(std::byte*) const {}
  void merge(const accumulator& part) { numbers_.push_back(part.number_); }
  const std::vector<int>& numbers() const { return numbers_; }

 private:
  std::vector<int> numbers_;
};

TEST_F(Map, MergesOrderedReductionsInTheOrderOfTheChunks) {
  in_every_way([](const shard::options& how) {
    spelled list;
    shard::map(how, shard::chunks{{1, 13}, 1}, shard::reduce(list),
               [](std::size_t i, auto& number) { number.set(static_cast<int>(i)); });
    EXPECT_THAT(list.numbers(), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12));
  });
}

TEST_F(Map, CountsTwoThousandIncrementsOnce) {
  for (const std::size_t grain : {1u, 4u}) {
    shard::counter count;
    shard::map({.workers = 4, .grain = grain}, 2000, shard::reduce(count),
               [](std::size_t, auto& hits) { ++hits; });
    EXPECT_EQ(count.value(), 2000);
  }
}

// ---- Sizes ----

TEST_F(Map, RunsAHundredThousandTinyChunks) {
  const std::size_t chunks = shard_test::sanitized ? 10'000 : 100'000;
  shard::buffer<std::uint32_t> out(chunks);
  shard::counter count;
  const shard::report run = shard::map({.workers = 2, .grain = 1}, out, shard::reduce(count),
                                       [](std::size_t i, auto& hits) {
                                         ++hits;
                                         return static_cast<std::uint32_t>(3 * i);
                                       });
  EXPECT_EQ(run.counts().chunks, chunks);
  EXPECT_EQ(count.value(), static_cast<std::int64_t>(chunks));
  for (std::size_t i = 0; i < chunks; ++i) ASSERT_EQ(out[i], 3 * i);
}

TEST_F(Map, StartsNoMoreWorkersThanThereAreChunks) {
  shard::buffer<int> out(3);
  const shard::report run = shard::map({.workers = 16, .grain = 1}, out,
                                       [](std::size_t i) { return static_cast<int>(i); });
  EXPECT_EQ(run.counts().workers, 3u);
  EXPECT_THAT(elements(out), ElementsAre(0, 1, 2));
}

TEST_F(Map, RunsSixtyFourWorkersAtOnce) {
  const shard_test::tally arrived;
  const unsigned workers = shard_test::sanitized ? 8 : 64;
  shard::buffer<int> out(workers);
  // Each of the chunks waits for all others: that many workers are there at a time.
  const shard::report run = shard::map({.workers = workers, .grain = 1}, out, [&](std::size_t) {
    ++arrived[0];
    return shard_test::eventually([&] { return arrived[0] == static_cast<int>(workers); }) ? 1 : 0;
  });
  EXPECT_EQ(run.counts().workers, workers);
  EXPECT_THAT(elements(out), Each(1));
}

TEST_F(Map, LeavesNothingAfterHundredsOfRuns) {
  const int runs = shard_test::sanitized ? 50 : 500;
  shard::buffer<int> out(16);
  for (int run = 0; run < runs; ++run) {
    shard::map({.workers = 2, .grain = 1}, out,
               [&](std::size_t i) { return run + static_cast<int>(i); });
    ASSERT_EQ(out[15], run + 15);
  }
}

// ---- One map after the other ----

TEST_F(Map, GivesSumsInTheOrderOfTheChunks) {
  in_every_way([](const shard::options& how) {
    shard::buffer<std::size_t> sums(4);
    shard::map(how, shard::chunks{{0, 4}, 1}, shard::out(sums),
               [](std::size_t k, shard::slice<std::size_t> to) {
                 std::size_t sum = 0;
                 for (std::size_t i = 25 * k; i < 25 * (k + 1); ++i) sum += i;
                 to[k] = sum;
               });
    EXPECT_THAT(elements(sums), ElementsAre(300, 925, 1550, 2175));
  });
}

TEST_F(Map, FillsTheBufferThatItIsGivenEachTime) {
  in_every_way([](const shard::options& how) {
    shard::buffer<int> first(50);
    shard::buffer<int> second(70);
    shard::sum<int> total;
    int base = 0;
    const auto fill = [&](shard::buffer<int>& out) {
      shard::map(how, out.size(), shard::out(out),
                 [&](std::size_t i, shard::slice<int> to) { to[i] = base + static_cast<int>(i); });
    };
    fill(first);
    base = 1000;
    fill(second);
    first = shard::buffer<int>(20);  // the same name, and other memory
    base = 2000;
    fill(first);
    shard::map(how, 70, shard::in(second), shard::reduce(total),
               [](std::size_t i, auto from, auto& sum) { sum += from[i]; });
    for (int i = 0; i < 20; ++i) EXPECT_EQ(first[static_cast<std::size_t>(i)], 2000 + i);
    for (int i = 0; i < 70; ++i) EXPECT_EQ(second[static_cast<std::size_t>(i)], 1000 + i);
    EXPECT_EQ(total.value(), 70 * 1000 + 69 * 70 / 2);
  });
}

TEST_F(Map, IsRightAfterOneThatTheCallerHasThrownOutOf) {
  for (const executor where : {executor::processes, executor::threads}) {
    const shard_test::tally thrown;
    shard::buffer<int> out(100);
    shard::counter count;
    EXPECT_THROW(
        shard::map({.workers = 2,
                    .grain = 1,
                    .run_on = where,
                    .on_progress =
                        [&](const shard::progress&) {
                          thrown[0] = 1;
                          throw std::out_of_range("in the middle");
                        }},
                   100, shard::out(out), shard::reduce(count),
                   [&](std::size_t i, shard::slice<int> to, auto& hits) {
                     ++hits;
                     to[i] = -1;
                     if (i >= 10) {
                       static_cast<void>(shard_test::eventually([&] { return thrown[0] != 0; }));
                     }
                   }),
        std::out_of_range);
    EXPECT_EQ(count.value(), 0) << "a map that was left by an exception adds nothing";
    const shard::report run =
        shard::map({.workers = 2, .grain = 1, .run_on = where}, 100, shard::out(out),
                   shard::reduce(count), [](std::size_t i, shard::slice<int> to, auto& hits) {
                     ++hits;
                     to[i] = static_cast<int>(i);
                   });
    EXPECT_TRUE(run.complete());
    EXPECT_EQ(count.value(), 100);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(out[static_cast<std::size_t>(i)], i);
  }
}

// ---- Where a map is called ----

TEST_F(Map, RunsInAForkedChild) {
  EXPECT_TRUE(shard_test::holds_in_a_child([] {
    shard::buffer<int> out(100);
    const shard::report run =
        shard::map({.workers = 2}, out, [](std::size_t i) { return static_cast<int>(i); });
    return run.complete() && out[99] == 99 && waitpid(-1, nullptr, WNOHANG | __WALL) == -1;
  }));
}

TEST_F(Map, WritesToABufferThatAForkedChildInherited) {
  shard::buffer<int> out(100);
  EXPECT_TRUE(shard_test::holds_in_a_child([&] {
    return shard::map({.workers = 2}, out, [](std::size_t i) { return static_cast<int>(i); })
        .complete();
  }));
  EXPECT_EQ(out[99], 99);
}

// ---- Maps inside kernels ----

// Wherever the inner one wants to run: it runs in the worker of the outer kernel, in its thread.
TEST_F(Map, MapsInlineInsideAKernel) {
  for (const executor where : everywhere) {
    for (const executor inner : everywhere) {
      shard::buffer<int> out(6);
      shard::map({.workers = 2, .grain = 1, .run_on = where}, out, [=](std::size_t i) {
        shard::sum<int> sum;
        const pid_t worker = gettid();
        shard::map({.workers = 2, .grain = 1, .run_on = inner}, 10, shard::reduce(sum),
                   [&](std::size_t k, auto& to) {
                     to += gettid() == worker ? static_cast<int>(k * i) : 1000;
                   });
        return sum.value() + static_cast<int>(shard::default_workers());
      });
      EXPECT_THAT(elements(out), ElementsAre(1, 46, 91, 136, 181, 226));
    }
  }
}

TEST_F(Map, StartsRunsAndPoolsInlineInsideAKernel) {
  shard::buffer<int> out(4);
  shard::map({.workers = 2, .grain = 1}, out, [](std::size_t) {
    shard::buffer<pid_t> workers(3);
    const auto here = [](std::size_t) { return gettid(); };
    shard::pool pool({.workers = 2});
    int found = static_cast<int>(pool.workers());
    pool.queue(workers, here);
    pool.wait();
    found += static_cast<int>(std::ranges::count(workers, gettid()));
    shard::run run = shard::start({.workers = 2}, workers, here);
    run.wait();
    return found + static_cast<int>(std::ranges::count(workers, gettid()));
  });
  EXPECT_THAT(elements(out), Each(1 + 3 + 3));
}

TEST_F(Map, LetsAnInnerKernelReadWhatItsOuterOneMay) {
  static constexpr std::size_t n = 100'000;
  shard::buffer<double> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<double>(i + 1);
  shard::buffer<double> y(8);
  shard::map({.workers = 2, .grain = 1}, 8, shard::in(x), shard::out(y),
             [](std::size_t i, shard::view<double> outer, shard::slice<double> to) {
               shard::buffer<double> twice(n);
               shard::buffer<double> half(n);
               for (double& each : half) each = 0.5;
               shard::map({.workers = 2}, n, shard::in(half), shard::out(twice),
                          [&](std::size_t j, shard::view<double> h, shard::slice<double> t) {
                            t[j] = outer[j] * h[j] * 4;
                          });
               to[i] = std::accumulate(twice.begin(), twice.end(), 0.0);
             });
  EXPECT_THAT(elements(y), Each(static_cast<double>(n * (n + 1))));
}

TEST_F(Map, LetsAnInnerKernelWriteWhatItsOuterOneMay) {
  shard::buffer<double> y(8);
  shard::map({.workers = 2, .grain = 1}, 8, shard::out(y),
             [](std::size_t i, shard::slice<double> outer) {
               shard::buffer<double> inner(8);
               shard::map({.workers = 1, .grain = 8}, inner, [&](std::size_t k) {
                 outer[i] += static_cast<double>(k);
                 return 1.0;
               });
             });
  EXPECT_THAT(elements(y), Each(28));
}

// A chunk that is run again would change them again; and a worker may only read them.
TEST_F(Map, RefusesToChangeInAKernelWhatTheKernelOnlyCaptured) {
  for (const executor inner : {executor::processes, executor::serial}) {
    SCOPED_TRACE(static_cast<int>(inner));
    const shard::options how{.workers = 1, .grain = 4, .run_on = inner};
    shard::buffer<int> captured(4);
    const auto change = [](std::size_t k, auto all) { all[k] += 1; };
    const std::array<std::function<void()>, 4> maps{
        [&] { shard::map(how, captured, [](std::size_t) { return 1; }); },
        [&] { shard::map(how, 4, shard::out(captured), change); },
        [&] { shard::map(how, 4, shard::inout(captured), change); },
        [&] {
          shard::map(how, 4, shard::shared(captured),
                     [](std::size_t k, auto& all) { all.fetch_add(k, 1); });
        }};
    shard::buffer<int> out(maps.size());
    const shard::report run =
        shard::try_map({.workers = 2, .grain = 1, .retries_error = 0, .keep_going = true}, out,
                       [&](std::size_t i) {
                         maps[i]();
                         return 1;
                       });
    EXPECT_THAT(run.completed(), IsEmpty());
    for (const shard::failure& one : run.failures()) {
      EXPECT_TRUE(mentions(one.what, {"shard::error", "only captured by the kernel"})) << one.what;
    }
    EXPECT_THAT(elements(captured), Each(0));
  }
}

// What it would read depends on which chunks have been run, and how often.
TEST_F(Map, RefusesToMapInAKernelWithAnOutputOfItsOwnMap) {
  shard::buffer<int> out(3);
  for (int& each : out) each = 5;
  const std::array<std::function<void()>, 3> maps{
      [&] { shard::map(out, [](std::size_t) { return 7; }); },
      [&] { shard::map(3, shard::inout(out), [](std::size_t, auto) {}); },
      [&] {
        shard::sum<int> all;
        shard::map(3, shard::in(out), shard::reduce(all),
                   [](std::size_t k, shard::view<int> values, auto& sum) { sum += values[k]; });
      }};
  const shard::report run =
      shard::try_map({.workers = 2, .grain = 1, .retries_error = 0, .keep_going = true}, 3,
                     shard::out(out), [&](std::size_t i, shard::slice<int>) { maps[i](); });
  EXPECT_THAT(run.completed(), IsEmpty());
  ASSERT_THAT(run.failures(), Not(IsEmpty()));
  for (const shard::failure& one : run.failures()) {
    EXPECT_TRUE(mentions(one.what, {"an output of the map that runs this kernel"})) << one.what;
  }
  EXPECT_THAT(elements(out), Each(5));
}

TEST_F(Map, FaultsWhereAnInnerKernelReadsAnOutputOfItsOuterMap) {
  shard::buffer<int> out(2);
  const shard::report run =
      shard::try_map({.workers = 2, .grain = 1, .keep_going = true}, out, [&](std::size_t i) {
        shard::buffer<int> inner(1);
        shard::map({.workers = 1, .retries = 0}, inner, [&](std::size_t) { return out[i]; });
        return inner[0];
      });
  EXPECT_THAT(run.completed(), IsEmpty());
  ASSERT_THAT(run.failures(), Not(IsEmpty()));
  EXPECT_TRUE(mentions(run.failures()[0].what, {"SIGSEGV", "at element"}));
}

// It is one of the outer kernel: its chunk is run again, and given up.
TEST_F(Map, TakesACrashInAnInnerMapForOneOfTheOuterChunk) {
  for (const unsigned threads : {1u, 2u}) {
    shard::buffer<int> out(4);
    const shard::report run = shard::try_map(
        {.workers = 2, .threads_per_worker = threads, .grain = 1, .keep_going = true}, out,
        [](std::size_t i) {
          shard::buffer<int> inner(4);
          shard::map({.grain = 1, .keep_going = true}, inner, [&](std::size_t k) {
            if (i == 2 && k == 3) std::abort();
            return 1;
          });
          return 1;
        });
    EXPECT_THAT(run.failures(), SizeIs(2));
    for (const shard::failure& one : run.failures()) {
      EXPECT_EQ(one.chunk, 2u);
      EXPECT_EQ(one.kind, "signal");
      EXPECT_TRUE(mentions(one.what, {"SIGABRT"})) << one.what;
    }
    EXPECT_THAT(elements(out), ElementsAre(1, 1, 0, 1));
  }
}

TEST_F(Map, TellsOfAnExceptionInAnInnerMapWhoseItIs) {
  for (const executor where : everywhere) {
    shard::buffer<int> out(4);
    const shard::report run = shard::try_map(
        {.workers = 2, .grain = 1, .keep_going = true, .run_on = where}, out, [](std::size_t i) {
          shard::buffer<int> inner(4);
          shard::map({.grain = 1}, inner, [&](std::size_t k) {
            if (i == 2 && k == 3) throw std::out_of_range("beyond");
            return 1;
          });
          return 1;
        });
    ASSERT_THAT(run.failures(), SizeIs(1));
    EXPECT_EQ(run.failures()[0].chunk, 2u);
    EXPECT_EQ(run.failures()[0].kind, "exception");
    EXPECT_TRUE(mentions(run.failures()[0].what, {"shard::map_error", "index 3", "beyond"}));
    EXPECT_THAT(elements(out), ElementsAre(1, 1, 0, 1));
  }
}

// ---- What is refused, before anything runs ----

TEST_F(Map, RefusesOutputsThatDoNotFit) {
  in_every_way([](const shard::options& how) {
    shard::buffer<int> ten(10);
    shard::buffer<int> eleven(11);
    shard::buffer<int, 2> grid(10, 4);
    const auto never = [](auto&&...) { std::abort(); };
    EXPECT_TRUE(mentions(refusal([&] { shard::map(how, 11, shard::out(ten), never); }),
                         {"found 10 rows", "expected 11"}));
    EXPECT_TRUE(mentions(refusal([&] { shard::map(how, 9, shard::out(ten), never); }),
                         {"found 10 rows", "expected 9"}));
    EXPECT_TRUE(mentions(refusal([&] {
                           shard::map(how, shard::range{5, 11}, shard::out(ten), never);
                         }),
                         {"found 10 rows", "expected at least 11"}));
    EXPECT_TRUE(mentions(refusal([&] {
                           shard::map(how, std::tie(ten, eleven),
                                      [](std::size_t) -> std::tuple<int, int> { std::abort(); });
                         }),
                         {"11", "10"}));
    EXPECT_NE(refusal([&] {
                shard::map(how, shard::tiles{{11, 4}, {2, 2}}, shard::out(grid), never);
              }),
              "");
    EXPECT_NE(refusal([&] {
                shard::map(how, shard::tiles{{10, 5}, {2, 2}}, shard::out(grid), never);
              }),
              "");
  });
}

TEST_F(Map, RefusesAnOutputThatIsAlsoAnotherArgument) {
  in_every_way([](const shard::options& how) {
    shard::buffer<int> one(10);
    const auto never = [](auto&&...) { std::abort(); };
    const auto zero = [](std::size_t, auto&&...) { return 0; };
    EXPECT_TRUE(
        mentions(refusal([&] { shard::map(how, 10, shard::in(one), shard::out(one), never); }),
                 {"is an output and another argument"}));
    EXPECT_NE(refusal([&] { shard::map(how, 10, shard::out(one), shard::out(one), never); }), "");
    EXPECT_NE(refusal([&] { shard::map(how, one, shard::in(one), zero); }), "");
    EXPECT_NE(refusal([&] {
                shard::map(how, std::tie(one, one),
                           [](std::size_t) -> std::tuple<int, int> { std::abort(); });
              }),
              "");
  });
}

TEST_F(Map, KnowsAnOutputByAnyOfItsHandles) {
  const shard_test::folder here;
  shard::save(here / "values.npy", shard::buffer<int>(10));
  auto out = shard::open_writable<int>(here / "values.npy");
  const auto again = shard::open<int>(here / "values.npy");
  const auto frozen_view = out.read_only();
  in_every_way([&](const shard::options& how) {
    const auto zero = [](std::size_t, auto&&...) { return 0; };
    for (const auto* other : {&again, &frozen_view}) {
      EXPECT_TRUE(mentions(refusal([&] { shard::map(how, out, shard::in(*other), zero); }),
                           {"argument 1 (", "values.npy", "is an output and another argument"}));
    }
  });
  for (const auto* other : {&again, &frozen_view}) {
    const shard::report run = shard::try_map({.workers = 1, .retries = 0}, out,
                                             [&](std::size_t i) { return 2 * (*other)[i]; });
    EXPECT_THAT(run.completed(), IsEmpty());
    ASSERT_FALSE(run.failures().empty());
    EXPECT_TRUE(mentions(run.failures()[0].what, {"at element 0", "an output of this map"}));
  }
}

// Its chunk would read its own first try when it is run again.
TEST_F(Map, FaultsWhereAKernelReadsItsOutputThroughACapture) {
  shard::buffer<int> both(100);
  const shard::report run = shard::try_map({.workers = 1, .grain = 10, .retries = 0}, both,
                                           [&](std::size_t i) { return 2 * both[i]; });
  EXPECT_THAT(run.completed(), IsEmpty());
  ASSERT_FALSE(run.failures().empty());
  EXPECT_TRUE(mentions(run.failures()[0].what, {"at element 0", "an output of this map"}));
}

TEST_F(Map, RefusesMoreTilesThanCanBeCounted) {
  shard::counter count;
  const std::size_t side = std::size_t{1} << 32;
  EXPECT_TRUE(mentions(refusal([&] {
                         shard::map(shard::tiles{.shape = {side, side}, .step = {1, 1}},
                                    shard::reduce(count), [](auto&&...) { std::abort(); });
                       }),
                       {"more tiles than can be counted"}));
}

// Counts, in a state of which no two fit on a line, how many states were out of line.
class astray : public shard::detail::adds_by_accumulator {
 public:
  class accumulator {
   public:
    accumulator(const astray&, std::byte* state) : state_(state) {}
    accumulator(const accumulator&) = delete;
    void store(std::byte*) const noexcept {}
    bool aligned() const { return reinterpret_cast<std::uintptr_t>(state_) % 64 == 0; }

   private:
    std::byte* state_;
  };
  static constexpr bool ordered = false;
  std::size_t state_bytes() const { return 96; }
  void start(std::byte*) const {}
  void merge(const accumulator& part) { found += part.aligned() ? 0 : 1; }

  int found = 0;
};

TEST_F(Map, AlignsStatesToLines) {
  in_every_way([](const shard::options& how) {
    astray states;
    shard::counter kernels;
    shard::map(how, 100, shard::reduce(states), shard::reduce(kernels),
               [](std::size_t, auto& state, auto& count) { count += state.aligned() ? 1 : 0; });
    EXPECT_EQ(states.found, 0);
    EXPECT_EQ(kernels.value(), 100);
    shard::ordered_sum<double> halves;  // beside partials of one word
    shard::map(how, 100, shard::reduce(states), shard::reduce(halves),
               [](std::size_t, auto&, auto& sum) { sum += 0.5; });
    EXPECT_EQ(states.found, 0);
    EXPECT_EQ(halves.value(), 50);
  });
}

TEST_F(Map, CountsMoreRetriesThanItsReportHasRoomFor) {
  constexpr std::size_t chunks = 3000;
  shard::buffer<unsigned char> seen(chunks);
  shard::buffer<int> out(chunks);
  const shard::report run =
      shard::try_map({.grain = 1, .retries_error = 1, .keep_going = true}, out, shard::shared(seen),
                     [](std::size_t i, auto& tried) {
                       if (tried.exchange(i, 1) == 0) throw std::runtime_error("once");
                       return 1;
                     });
  EXPECT_TRUE(run.complete());
  EXPECT_EQ(run.counts().retries, chunks);
  EXPECT_EQ(run.failures().size() + run.counts().failures_lost, chunks);
}

TEST_F(Map, RefusesNegativeCountsAndEmptySteps) {
  shard::counter count;
  const auto never = [](auto&&...) { std::abort(); };
  EXPECT_TRUE(mentions(refusal([&] { shard::map(-1, shard::reduce(count), never); }), {"-1"}));
  EXPECT_NE(refusal([&] { shard::map(shard::range{5, 4}, shard::reduce(count), never); }), "");
  EXPECT_TRUE(mentions(refusal([&] {
                         shard::map(shard::chunks{{0, 9}, 0}, shard::reduce(count), never);
                       }),
                       {"grain", "0"}));
  EXPECT_TRUE(mentions(refusal([&] {
                         shard::map(shard::tiles{{4, 4}, {0, 2}}, shard::reduce(count), never);
                       }),
                       {"step"}));
}

TEST_F(Map, RefusesChunkListsAndCostsThatMakeNoPlan) {
  shard::counter count;
  const auto never = [](auto&&...) { std::abort(); };
  const auto listed = [&](std::vector<shard::range> parts) {
    return refusal([&] {
      shard::map(shard::chunk_list{{0, 10}, parts}, shard::reduce(count), never);
    });
  };
  EXPECT_NE(listed({{0, 5}, {4, 8}}), "");
  EXPECT_NE(listed({{5, 8}, {0, 2}}), "");
  EXPECT_NE(listed({{5, 11}}), "");
  EXPECT_NE(listed({{6, 5}}), "");
  const auto costs = [&](std::vector<double> cost) {
    return refusal([&] { shard::map(shard::weighted{{0, 3}, cost}, shard::reduce(count), never); });
  };
  EXPECT_NE(costs({1, 2}), "");
  EXPECT_NE(costs({1, -2, 3}), "");
  EXPECT_NE(costs({1, std::numeric_limits<double>::quiet_NaN(), 3}), "");
}

TEST_F(Map, RefusesBuffersThatWereMovedFrom) {
  shard::buffer<int> gone(10);
  const shard::buffer<int> kept = std::move(gone);
  shard::buffer<int> out(10);
  EXPECT_TRUE(
      mentions(refusal([&] { shard::map(gone, [](std::size_t) { return 1; }); }), {"moved from"}));
  EXPECT_TRUE(mentions(
      refusal([&] { shard::map(out, shard::in(gone), [](std::size_t, auto&) { return 1; }); }),
      {"moved from"}));
}

TEST_F(Map, RefusesAGrainForASpaceThatHasItsOwn) {
  shard::counter count;
  EXPECT_TRUE(mentions(refusal([&] {
                         shard::map({.grain = 4}, shard::chunks{{0, 9}, 2}, shard::reduce(count),
                                    [](std::size_t, auto& hits) { ++hits; });
                       }),
                       {"grain", "4"}));
}

// ---- Progress ----

TEST_F(Map, TellsItsProgressWhileItRuns) {
  for (const executor where : everywhere) {
    SCOPED_TRACE(static_cast<int>(where));
    const shard_test::tally calls;
    std::vector<shard::progress> seen;
    shard::buffer<int> out(100);
    shard::map({.workers = 2,
                .grain = 10,
                .run_on = where,
                .on_progress =
                    [&](const shard::progress& now) {
                      seen.push_back(now);
                      ++calls[0];
                    }},
               out, [&](std::size_t i) {
                 // Not to be over before it has been told of twice; inline, nobody could.
                 if (i == 50 && where != executor::serial) {
                   EXPECT_TRUE(shard_test::eventually([&] { return calls[0] >= 2; }));
                 }
                 return 1;
               });
    ASSERT_GE(seen.size(), where == executor::serial ? 1u : 3u);
    for (std::size_t k = 0; k < seen.size(); ++k) {
      EXPECT_EQ(seen[k].total, 100u);
      EXPECT_LE(seen[k].done, 100u);
      EXPECT_GE(seen[k].remaining.count(), 0.0);
      if (k == 0) continue;
      EXPECT_GE(seen[k].done, seen[k - 1].done);
      EXPECT_GE(seen[k].elapsed, seen[k - 1].elapsed);
    }
    EXPECT_EQ(seen.back().done, 100u);
    EXPECT_EQ(seen.back().remaining.count(), 0.0);
  }
}

TEST_F(Map, EndsWhenTellingItsProgressThrows) {
  shard::buffer<int> out(1000);
  const auto stop = [](const shard::progress&) { throw std::out_of_range("enough"); };
  // In processes, kernels that would never return are ended.
  EXPECT_THROW(shard::map({.workers = 3, .grain = 1, .on_progress = stop}, out,
                          [](std::size_t) -> int {
                            for (;;) pause();
                          }),
               std::out_of_range);
  // Threads can't be: the chunks that run return first.
  const shard_test::tally told;
  EXPECT_THROW(shard::map({.workers = 3,
                           .grain = 1,
                           .run_on = executor::threads,
                           .on_progress =
                               [&](const shard::progress&) {
                                 ++told[0];
                                 throw std::out_of_range("enough");
                               }},
                          out,
                          [&](std::size_t) {
                            EXPECT_TRUE(shard_test::eventually([&] { return told[0] != 0; }));
                            return 1;
                          }),
               std::out_of_range);
  EXPECT_TRUE(shard::map({.workers = 2}, out, [](std::size_t) { return 1; }).complete());
}

}  // namespace
