// The group `reductions`: histograms beside loops that fill one in each thread. Ours are maps in a
// pool, theirs are oneTBB's parallel_for with an array for each thread, or Boost.Histogram.

#include <oneapi/tbb/enumerable_thread_specific.h>
#include <oneapi/tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <boost/histogram/axis/regular.hpp>
#include <boost/histogram/make_histogram.hpp>
#include <boost/histogram/storage_adaptor.hpp>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <shard/histogram.hpp>
#include <shard/pool.hpp>
#include <shard/weighted_histogram.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "budget.hpp"
#include "sides.hpp"

namespace bench {
namespace {

constexpr std::size_t from_memory = std::size_t{1} << 26;
constexpr std::size_t from_cache = std::size_t{1} << 16;  // 512 KiB

using values = std::shared_ptr<shard::buffer<double>>;
using counts = std::vector<std::int64_t>;
using sums = std::vector<std::array<double, 2>>;

enum class data { uniform, one_value, weights };

// A million numbers, repeated.
values make(data of, std::size_t count, std::uint64_t seed = 1) {
  auto made = std::make_shared<shard::buffer<double>>(count);
  std::mt19937_64 random(seed);
  const std::size_t period = std::min(count, std::size_t{1} << 22);
  for (std::size_t i = 0; i < period; ++i) {
    const double x = static_cast<double>(random() >> 11) * 0x1p-53;
    (*made)[i] = of == data::uniform ? x : of == data::one_value ? 0.5 : 0.01 + x;
  }
  for (std::size_t i = period; i < count; ++i) (*made)[i] = (*made)[i - period];
  return made;
}

std::uint64_t digest_of(const counts& of) {
  return digest(std::span<const std::int64_t>(of).subspan(1, of.size() - 2));
}

// ---- the loops, for bins of [0, 1) with one more on either side

// Compiled once for all who call it, so that no loop is left out, or turned into another one.
#define BENCH_LOOP [[gnu::noinline, gnu::aligned(64)]]

BENCH_LOOP void fill_checked(counts& to, std::span<const double> x, std::size_t bins) {
  const double low = 0;
  const auto scale = static_cast<double>(bins);
  for (const double each : x) {
    const double z = (each - low) * scale;
    ++to[z < 0 ? 0 : z < scale ? static_cast<std::size_t>(z) + 1 : bins + 1];
  }
}

BENCH_LOOP void fill_unchecked(counts& to, std::span<const double> x, std::size_t bins) {
  const double low = 0;
  const auto scale = static_cast<double>(bins);
  for (const double each : x) ++to[static_cast<std::size_t>((each - low) * scale) + 1];
}

BENCH_LOOP void fill_inexactly(sums& to, std::span<const double> x, std::span<const double> w,
                               std::size_t bins) {
  const auto scale = static_cast<double>(bins);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double z = x[i] * scale;
    auto& bin = to[z < 0 ? 0 : z < scale ? static_cast<std::size_t>(z) + 1 : bins + 1];
    bin[0] += w[i];
    bin[1] += w[i] * w[i];
  }
}

// ---- sides

using once_of = std::function<counts()>;

workload side(const settings& with, const once_of& once) {
  warm(with, once);
  return {[=] { return digest_of(once()); }, [=] { return time_of(once); }};
}

template <class Kernel>
workload shard_side(const settings& with, std::size_t bins, data of, Kernel kernel) {
  const auto pool = pool_of(with.workers);
  const values x = make(of, scaled(with, from_memory));
  return side(with, [=] {
    shard::histogram all(shard::axis::regular(static_cast<std::int64_t>(bins), 0.0, 1.0));
    pool->map(shard::range{0, x->size()}, shard::in(*x), shard::reduce(all), kernel);
    const auto found = all.counts();
    counts result(bins + 2);
    std::copy(found.begin(), found.end(), result.begin() + 1);
    return result;
  });
}

constexpr auto one_by_one = [](shard::range chunk, shard::view<double> x, auto& bins) {
  for (const std::size_t i : chunk) bins(x[i]);
};
constexpr auto at_once = [](shard::range chunk, shard::view<double> x, auto& bins) {
  bins.fill(x.span(chunk));
};

workload tbb_side(const settings& with, std::size_t bins,
                  void (*fill)(counts&, std::span<const double>, std::size_t)) {
  const auto threads = threads_of(with);
  const values x = make(data::uniform, scaled(with, from_memory));
  return side(with, [=, keep = threads] {
    tbb::enumerable_thread_specific<counts> parts(counts(bins + 2));
    tbb::parallel_for(tbb_range(0, x->size()), [&](const tbb_range& part) {
      fill(parts.local(), x->span().subspan(part.begin(), part.size()), bins);
    });
    counts all(bins + 2);
    for (const counts& each : parts) {
      for (std::size_t k = 0; k < all.size(); ++k) all[k] += each[k];
    }
    return all;
  });
}

// In one thread, many times over.
workload cached_side(const settings& with, const std::function<counts(const values&)>& once) {
  const values x = make(data::uniform, scaled(with, from_cache));
  const int times = with.quick ? 1 : 200;
  return {[=] { return digest_of(once(x)); },
          [=] {
            return thread_time_of([&] {
              for (int k = 0; k < times; ++k) {
                volatile std::int64_t result = once(x)[1];
                static_cast<void>(result);
              }
            });
          }};
}

counts filled_in_cache(const values& x) {
  static const shard::histogram of(shard::axis::regular(256, 0.0, 1.0));
  alignas(64) std::int64_t state[258] = {};
  decltype(of)::accumulator bins(of, reinterpret_cast<std::byte*>(state));
  bins.fill(x->span());
  return {std::begin(state), std::end(state)};
}

counts looped_in_cache(const values& x) {
  counts all(258);
  fill_unchecked(all, x->span(), 256);
  return all;
}

// ---- two dimensions

constexpr int plane_bins = 100;

workload plane_shard(const settings& with) {
  const auto pool = pool_of(with.workers);
  const values x = make(data::uniform, scaled(with, from_memory / 2));
  const values y = make(data::uniform, scaled(with, from_memory / 2), 2);
  return side(with, [=] {
    shard::histogram all(shard::axis::regular(plane_bins, 0.0, 1.0),
                         shard::axis::regular(plane_bins, 0.0, 1.0));
    pool->map(shard::range{0, x->size()}, shard::in(*x), shard::in(*y), shard::reduce(all),
              [](shard::range chunk, shard::view<double> a, shard::view<double> b, auto& bins) {
                bins.fill(a.span(chunk), b.span(chunk));
              });
    counts result;
    for (int j = 0; j < plane_bins; ++j) {
      for (int k = 0; k < plane_bins; ++k) result.push_back(all.at(j, k));
    }
    return result;
  });
}

workload plane_boost(const settings& with) {
  namespace bh = boost::histogram;
  const auto threads = threads_of(with);
  const values x = make(data::uniform, scaled(with, from_memory / 2));
  const values y = make(data::uniform, scaled(with, from_memory / 2), 2);
  return side(with, [=, keep = threads] {
    const auto empty = bh::make_histogram_with(bh::dense_storage<std::int64_t>(),
                                               bh::axis::regular<>(plane_bins, 0.0, 1.0),
                                               bh::axis::regular<>(plane_bins, 0.0, 1.0));
    tbb::enumerable_thread_specific<std::remove_const_t<decltype(empty)>> parts(empty);
    tbb::parallel_for(tbb_range(0, x->size(), 1 << 16), [&](const tbb_range& part) {
      parts.local().fill(std::array{x->span().subspan(part.begin(), part.size()),
                                    y->span().subspan(part.begin(), part.size())});
    });
    auto all = empty;
    for (const auto& each : parts) all += each;
    counts result;
    for (int j = 0; j < plane_bins; ++j) {
      for (int k = 0; k < plane_bins; ++k) result.push_back(all.at(j, k));
    }
    return result;
  });
}

// ---- weights

// Both answer with how many weights each bin has: a rival's own sums can't be compared bit by bit.
workload weights_shard(const settings& with, std::size_t bins) {
  const auto pool = pool_of(with.workers);
  const values x = make(data::uniform, scaled(with, from_memory / 2));
  const values w = make(data::weights, scaled(with, from_memory / 2), 2);
  const auto once = [=] {
    shard::weighted_histogram all(shard::axis::regular(static_cast<std::int64_t>(bins), 0.0, 1.0));
    pool->map(shard::range{0, x->size()}, shard::in(*x), shard::in(*w), shard::reduce(all),
              [](shard::range chunk, shard::view<double> a, shard::view<double> b, auto& to) {
                to.fill(a.span(chunk), shard::weight(b.span(chunk)));
              });
    return all;
  };
  warm(with, once);
  return {[=] {
            const auto all = once();
            counts found(bins + 2);
            for (std::size_t k = 0; k < bins; ++k)
              found[k + 1] = static_cast<std::int64_t>(all.at(k).count);
            return digest_of(found);
          },
          [=] { return time_of(once); }};
}

workload weights_tbb(const settings& with, std::size_t bins) {
  const auto threads = threads_of(with);
  const values x = make(data::uniform, scaled(with, from_memory / 2));
  const values w = make(data::weights, scaled(with, from_memory / 2), 2);
  const auto once = [=, keep = threads] {
    tbb::enumerable_thread_specific<sums> parts(sums(bins + 2));
    tbb::parallel_for(tbb_range(0, x->size()), [&](const tbb_range& part) {
      fill_inexactly(parts.local(), x->span().subspan(part.begin(), part.size()),
                     w->span().subspan(part.begin(), part.size()), bins);
    });
    sums all(bins + 2);
    for (const sums& each : parts) {
      for (std::size_t k = 0; k < all.size(); ++k) {
        all[k][0] += each[k][0];
        all[k][1] += each[k][1];
      }
    }
    return all;
  };
  warm(with, once);
  return {[=] {
            counts found(bins + 2);
            fill_checked(found, x->span(), bins);
            return digest_of(found);
          },
          [=] { return time_of(once); }};
}

}  // namespace

std::vector<budget> histogram_budgets() {
  std::vector<budget> all;
  const auto add = [&all](std::string name, const char* rival, double limit, make_workload ours,
                          make_workload theirs) {
    all.push_back({.group = "reductions",
                   .name = std::move(name),
                   .rival = rival,
                   .limit = limit,
                   .time_cap = std::chrono::seconds(9),
                   .ours = std::move(ours),
                   .theirs = std::move(theirs)});
  };
  struct size {
    const char* name;
    std::size_t bins;
    double unchecked_limit;
  };
  for (const size& of : {size{"256", 256, 2.0}, size{"65536", 65'536, 1.5},
                         size{"4Mi", std::size_t{4} << 20, 1.8}}) {
    const auto each = [bins = of.bins](const settings& with) {
      return shard_side(with, bins, data::uniform, one_by_one);
    };
    const std::string name = std::string("bins_") + of.name;
    add(name, "oneTBB, checked alike", 1.05, each,
        [=](const settings& with) { return tbb_side(with, of.bins, fill_checked); });
    add(name, "oneTBB, unchecked", of.unchecked_limit, each,
        [=](const settings& with) { return tbb_side(with, of.bins, fill_unchecked); });
  }
  const auto fill = [](std::size_t bins, data of) {
    return [=](const settings& with) { return shard_side(with, bins, of, at_once); };
  };
  const auto unchecked = [](std::size_t bins) {
    return [=](const settings& with) { return tbb_side(with, bins, fill_unchecked); };
  };
  add("fill_256", "oneTBB, unchecked", 1.0, fill(256, data::uniform), unchecked(256));
  add("fill_4Mi", "oneTBB, unchecked", 0.8, fill(std::size_t{4} << 20, data::uniform),
      unchecked(std::size_t{4} << 20));
  add(
      "fill_256_cached", "unchecked loop", 0.9,
      [](const settings& with) { return cached_side(with, filled_in_cache); },
      [](const settings& with) { return cached_side(with, looped_in_cache); });
  add("fill_plane", "Boost.Histogram, fill", 0.4, plane_shard, plane_boost);
  for (const std::size_t bins : {std::size_t{256}, std::size_t{65'536}}) {
    add(
        "weights_" + std::to_string(bins), "oneTBB, inexact", 4.0,
        [=](const settings& with) { return weights_shard(with, bins); },
        [=](const settings& with) { return weights_tbb(with, bins); });
  }
  // Both sides are ours: all values in one bin, and uniform ones. They have different results.
  const auto timed = [fill](data of) {
    return [=](const settings& with) {
      workload made = fill(256, of)(with);
      made.check = [check = made.check] { return check() != 0 ? 1 : 0; };
      return made;
    };
  };
  add("fill_one_bin", "uniform values", 1.1, timed(data::one_value), timed(data::uniform));
  return all;
}

}  // namespace bench
