// The group `reductions`, where numbers are selected: quantiles and the largest ones, in a pool.
// The rival only looks for the largest number.
#include <oneapi/tbb/parallel_reduce.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <shard/shard.hpp>
#include <span>
#include <string>
#include <vector>

#include "budget.hpp"
#include "sides.hpp"

namespace bench {
namespace {

constexpr std::size_t full = std::size_t{1} << 26;
constexpr std::size_t best = 1000;

void fill_normal(std::span<double> to) { shard::random_stream(1, 0).fill_normal(to); }

void fill_any_finite(std::span<double> to) {
  shard::random_stream random(1, 0);
  for (double& x : to) {
    do x = std::bit_cast<double>(random());
    while (!std::isfinite(x));
  }
}

using fill = void (*)(std::span<double>);

// ---- shard

workload reduce_in_pool(
    const settings& with, fill data,
    std::function<std::uint64_t(shard::pool&, const shard::buffer<double>&)> reduce) {
  const auto pool = pool_of(with.workers);
  const auto x = std::make_shared<shard::buffer<double>>(scaled(with, full));
  data(x->span());
  const auto once = [=] { return reduce(*pool, *x); };
  warm(with, once);
  return {once, [=] { return time_of(once); }};
}

std::uint64_t median_of(shard::pool& pool, const shard::buffer<double>& x) {
  shard::quantiles<double> counted;
  pool.map(shard::range{0, x.size()}, shard::in(x), shard::reduce(counted),
           [](shard::range chunk, shard::view<double> from,
              shard::quantiles<double>::accumulator& to) { to.add(from.span(chunk)); });
  return std::bit_cast<std::uint64_t>(counted.at(0.5));
}

std::uint64_t digest_of(std::span<const shard::ranked<double>> entries) {
  std::vector<double> all;
  for (const auto& [value, index] : entries) {
    all.push_back(value);
    all.push_back(static_cast<double>(index));
  }
  return digest(std::span<const double>(all));
}

std::uint64_t largest_of(shard::pool& pool, const shard::buffer<double>& x) {
  shard::top_k<double> largest(best);
  pool.map(shard::range{0, x.size()}, shard::in(x), shard::reduce(largest),
           [](shard::range chunk, shard::view<double> from, shard::top_k<double>::accumulator& to) {
             to.add(from.span(chunk), chunk.first);
           });
  return digest_of(largest.entries());
}

// ---- the rival, and the results of shard in another way

[[gnu::noinline, gnu::aligned(64)]] double maximum(std::span<const double> x, double largest) {
  for (const double each : x) largest = each > largest ? each : largest;
  return largest;
}

workload maximum_tbb(const settings& with, fill data,
                     std::function<std::uint64_t(std::span<const double>)> reference) {
  const auto threads = threads_of(with);
  const auto x = std::make_shared<std::vector<double>>(scaled(with, full));
  data(*x);
  const auto once = [=, keep = threads] {
    volatile double found = tbb::parallel_reduce(
        tbb_range(0, x->size()), -std::numeric_limits<double>::infinity(),
        [&](const tbb_range& part, double before) {
          return maximum(std::span(*x).subspan(part.begin(), part.size()), before);
        },
        [](double a, double b) { return std::max(a, b); });
    static_cast<void>(found);
  };
  warm(with, once);
  return {[=] { return reference(*x); }, [=] { return time_of(once); }};
}

// The middle of the bucket of the median: seven bits of the mantissa, and a half.
std::uint64_t estimate_by_selection(std::span<const double> x) {
  std::vector<double> all(x.begin(), x.end());
  const auto median = all.begin() + static_cast<std::ptrdiff_t>((all.size() + 1) / 2 - 1);
  std::nth_element(all.begin(), median, all.end());
  return (std::bit_cast<std::uint64_t>(*median) >> 45 << 45) | (std::uint64_t{1} << 44);
}

std::uint64_t largest_by_sorting(std::span<const double> x) {
  std::vector<shard::ranked<double>> all(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) all[i] = {x[i], i};
  const auto middle = all.begin() + static_cast<std::ptrdiff_t>(std::min(best, all.size()));
  std::partial_sort(all.begin(), middle, all.end(), [](const auto& a, const auto& b) {
    return a.value > b.value || (a.value == b.value && a.index < b.index);
  });
  return digest_of({all.begin(), middle});
}

}  // namespace

std::vector<budget> selection_budgets() {
  std::vector<budget> all;
  const auto add = [&](std::string name, double limit, fill data, auto ours, auto reference) {
    all.push_back(
        {.group = "reductions",
         .name = std::move(name),
         .rival = "oneTBB, scalar maximum",
         .limit = limit,
         .time_cap = std::chrono::seconds(9),
         .ours = [=](const settings& with) { return reduce_in_pool(with, data, ours); },
         .theirs = [=](const settings& with) { return maximum_tbb(with, data, reference); }});
  };
  add("quantiles_normal", 0.7, fill_normal, median_of, estimate_by_selection);
  add("quantiles_full_range", 1.6, fill_any_finite, median_of, estimate_by_selection);
  add("top_1000", 0.7, fill_normal, largest_of, largest_by_sorting);
  return all;
}

}  // namespace bench
