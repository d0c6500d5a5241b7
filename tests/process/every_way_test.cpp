// One suite of maps, run in every way in which shard can carry out a map: in forked and in spawned
// processes, in threads and inline, pinned and not, each without a pool, in one, queued, and as a
// run that goes on by itself. The kernels capture nothing, since only such run everywhere. What a
// map must give is computed here by loops.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <ostream>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "process/leftovers.hpp"
#include "shard/shard.hpp"

namespace {

using shard::executor;
using shard::start_by;
using testing::HasSubstr;

enum class called { map, in_a_pool, queued, started, started_in_a_pool };

struct way {
  std::string name;
  called by;
  executor where;
  start_by start;
  bool pin;
};

std::ostream& operator<<(std::ostream& to, const way& one) { return to << one.name; }

std::vector<way> ways() {
  struct place {
    const char* name;
    executor where;
    start_by start;
    bool pin = false;
  };
  constexpr place places[]{{"Forked", executor::processes, start_by::fork},
                           {"Spawned", executor::processes, start_by::spawn},
                           {"InThreads", executor::threads, start_by::fork},
                           {"Inline", executor::serial, start_by::fork},
                           {"Pinned", executor::processes, start_by::fork, true},
                           {"PinnedInThreads", executor::threads, start_by::fork, true}};
  constexpr std::pair<const char*, called> calls[]{{"", called::map},
                                                   {"InAPool", called::in_a_pool},
                                                   {"Queued", called::queued},
                                                   {"Started", called::started},
                                                   {"StartedInAPool", called::started_in_a_pool}};
  std::vector<way> all;
  for (const place& one : places) {
    for (const auto& [name, by] : calls) {
      all.push_back({std::string(one.name) + name, by, one.where, one.start, one.pin});
    }
  }
  return all;
}

// Carries out maps in one way, with so many workers.
class carrier {
 public:
  carrier(const way& how, unsigned workers)
      : by_(how.by),
        options_{.workers = workers, .run_on = how.where, .start = how.start, .pin = how.pin} {
    if (by_ != called::map && by_ != called::started) pool_.emplace(options_);
  }

  template <class... What>
  void operator()(What&&... what) {
    switch (by_) {
      case called::map: shard::map(options_, what...); return;
      case called::in_a_pool: pool_->map(what...); return;
      case called::queued:
        pool_->queue(what...);
        pool_->wait();
        return;
      case called::started:
        if (!shard::start(options_, what...).wait().complete()) throw std::runtime_error("lost");
        return;
      case called::started_in_a_pool:
        if (!pool_->start(what...).wait().complete()) throw std::runtime_error("lost");
        return;
    }
  }

  // How many kernels run at most at a time.
  unsigned workers() const { return *options_.workers; }

  // What is said of a map that is not complete. Failures of the kernel are not the end of it.
  template <class... What>
  shard::report report_of(What&&... what) {
    shard::options how;
    how.keep_going = true;
    if (!pool_) {
      how = options_;
      how.keep_going = true;
    }
    switch (by_) {
      case called::map: return shard::try_map(how, what...);
      case called::in_a_pool: return pool_->try_map(how, what...);
      case called::started: return shard::start(how, what...).wait();
      case called::started_in_a_pool: return pool_->start(how, what...).wait();
      case called::queued: break;
    }
    try {
      pool_->queue(how, what...);
      pool_->wait();
    } catch (const shard::map_error& lost) {
      return lost.result();
    }
    throw std::logic_error("a queued run that fails is complete");
  }

 private:
  called by_;
  shard::options options_;
  std::optional<shard::pool> pool_;
};

class EveryWay : public shard_test::leaves_nothing, public testing::WithParamInterface<way> {
 protected:
  // On one worker, on two and on eight, twice with each. With a sanitizer that takes minutes, and
  // finds no more than once on one and on eight.
  template <class Check>
  void each(Check check) {
    for (const unsigned workers : {1u, 2u, 8u}) {
      if (shard_test::sanitized && workers == 2) continue;
      SCOPED_TRACE(std::to_string(workers) + " workers");
      carrier map(GetParam(), workers);
      for (int round = 0; round < (shard_test::sanitized ? 1 : 2); ++round) check(map);
    }
  }
};

INSTANTIATE_TEST_SUITE_P(, EveryWay, testing::ValuesIn(ways()),
                         [](const auto& of) { return of.param.name; });

constexpr std::size_t n = 5000;

template <class T, std::size_t Rank>
std::vector<std::remove_const_t<T>> elements(const shard::buffer<T, Rank>& of) {
  return {of.span().begin(), of.span().end()};
}

shard::buffer<double> numbers() {
  shard::buffer<double> made(n);
  for (std::size_t i = 0; i < n; ++i) made[i] = 1.0 / static_cast<double>(i + 1);
  return made;
}

double doubled(std::size_t i, shard::view<double> x) { return 2 * x[i]; }

TEST_P(EveryWay, GivesElements) {
  const shard::buffer<double> x = numbers();
  std::vector<double> twice, less;
  for (const double each : x) {
    twice.push_back(2 * each);
    less.push_back(each - 3);
  }
  each([&](carrier& map) {
    shard::buffer<double> y(n), z(n);
    map(y, shard::in(x), doubled);
    EXPECT_EQ(elements(y), twice);
    map(std::tie(y, z), shard::in(x), shard::value(3.0),
        [](std::size_t i, shard::view<double> from, const double& by) {
          return std::tuple(from[i] - by, from[i]);
        });
    EXPECT_EQ(elements(y), less);
    EXPECT_EQ(elements(z), elements(x));
  });
}

TEST_P(EveryWay, CollectsItems) {
  std::vector<std::uint64_t> right;
  std::vector<std::uint64_t> offsets{0};
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < i % 5; ++k) right.push_back(10 * i + k);
    offsets.push_back(right.size());
  }
  each([&](carrier& map) {
    shard::collect<std::uint64_t> items(shard::with_offsets);
    map(n, shard::reduce(items), [](std::size_t i, auto& to) {
      for (std::size_t k = 0; k < i % 5; ++k) to.push_back(10 * i + k);
    });
    EXPECT_EQ(elements(items.items()), right);
    EXPECT_EQ(elements(items.offsets()), offsets);
  });
}

TEST_P(EveryWay, GivesGrids) {
  constexpr std::size_t rows = 60, columns = 41;
  std::vector<float> cells;
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < columns; ++j) cells.push_back(static_cast<float>(100 * i + j));
  }
  each([&](carrier& map) {
    shard::buffer<float, 2> by_cell(rows, columns), by_row(rows, columns), by_tile(rows, columns);
    map(by_cell, [](std::size_t i, std::size_t j) { return static_cast<float>(100 * i + j); });
    EXPECT_EQ(elements(by_cell), cells);
    map(by_row, [](std::size_t i, std::span<float> row) {
      std::iota(row.begin(), row.end(), static_cast<float>(100 * i));
    });
    EXPECT_EQ(elements(by_row), cells);
    map(shard::tiles{.shape = by_tile.shape(), .step = {7, 9}}, shard::out(by_tile),
        [](shard::tile part, shard::slice<float, 2> to) {
          for (const std::size_t i : part.rows) {
            for (const std::size_t j : part.cols) to(i, j) = static_cast<float>(100 * i + j);
          }
        });
    EXPECT_EQ(elements(by_tile), cells);
  });
}

TEST_P(EveryWay, DrawsTheNumbersOfEachIndex) {
  std::vector<double> sums;
  for (std::size_t i = 0; i < n; ++i) {
    shard::random_stream random(42, i);
    const double z = random.normal();
    sums.push_back(z + random.exponential());
  }
  each([&](carrier& map) {
    shard::buffer<double> to(n);
    map(to, [](std::size_t i) {
      shard::random_stream random(42, i);
      const double z = random.normal();
      return z + random.exponential();
    });
    EXPECT_EQ(elements(to), sums);
  });
}

TEST_P(EveryWay, GivesWhatChunksWrite) {
  std::vector<std::int64_t> expected(n);
  for (std::size_t i = 0; i < n; ++i) expected[i] = static_cast<std::int64_t>(i) - 7;
  const auto kernel = [](shard::range chunk, shard::slice<std::int64_t> to) {
    for (const std::size_t i : chunk) to[i] = static_cast<std::int64_t>(i) - 7;
  };
  std::vector<double> cost(n, 1.0);
  cost[n / 2] = 1000;
  const std::vector<shard::range> parts{{0, 1}, {1, 100}, {100, n - 3}, {n - 3, n}};
  each([&](carrier& map) {
    const auto gives = [&](const auto& space) {
      shard::buffer<std::int64_t> to(n);
      map(space, shard::out(to), kernel);
      EXPECT_EQ(elements(to), expected);
    };
    gives(n);
    gives(shard::range{0, n});
    gives(shard::chunks{{0, n}, 17});
    gives(shard::chunk_list{{0, n}, parts});
    gives(shard::weighted{{0, n}, cost});
    gives(shard::by_memory{.all = {0, n}, .index_bytes = 1000, .budget_bytes = 1'000'000});
  });
}

TEST_P(EveryWay, GivesAResultForEachGroupEvenIfItIsEmpty) {
  const std::vector<shard::range> parts{{0, 0},       {0, 100},   {100, 100}, {100, 100},
                                        {100, n - 3}, {n - 3, n}, {n, n}};
  std::vector<std::size_t> sizes;
  for (const shard::range part : parts) sizes.push_back(part.size());
  std::vector<std::size_t> numbered = sizes;
  for (std::size_t k = 0; k < numbered.size(); ++k) numbered[k] += 10'000 * k;
  each([&](carrier& map) {
    shard::buffer<std::size_t> results(parts.size());
    shard::buffer<std::size_t> to(n);
    shard::collect<std::size_t> in_order;
    shard::counter calls;
    map(shard::chunk_list{{0, n}, parts}, shard::out_per_chunk(results), shard::out(to),
        shard::chunk_number(), shard::reduce(in_order), shard::reduce(calls),
        [](shard::range group, shard::slice<std::size_t> own, shard::slice<std::size_t> by_index,
           std::size_t number, auto& sizes_of, auto& hits) {
          own[number] = 10'000 * number + group.size();
          for (const std::size_t i : group) by_index[i] = number;
          sizes_of.push_back(group.size());
          ++hits;
        });
    EXPECT_EQ(elements(results), numbered);
    EXPECT_EQ(elements(in_order.items()), sizes);
    EXPECT_EQ(calls.value(), static_cast<std::int64_t>(parts.size()));
    for (std::size_t k = 0; k < parts.size(); ++k) {
      for (const std::size_t i : parts[k]) ASSERT_EQ(to[i], k);
    }
  });
}

// Groups are kept whole. One without members fails, and one with.
TEST_P(EveryWay, NamesTheGroupsThatThrow) {
  const std::vector<shard::range> parts{{0, 0}, {0, 100}, {100, 100}, {100, n}};
  each([&](carrier& map) {
    shard::buffer<int> results(parts.size());
    shard::counter calls;
    const shard::report how = map.report_of(
        shard::chunk_list{{0, n}, parts}, shard::out_per_chunk(results), shard::reduce(calls),
        shard::chunk_number(),
        [](shard::range group, shard::slice<int> own, auto& hits, std::size_t number) {
          if (number == 3 && group.size() != n - 100) std::terminate();  // a part of it
          ++hits;
          own[number] = 1;
          if (number >= 2) throw std::runtime_error("no " + std::to_string(number));
        });
    EXPECT_EQ(calls.value(), 2);
    EXPECT_EQ(results[0] + results[1], 2);
    EXPECT_THAT(how.failed(), testing::ElementsAre(shard::range{100, n}));
    EXPECT_THAT(how.missing_chunks(), testing::ElementsAre(shard::range{2, 4}));
  });
}

// A worker marks its number as taken while it works.
TEST_P(EveryWay, GivesWorkersNumbersOfWhichNoTwoAreTheSame) {
  each([&](carrier& map) {
    shard::buffer<int> taken(map.workers()), wrong(3);
    map(shard::chunks{{0, 300}, 1}, shard::worker_number(),
        shard::worker_state([](unsigned number) { return number; }, shard::worker_number()),
        shard::shared(taken), shard::shared(wrong),
        [](std::size_t, unsigned number, unsigned& of_state, shard::shared_view<int> now,
           shard::shared_view<int> bad) {
          if (number >= now.size()) {
            bad.fetch_add(0, 1);
            return;
          }
          if (number != of_state) bad.fetch_add(1, 1);
          if (now.fetch_add(number, 1) != 0) bad.fetch_add(2, 1);
          std::this_thread::yield();
          now.fetch_sub(number, 1);
        });
    EXPECT_EQ(elements(wrong), (std::vector<int>{0, 0, 0}));
  });
}

TEST_P(EveryWay, RunsNoMoreChunksThanTheirMemoryAllows) {
  double expected = 0;
  for (std::size_t i = 0; i < 200; ++i) expected += 1.0 / static_cast<double>(i + 1);
  each([&](carrier& map) {
    shard::buffer<int> work(2);  // how many are at it, and how often that was too many
    shard::ordered_sum<double> sum;
    map(shard::by_memory{.all = {0, 200}, .index_bytes = 100, .budget_bytes = 399},
        shard::shared(work), shard::reduce(sum),
        [](std::size_t i, shard::shared_view<int> at, shard::ordered_sum<double>::accumulator& to) {
          if (at.fetch_add(0, 1) >= 3) at.fetch_add(1, 1);
          std::this_thread::yield();
          at.fetch_sub(0, 1);
          to += 1.0 / static_cast<double>(i + 1);
        });
    EXPECT_EQ(work[1], 0);
    EXPECT_EQ(sum.value(), expected);
  });
}

TEST_P(EveryWay, MapsStrides) {
  constexpr std::size_t stride = 37;
  std::vector<std::size_t> order, chunk(n), counts(n, 1);
  for (std::size_t k = 0; k < stride; ++k) {
    for (std::size_t i = k; i < n; i += stride) {
      order.push_back(i);
      chunk[i] = k;
    }
  }
  each([&](carrier& map) {
    shard::buffer<std::size_t> to(n), changed(n);
    shard::collect<std::size_t> in_order;
    shard::sum<std::uint64_t> sum;
    map(shard::strided{{0, n}, stride}, shard::out(to), shard::inout(changed),
        shard::chunk_number(), shard::reduce(in_order), shard::reduce(sum),
        [](std::size_t i, shard::slice<std::size_t> own, shard::slice<std::size_t> count,
           std::size_t number, auto& all, auto& total) {
          own.span()[0] = number;
          ++count[i];
          all.push_back(i);
          total += i;
        });
    EXPECT_EQ(elements(to), chunk);
    EXPECT_EQ(elements(changed), counts);
    EXPECT_EQ(elements(in_order.items()), order);
    EXPECT_EQ(sum.value(), n * (n - 1) / 2);
  });
}

TEST_P(EveryWay, NamesTheIndicesOfStridesThatThrow) {
  each([&](carrier& map) {
    shard::buffer<int> counts(n);
    shard::counter hits;
    const shard::report how =
        map.report_of(shard::strided{{0, n}, 37}, shard::inout(counts), shard::reduce(hits),
                      [](std::size_t i, shard::slice<int> own, shard::counter::accumulator& c) {
                        ++own[i];
                        ++c;
                        if (i % 1000 == 123) throw std::runtime_error("no " + std::to_string(i));
                      });
    EXPECT_EQ(hits.value(), static_cast<std::int64_t>(n - 5));
    EXPECT_EQ(std::ranges::count(counts, 1), static_cast<std::ptrdiff_t>(n - 5));
    std::vector<std::size_t> failed;
    for (const shard::range part : how.failed()) failed.push_back(part.first);
    EXPECT_EQ(failed, (std::vector<std::size_t>{123, 1123, 2123, 3123, 4123}));
    EXPECT_EQ(how.completed().size(), 6u);
  });
}

TEST_P(EveryWay, ChangesInPlaceWhatItIsGiven) {
  each([&](carrier& map) {
    shard::buffer<int> counts(n);
    for (int round = 1; round <= 3; ++round) {
      map(n, shard::inout(counts), [](std::size_t i, shard::slice<int> own) { ++own[i]; });
      EXPECT_EQ(std::ranges::count(counts, round), static_cast<std::ptrdiff_t>(n));
    }
  });
}

// The reference of each of these is a loop; sums are in the order of the chunks, so a way must not
// differ from another one.
TEST_P(EveryWay, Reduces) {
  const shard::buffer<double> x = numbers();
  shard::ordered_sum<double> reference;
  shard::map({.workers = 1, .run_on = executor::serial}, n, shard::in(x), shard::reduce(reference),
             [](std::size_t i, shard::view<double> from,
                shard::ordered_sum<double>::accumulator& to) { to += from[i]; });
  each([&](carrier& map) {
    shard::ordered_sum<double> sum;
    shard::sum<std::int64_t> whole;
    shard::counter even;
    shard::minimum<double> least;
    shard::maximum<std::size_t> most;
    shard::histogram bins{shard::axis::regular(10, 0.0, 0.01)};
    map(n, shard::in(x), shard::reduce(sum), shard::reduce(whole), shard::reduce(even),
        shard::reduce(least), shard::reduce(most), shard::reduce(bins),
        [](std::size_t i, shard::view<double> from, shard::ordered_sum<double>::accumulator& s,
           shard::sum<std::int64_t>::accumulator& w, shard::counter::accumulator& e,
           shard::minimum<double>::accumulator& l, shard::maximum<std::size_t>::accumulator& m,
           auto& b) {
          s += from[i];
          w += static_cast<std::int64_t>(i);
          if (i % 2 == 0) ++e;
          l(from[i]);
          m(i);
          b(from[i]);
        });
    EXPECT_EQ(sum.value(), reference.value());
    EXPECT_EQ(whole.value(), static_cast<std::int64_t>(n * (n - 1) / 2));
    EXPECT_EQ(even.value(), static_cast<std::int64_t>(n / 2));
    EXPECT_EQ(least.value(), x[n - 1]);
    EXPECT_EQ(most.value(), n - 1);
    const auto in_first = std::ranges::count_if(x, [](double each) { return each < 0.001; });
    EXPECT_EQ(bins.at(0), in_first);
  });
}

struct padded {
  std::int8_t small;
  double large;
};

// Numbers of very different sizes, of which only the true sum is the same in every order.
double uneven(std::size_t i) {
  return std::ldexp(1.0 / static_cast<double>(i + 1), static_cast<int>(i * 7919 % 600) - 300);
}

TEST_P(EveryWay, SumsExactlyWithAnyGrain) {
  std::vector<double> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = i % 3 == 2 ? -uneven(i - 1) : uneven(i);
  shard::exact::sum_state sum;
  shard::exact::dot_state dot;
  shard::exact::mean_variance_state moments;
  sum.add(x);
  dot.add(x, x);
  moments.add(x);
  each([&](carrier& map) {
    for (const std::size_t grain : {std::size_t{1}, std::size_t{7}, std::size_t{512}, n}) {
      SCOPED_TRACE(grain);
      shard::sum<double> s;
      shard::dot<double> d;
      shard::mean_variance<double> m;
      map(shard::chunks{{0, n}, grain}, shard::reduce(s), shard::reduce(d), shard::reduce(m),
          [](std::size_t i, auto& to, auto& xx, auto& all) {
            const double each = i % 3 == 2 ? -uneven(i - 1) : uneven(i);
            to += each;
            xx(each, each);
            all(each);
          });
      EXPECT_EQ(s.value(), sum.value());
      EXPECT_EQ(d.value(), dot.value());
      EXPECT_EQ(m.variance(), moments.variance());
      EXPECT_EQ(m.error(), moments.error());
    }
  });
}

// What each bin holds is found here by the axis alone, value by value.
TEST_P(EveryWay, FillsHistogramsWithAnyGrain) {
  const shard::buffer<double> x = numbers();
  const auto along = shard::axis::regular(50, 0.0, 0.01);
  const auto decades = shard::axis::logarithmic(8, 1e-3, 1.0);
  std::vector<std::int64_t> counts(52);
  std::vector<shard::exact::mean_variance_state> sums(52), means(10);
  for (std::size_t i = 0; i < n; ++i) {
    const auto bin = static_cast<std::size_t>(along.index(x[i]) + 1);
    ++counts[bin];
    sums[bin].add(uneven(i));
    means[static_cast<std::size_t>(decades.index(x[i]) + 1)].add(x[i]);
  }
  each([&](carrier& map) {
    for (const std::size_t grain : {std::size_t{1}, std::size_t{7}, std::size_t{600}, n}) {
      SCOPED_TRACE(grain);
      shard::histogram one(along), many(along);
      shard::weighted_histogram weights(along);
      shard::profile profile(decades);
      shard::category_counts<std::uint16_t> digits(1000);
      map(shard::chunks{{0, n}, grain}, shard::in(x), shard::reduce(one), shard::reduce(many),
          shard::reduce(weights), shard::reduce(profile), shard::reduce(digits),
          [](shard::range chunk, shard::view<double> from, auto& by_one, auto& at_once, auto& w,
             auto& p, auto& seen) {
            for (const std::size_t i : chunk) {
              seen(static_cast<std::uint16_t>(i * 31 % 1000));
              by_one(from[i]);
              w.add(from[i], shard::weight(uneven(i)));
            }
            at_once.fill(from.span(chunk));
            p.fill(from.span(chunk), shard::sample(from.span(chunk)));
          });
      EXPECT_EQ(one, many);
      EXPECT_EQ(digits.entries().size(), 1000U);
      for (std::uint16_t k = 0; k < 1000; ++k) EXPECT_EQ(digits.entries()[k].category, k);
      for (std::uint16_t k = 0; k < 1000; ++k) EXPECT_EQ(digits.at(k), 5);
      for (int k = -1; k <= 50; ++k) {
        const auto place = static_cast<std::size_t>(k + 1);
        EXPECT_EQ(many.at(k), counts[place]);
        EXPECT_EQ(weights.at(k).count, sums[place].count());
        EXPECT_EQ(weights.at(k).sum, sums[place].sum());
        EXPECT_EQ(weights.at(k).variance, sums[place].sum_of_squares());
      }
      for (int k = -1; k <= 8; ++k)
        EXPECT_EQ(profile.at(k), means[static_cast<std::size_t>(k + 1)]);
    }
  });
}

// What an appended state is worth depends on the order.
struct appended {
  std::uint64_t value = 0;
  std::uint64_t power = 1;
};
struct append_one {
  void operator()(appended& to, std::uint64_t x) const {
    to.value = to.value * base + x;
    to.power *= base;
  }
  static constexpr std::uint64_t base = 1'000'003;
};
struct append_part {
  void operator()(appended& to, const appended& part) const {
    to.value = to.value * part.power + part.value;
    to.power *= part.power;
  }
};

double rank_of(std::size_t i) { return static_cast<double>(i * 7919 % 1000); }

// Of indices that throw, nothing is left; where workers are processes, of those that crash, too.
TEST_P(EveryWay, RanksAndReducesByFunctions) {
  const bool in_processes = GetParam().where == executor::processes;
  const auto fails = [=](std::size_t i) { return i == 999 || (in_processes && i == 2999); };
  std::vector<shard::ranked<double>> all;
  appended expected;
  for (std::size_t i = 0; i < n; ++i) {
    if (fails(i)) continue;
    all.push_back({rank_of(i), i});
    append_one()(expected, i);
  }
  std::ranges::stable_sort(all, std::greater(), &shard::ranked<double>::value);
  each([&](carrier& map) {
    shard::buffer<int> to(n);
    shard::top_k<double> best(50);
    shard::argmin<double> least;
    shard::argmax<double> most;
    shard::custom_reducer order{appended(), append_one(), append_part()};
    const shard::report how =
        map.report_of(to, shard::value(in_processes), shard::reduce(best), shard::reduce(least),
                      shard::reduce(most), shard::reduce(order),
                      [](std::size_t i, bool may_crash, auto& b, auto& l, auto& m, auto& o) {
                        b(rank_of(i), i);
                        l(rank_of(i), i);
                        m(rank_of(i), i);
                        o(i);
                        if (i == 999) throw std::runtime_error("not this one");
                        if (may_crash && i == 2999) std::abort();
                        return 1;
                      });
    EXPECT_EQ(how.missing().size(), in_processes ? 2U : 1U);
    EXPECT_TRUE(std::ranges::equal(best.entries(), std::span(all).first(50)));
    EXPECT_EQ(most.index(), all.front().index);
    EXPECT_EQ(least.value(), 0);
    EXPECT_EQ(least.index(), 0U);
    EXPECT_EQ(order.value().value, expected.value);
  });
}

TEST_P(EveryWay, WritesPaddingAsZeros) {
  each([&](carrier& map) {
    shard::buffer<padded> to(n);
    map(to, [](std::size_t i) {
      padded made;
      std::fill_n(reinterpret_cast<unsigned char*>(&made), sizeof made, std::uint8_t{0xa5});
      made.small = static_cast<std::int8_t>(i % 100);
      made.large = static_cast<double>(i);
      return made;
    });
    for (std::size_t i = 0; i < n; ++i) {
      ASSERT_EQ(to[i].large, static_cast<double>(i));
      const auto* const bytes = reinterpret_cast<const unsigned char*>(&std::as_const(to)[i]);
      ASSERT_EQ(std::count(bytes + 1, bytes + 8, 0), 7);
    }
  });
}

TEST_P(EveryWay, SendsValuesAndMakesStates) {
  each([&](carrier& map) {
    shard::buffer<double> to(n);
    map(to, shard::value(std::vector<double>{1, 2, 3}), shard::value(std::string("four")),
        shard::worker_state([](int of) { return std::vector<double>(10, of); }, 5),
        [](std::size_t i, const std::vector<double>& all, const std::string& text,
           std::vector<double>& scratch) {
          return all[i % 3] + static_cast<double>(text.size()) + scratch[i % 10];
        });
    for (std::size_t i = 0; i < n; ++i) {
      ASSERT_EQ(to[i], static_cast<double>(i % 3 + 1) + 4 + 5);
    }
  });
}

TEST_P(EveryWay, AddsToSharedElements) {
  each([&](carrier& map) {
    shard::buffer<std::int64_t> all(10);
    map(n, shard::shared(all), [](std::size_t i, shard::shared_view<std::int64_t> to) {
      to.fetch_add(i % 10, static_cast<std::int64_t>(i));
    });
    EXPECT_EQ(std::accumulate(all.begin(), all.end(), std::int64_t{0}),
              static_cast<std::int64_t>(n * (n - 1) / 2));
  });
}

TEST_P(EveryWay, NamesTheIndicesThatThrow) {
  each([&](carrier& map) {
    shard::buffer<int> to(n);
    shard::counter count;
    const shard::report how =
        map.report_of(to, shard::reduce(count), [](std::size_t i, shard::counter::accumulator& c) {
          if (i % 1000 == 123) throw std::runtime_error("no " + std::to_string(i));
          ++c;
          return 1;
        });
    EXPECT_EQ(count.value(), static_cast<std::int64_t>(n - 5));
    EXPECT_EQ(std::ranges::count(to, 1), static_cast<std::ptrdiff_t>(n - 5));
    std::vector<std::size_t> failed;
    for (const shard::range part : how.failed()) failed.push_back(part.first);
    EXPECT_EQ(failed, (std::vector<std::size_t>{123, 1123, 2123, 3123, 4123}));
    EXPECT_THAT(how.failures().front().what, HasSubstr("no "));
  });
}

TEST_P(EveryWay, OfProcessesSurvivesCrashes) {
  if (GetParam().where != executor::processes) return;  // the program ends
  each([&](carrier& map) {
    shard::buffer<int> to(n);
    shard::counter count;
    const shard::report how =
        map.report_of(to, shard::reduce(count), [](std::size_t i, shard::counter::accumulator& c) {
          if (i == 1234) std::abort();
          ++c;
          return 1;
        });
    EXPECT_EQ(count.value(), static_cast<std::int64_t>(n - 1));
    EXPECT_EQ(to[1233] + to[1234] + to[1235], 2);
    EXPECT_THAT(how.failures().front().what, HasSubstr("ABRT"));
  });
}

TEST_P(EveryWay, MapsNothing) {
  each([&](carrier& map) {
    shard::buffer<int> to(0);
    shard::counter count;
    map(to, shard::reduce(count), [](std::size_t, shard::counter::accumulator& c) {
      ++c;
      return 1;
    });
    EXPECT_EQ(count.value(), 0);
  });
}

}  // namespace
