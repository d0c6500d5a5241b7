// Every reducer in one map: the same bits with any number of workers and any grain, in every
// executor, after workers were killed, after kernels threw, and whether numbers are added one by
// one or by spans.

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "process/family.hpp"
#include "process/leftovers.hpp"
#include "shard/shard.hpp"

namespace {

using shard::executor;
using shard::start_by;

constexpr std::size_t n = 600;

struct place {
  const char* name;
  executor where;
  start_by start;
  bool in_a_pool;
};
std::ostream& operator<<(std::ostream& to, const place& one) { return to << one.name; }

// Numbers of any size, some of them equal, and their sum cancels.
double number(std::size_t i) {
  shard::random_stream random(7, i);
  const auto exponent = static_cast<int>(random.below(200)) - 100;
  return i % 10 == 3 ? 1.0 : std::ldexp(random.normal(), exponent);
}

// A number for the indices in their order, whatever pieces they are merged from (Karp and Rabin,
// "Efficient randomized pattern-matching algorithms", 1987).
struct fingerprint {
  std::uint64_t value = 0;
  std::uint64_t power = 1;  // of the base: one for each index
  friend bool operator==(const fingerprint&, const fingerprint&) = default;
};
constexpr auto extend = [](fingerprint& to, std::size_t i) {
  constexpr std::uint64_t base = 0x9E3779B97F4A7C15u;
  to = {to.value * base + i + 1, to.power * base};
};
constexpr auto join = [](fingerprint& to, const fingerprint& part) {
  to = {to.value * part.power + part.value, to.power * part.power};
};

// For the second pass of an exact quantile.
const shard::quantiles<double>& counted() {
  static const auto all = [] {
    shard::quantiles<double> made;
    shard::map({.run_on = executor::serial}, n, shard::reduce(made),
               [](std::size_t i, auto& each) { each(number(i)); });
    return made;
  }();
  return all;
}

struct results {
  shard::sum<double> sum;
  shard::sum<float> float_sum;
  shard::sum<std::int64_t> integer_sum;
  shard::checked_sum<std::uint32_t> checked_sum;
  shard::ordered_sum<double> ordered_sum;
  shard::counter counter;
  shard::minimum<double> minimum;
  shard::maximum<double> maximum;
  shard::dot<double> dot;
  shard::norm2<double> norm;
  shard::mean_variance<double> moments;
  shard::covariance<double> covariance;
  shard::argmin<double> argmin;
  shard::argmax<double> argmax;
  shard::top_k<double> top{20};
  shard::quantiles<double> quantiles;
  shard::exact_quantile<double> median{counted(), 0.5};
  shard::collect<std::size_t> items{shard::with_offsets};
  shard::category_counts<std::int64_t> categories{40};
  shard::histogram<shard::axis::regular_axis> bins{shard::axis::regular(50, -3.0, 3.0)};
  shard::weighted_histogram<shard::axis::regular_axis> weighted{shard::axis::regular(5, -3.0, 3.0)};
  shard::profile<shard::axis::regular_axis> profile{shard::axis::regular(5, -3.0, 3.0)};
  shard::custom_reducer<fingerprint, decltype(extend), decltype(join)> order{fingerprint(), extend,
                                                                             join};

  // Whether all but the ordered one, which depends on the grain, have the same bits.
  friend bool operator==(const results& a, const results& b) {
    return a.sum == b.sum && a.float_sum == b.float_sum && a.integer_sum == b.integer_sum &&
           a.checked_sum == b.checked_sum && a.counter == b.counter && a.minimum == b.minimum &&
           a.maximum == b.maximum && a.dot == b.dot && a.norm == b.norm && a.moments == b.moments &&
           a.covariance == b.covariance && a.argmin == b.argmin && a.argmax == b.argmax &&
           a.top == b.top && a.quantiles == b.quantiles && a.median == b.median &&
           a.categories == b.categories && a.bins == b.bins && a.weighted == b.weighted &&
           a.profile == b.profile && a.order.value() == b.order.value() && a.items == b.items;
  }
};

enum class trouble { none, kills, throws };

using notes = shard::shared_view<std::int32_t>;

// In the middle of what an index adds. Of those that note it first, one in a hundred meets it.
void meet(trouble which, notes begun, std::size_t i) {
  if (which == trouble::none || i % 100 != 50 || begun.fetch_add(i, 1) != 0) return;
  if (which == trouble::kills) ::raise(SIGKILL);
  throw std::runtime_error("met trouble");
}

constexpr auto one_by_one =
    [](std::size_t i, shard::view<double>, shard::view<double>, notes begun, trouble which,
       auto& sum, auto& float_sum, auto& integer_sum, auto& checked_sum, auto& ordered_sum,
       auto& counter, auto& minimum, auto& maximum, auto& dot, auto& norm, auto& moments,
       auto& covariance, auto& argmin, auto& argmax, auto& top, auto& quantiles, auto& median,
       auto& items, auto& categories, auto& bins, auto& weighted, auto& profile, auto& order) {
      const double x = number(i);
      const double y = number(n - 1 - i);
      sum += x;
      float_sum += static_cast<float>(x);
      integer_sum += static_cast<std::int64_t>(i) - 300;
      checked_sum += static_cast<std::uint32_t>(i);
      ordered_sum += x;
      ++counter;
      if (i % 3 != 0) items.push_back(i);
      categories(static_cast<std::int64_t>(i % 37));
      meet(which, begun, i);
      if (i % 3 == 2) items.push_back(i);
      minimum(x);
      maximum(x);
      dot(x, y);
      norm(x);
      moments(x);
      covariance(x, y);
      argmin(x, i);
      argmax(x, i);
      top(x, i);
      quantiles(x);
      median(x);
      bins(x);
      weighted.add(x, shard::weight(y));
      profile(x, shard::sample(y));
      order(i);
    };

// The same by spans, where there is such a way.
constexpr auto by_spans =
    [](shard::range all, shard::view<double> numbers, shard::view<double> others, notes begun,
       trouble which, auto& sum, auto& float_sum, auto& integer_sum, auto& checked_sum,
       auto& ordered_sum, auto& counter, auto& minimum, auto& maximum, auto& dot, auto& norm,
       auto& moments, auto& covariance, auto& argmin, auto& argmax, auto& top, auto& quantiles,
       auto& median, auto& items, auto& categories, auto& bins, auto& weighted, auto& profile,
       auto& order) {
      const std::span<const double> x = numbers.span(all);
      const std::span<const double> y = others.span(all);
      const std::vector<float> floats(x.begin(), x.end());
      std::vector<std::int64_t> integers, classes;
      std::vector<std::uint32_t> indices;
      for (const std::size_t i : all) {
        integers.push_back(static_cast<std::int64_t>(i) - 300);
        classes.push_back(static_cast<std::int64_t>(i % 37));
        indices.push_back(static_cast<std::uint32_t>(i));
      }
      sum.add(x);
      float_sum.add(floats);
      integer_sum.add(integers);
      checked_sum.add(indices);
      ordered_sum.add(x);
      counter += all.size();
      categories.fill(classes);
      for (const std::size_t i : all) {
        items.begin_index(i);
        if (i % 3 != 0) items.push_back(i);
        if (i == 50) meet(which, begun, i);
        if (i % 3 == 2) items.push_back(i);
        minimum(number(i));
        maximum(number(i));
        order(i);
      }
      dot.add(x, y);
      norm.add(x);
      moments.add(x);
      covariance.add(x, y);
      argmin.add(x, all.first);
      argmax.add(x, all.first);
      top.add(x, all.first);
      quantiles.add(x);
      median.add(x);
      bins.fill(x);
      weighted.fill(x, shard::weight(y));
      profile.fill(x, shard::sample(y));
    };

class EveryReducer : public shard_test::leaves_nothing, public testing::WithParamInterface<place> {
 protected:
  static results in_one_chunk() {
    return run_with({.grain = n, .run_on = executor::serial}, {}, one_by_one);
  }

  template <class Kernel>
  static results run_with(shard::options how, const place& at, const Kernel& kernel,
                          trouble which = trouble::none) {
    results all;
    shard::buffer<double> numbers(n);
    shard::buffer<double> others(n);
    for (std::size_t i = 0; i < n; ++i) numbers[i] = others[n - 1 - i] = number(i);
    shard::buffer<std::int32_t> begun(n);
    const auto map = [&](auto&&... what) {
      if (at.in_a_pool) {
        shard::pool pool({.workers = how.workers, .run_on = how.run_on, .start = how.start});
        pool.map(shard::options{.grain = how.grain, .retries_error = 6}, what...);
      } else {
        how.retries_error = 6;  // one chunk may meet all
        shard::map(how, what...);
      }
    };
    map(n, shard::in(numbers), shard::in(others), shard::shared(begun), shard::value(which),
        shard::reduce(all.sum), shard::reduce(all.float_sum), shard::reduce(all.integer_sum),
        shard::reduce(all.checked_sum), shard::reduce(all.ordered_sum), shard::reduce(all.counter),
        shard::reduce(all.minimum), shard::reduce(all.maximum), shard::reduce(all.dot),
        shard::reduce(all.norm), shard::reduce(all.moments), shard::reduce(all.covariance),
        shard::reduce(all.argmin), shard::reduce(all.argmax), shard::reduce(all.top),
        shard::reduce(all.quantiles), shard::reduce(all.median), shard::reduce(all.items),
        shard::reduce(all.categories), shard::reduce(all.bins), shard::reduce(all.weighted),
        shard::reduce(all.profile), shard::reduce(all.order), kernel);
    EXPECT_EQ(begun[50] > 1, which != trouble::none) << "whether anybody met trouble";
    return all;
  }
};

INSTANTIATE_TEST_SUITE_P(
    , EveryReducer,
    testing::Values(place{"Forked", executor::processes, start_by::fork, false},
                    place{"InAPool", executor::processes, start_by::fork, true},
                    place{"Spawned", executor::processes, start_by::spawn, false},
                    place{"InThreads", executor::threads, start_by::fork, false},
                    place{"Inline", executor::serial, start_by::fork, false}),
    [](const auto& of) { return of.param.name; });

TEST_P(EveryReducer, HasTheSameBitsWithAnyWorkersAndGrainsAndAfterTrouble) {
  const place& at = GetParam();
  const results expected = in_one_chunk();
  EXPECT_EQ(expected.median.value(), [] {
    std::vector<double> sorted;
    for (std::size_t i = 0; i < n; ++i) sorted.push_back(number(i));
    std::ranges::sort(sorted);
    return sorted[n / 2 - 1];
  }());
  EXPECT_EQ(expected.items.offsets()[n], expected.items.size());
  for (const std::size_t grain : {std::size_t{1}, std::size_t{7}, std::size_t{0}, n}) {
    const double in_order =
        run_with({.grain = grain, .run_on = executor::serial}, {}, one_by_one).ordered_sum.value();
    for (const unsigned workers : {1u, 2u, 3u, 8u}) {
      if (at.where == executor::serial ? workers > 1 : shard_test::sanitized && workers != 3) {
        continue;
      }
      for (const trouble which : {trouble::none, trouble::kills, trouble::throws}) {
        if (which == trouble::kills && at.where != executor::processes) continue;
        SCOPED_TRACE(std::to_string(workers) + " workers, grain " + std::to_string(grain) +
                     ", trouble " + std::to_string(static_cast<int>(which)));
        const shard::options how{
            .workers = workers, .grain = grain, .run_on = at.where, .start = at.start};
        const results found = run_with(how, at, one_by_one, which);
        EXPECT_EQ(found, expected);
        EXPECT_EQ(found.ordered_sum.value(), in_order);
        if (workers % 2 == 0) continue;
        EXPECT_EQ(run_with(how, at, by_spans, which), expected);
      }
    }
  }
}

}  // namespace
