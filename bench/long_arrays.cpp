// The group `dispatch`, where arrays are long.
#include "long_arrays.hpp"

#include <oneapi/tbb/enumerable_thread_specific.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/parallel_reduce.h>
#include <oneapi/tbb/partitioner.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <shard/shard.hpp>
#include <span>
#include <utility>
#include <vector>

#include "sides.hpp"

namespace bench {

workload roots_tbb(const settings& with, std::size_t full) {
  const auto to = std::make_shared<std::vector<double>>(scaled(with, full));
  return best_of_tbb(
      with, to->size(),
      [to](std::size_t first, std::size_t last) {
        double* const out = to->data();
        for (std::size_t i = first; i != last; ++i) out[i] = std::sqrt(static_cast<double>(i));
      },
      [to] { return digest(std::span<const double>(*to)); });
}

namespace {

using std::chrono::seconds;

workload roots_shard(const settings& with, std::size_t full) {
  const auto pool = pool_of(with.workers);
  const auto to = std::make_shared<shard::buffer<double>>(scaled(with, full));
  const auto once = [=] {
    pool->map(*to, [](std::size_t i) { return std::sqrt(static_cast<double>(i)); });
  };
  warm(with, once);
  return {[=] { return once(), digest(std::as_const(*to).span()); }, [=] { return time_of(once); }};
}

constexpr std::size_t gibibyte_of_doubles = std::size_t{1} << 27;

// y += a x, both together 1 GiB.
workload saxpy_shard(const settings& with) {
  const auto pool = pool_of(with.workers);
  const std::size_t n = scaled(with, gibibyte_of_doubles / 2);
  const auto x = std::make_shared<shard::buffer<double>>(n);
  const auto y = std::make_shared<shard::buffer<double>>(n);
  for (std::size_t i = 0; i < n; ++i) (*x)[i] = start_of(i);
  const auto once = [=] {
    pool->map(shard::range{0, n}, shard::in(*x), shard::inout(*y),
              [](shard::range chunk, shard::view<double> from, shard::slice<double> to) {
                const double* const source = from.span(chunk).data();
                double* const __restrict target = to.span().data();
                for (std::size_t k = 0; k < chunk.size(); ++k) target[k] += 3 * source[k];
              });
  };
  warm(with, once);
  std::fill(y->begin(), y->end(), 0.0);
  return {[=] { return once(), digest(std::as_const(*y).span()); }, [=] { return time_of(once); }};
}

workload saxpy_tbb(const settings& with) {
  const std::size_t n = scaled(with, gibibyte_of_doubles / 2);
  const auto x = std::make_shared<std::vector<double>>(n);
  const auto y = std::make_shared<std::vector<double>>(n);
  for (std::size_t i = 0; i < n; ++i) (*x)[i] = start_of(i);
  workload made = best_of_tbb(
      with, n,
      [=](std::size_t first, std::size_t last) {
        const double* const source = x->data();
        double* const __restrict target = y->data();
        for (std::size_t i = first; i != last; ++i) target[i] += 3 * source[i];
      },
      [=] { return digest(std::span<const double>(*y)); });
  std::fill(y->begin(), y->end(), 0.0);
  return made;
}

// Eight sums side by side: as fast as memory.
double sum_of(std::span<const double> x) {
  std::array<double, 8> lanes{};
  std::size_t i = 0;
  for (; i + lanes.size() <= x.size(); i += lanes.size()) {
    for (std::size_t k = 0; k < lanes.size(); ++k) lanes[k] += x[i + k];
  }
  double all = 0;
  for (const double each : lanes) all += each;
  for (; i < x.size(); ++i) all += x[i];
  return all;
}

// Whole numbers: any order of adding gives the same bits.
workload sum_shard(const settings& with) {
  const auto pool = pool_of(with.workers);
  const std::size_t n = scaled(with, std::size_t{1} << 26);
  const auto x = std::make_shared<shard::buffer<double>>(n);
  for (std::size_t i = 0; i < n; ++i) (*x)[i] = start_of(i);
  const auto once = [=] {
    shard::sum<double> sum;
    pool->map(shard::range{0, n}, shard::in(*x), shard::reduce(sum),
              [](shard::range chunk, shard::view<double> from,
                 shard::sum<double>::accumulator& to) { to += sum_of(from.span(chunk)); });
    return static_cast<std::uint64_t>(sum.value());
  };
  warm(with, once);
  return {once, [=] { return time_of(once); }};
}

workload sum_tbb(const settings& with) {
  const auto threads = threads_of(with);
  const std::size_t n = scaled(with, std::size_t{1} << 26);
  const auto x = std::make_shared<std::vector<double>>(n);
  for (std::size_t i = 0; i < n; ++i) (*x)[i] = start_of(i);
  const auto once = [=, keep = threads] {
    const double sum = tbb::parallel_reduce(
        tbb_range(0, n), 0.0,
        [&](const tbb_range& part, double before) {
          return before + sum_of(std::span(*x).subspan(part.begin(), part.size()));
        },
        std::plus<>());
    return static_cast<std::uint64_t>(sum);
  };
  warm(with, once);
  return {once, [=] { return time_of(once); }};
}

// The correlation of each row with a target.
struct screening {
  std::size_t rows;
  std::size_t columns;
};
screening screening_of(const settings& with) {
  return with.quick ? screening{40, 100} : screening{4000, 10'000};
}

double correlation(std::span<const double> x, std::span<const double> y) {
  std::array<double, 4> xy{}, xx{}, sx{}, yy{}, sy{};
  std::size_t i = 0;
  for (; i + 4 <= x.size(); i += 4) {
    for (std::size_t k = 0; k < 4; ++k) {
      xy[k] += x[i + k] * y[i + k];
      xx[k] += x[i + k] * x[i + k];
      sx[k] += x[i + k];
      yy[k] += y[i + k] * y[i + k];
      sy[k] += y[i + k];
    }
  }
  const auto all = [](const std::array<double, 4>& of) { return of[0] + of[1] + of[2] + of[3]; };
  const auto n = static_cast<double>(x.size());
  const double covariance = all(xy) - all(sx) * all(sy) / n;
  return covariance /
         std::sqrt((all(xx) - all(sx) * all(sx) / n) * (all(yy) - all(sy) * all(sy) / n));
}

workload screening_shard(const settings& with) {
  const screening size = screening_of(with);
  const auto pool = pool_of(with.workers);
  const auto x = std::make_shared<shard::buffer<double, 2>>(size.rows, size.columns);
  const auto y = std::make_shared<shard::buffer<double>>(size.columns);
  const auto found = std::make_shared<shard::buffer<double>>(size.rows);
  for (std::size_t i = 0; i < size.rows * size.columns; ++i) x->span()[i] = start_of(i * 7);
  for (std::size_t i = 0; i < size.columns; ++i) (*y)[i] = start_of(i * 13);
  const auto once = [=] {
    pool->map(*found, shard::in(*x), shard::in(*y),
              [](std::size_t i, shard::view<double, 2> rows, shard::view<double> target) {
                return correlation(rows.row(i), target.span({0, target.size()}));
              });
  };
  warm(with, once);
  return {[=] { return once(), digest(std::as_const(*found).span()); },
          [=] { return time_of(once); }};
}

workload screening_tbb(const settings& with) {
  const screening size = screening_of(with);
  const auto x = std::make_shared<std::vector<double>>(size.rows * size.columns);
  const auto y = std::make_shared<std::vector<double>>(size.columns);
  const auto found = std::make_shared<std::vector<double>>(size.rows);
  for (std::size_t i = 0; i < x->size(); ++i) (*x)[i] = start_of(i * 7);
  for (std::size_t i = 0; i < y->size(); ++i) (*y)[i] = start_of(i * 13);
  return best_of_tbb(
      with, size.rows,
      [=](std::size_t first, std::size_t last) {
        for (std::size_t i = first; i != last; ++i) {
          (*found)[i] =
              correlation(std::span(*x).subspan(i * size.columns, size.columns), std::span(*y));
        }
      },
      [=] { return digest(std::span<const double>(*found)); });
}

constexpr std::size_t bins = 65'536;

double value_at(std::size_t i) {
  return static_cast<double>((i * 2'654'435'761U) % 1'000'003) / 1'000'003.0;
}

workload histogram_shard(const settings& with) {
  const auto pool = pool_of(with.workers);
  const std::size_t n = scaled(with, std::size_t{1} << 26);
  const auto x = std::make_shared<shard::buffer<double>>(n);
  for (std::size_t i = 0; i < n; ++i) (*x)[i] = value_at(i);
  const auto once = [=] {
    shard::histogram counts(shard::axis::regular(bins, 0.0, 1.0));
    pool->map(n, shard::in(*x), shard::reduce(counts),
              [](std::size_t i, shard::view<double> from, auto& to) { to(from[i]); });
    std::vector<std::uint64_t> all(bins);
    for (std::size_t k = 0; k < bins; ++k) {
      all[k] = static_cast<std::uint64_t>(counts.at(static_cast<int>(k)));
    }
    return all;
  };
  warm(with, once);
  return {[=] { return digest(std::span<const std::uint64_t>(once())); },
          [=] { return time_of(once); }};
}

workload histogram_tbb(const settings& with) {
  const auto threads = threads_of(with);
  const std::size_t n = scaled(with, std::size_t{1} << 26);
  const auto x = std::make_shared<std::vector<double>>(n);
  for (std::size_t i = 0; i < n; ++i) (*x)[i] = value_at(i);
  const auto once = [=, keep = threads] {
    tbb::enumerable_thread_specific<std::vector<std::uint64_t>> counts(
        std::vector<std::uint64_t>(bins + 2));
    tbb::parallel_for(tbb_range(0, n), [&](const tbb_range& part) {
      std::vector<std::uint64_t>& own = counts.local();
      for (std::size_t i = part.begin(); i != part.end(); ++i) {
        const double at = (*x)[i] * static_cast<double>(bins);
        ++own[at >= 0 && at < static_cast<double>(bins) ? static_cast<std::size_t>(at) + 1
              : at < 0                                  ? 0
                                                        : bins + 1];
      }
    });
    std::vector<std::uint64_t> all(bins);
    for (const std::vector<std::uint64_t>& each : counts) {
      for (std::size_t k = 0; k < bins; ++k) all[k] += each[k + 1];
    }
    return all;
  };
  warm(with, once);
  return {[=] { return digest(std::span<const std::uint64_t>(once())); },
          [=] { return time_of(once); }};
}

}  // namespace

std::vector<budget> long_array_budgets() {
  std::vector<budget> all;
  const auto add = [&all](const char* name, const char* rival, double limit, make_workload ours,
                          make_workload theirs) {
    all.push_back({.group = "dispatch",
                   .name = name,
                   .rival = rival,
                   .limit = limit,
                   .time_cap = seconds(40),
                   .ours = std::move(ours),
                   .theirs = std::move(theirs)});
  };
  const auto sized = [](workload (*make)(const settings&, std::size_t), std::size_t count) {
    return [=](const settings& with) { return make(with, count); };
  };
  add("roots_1GiB", "oneTBB, best partitioner", 1.00, sized(roots_shard, gibibyte_of_doubles),
      sized(roots_tbb, gibibyte_of_doubles));
  add("saxpy_1GiB", "oneTBB, best partitioner", 1.00, saxpy_shard, saxpy_tbb);
  add("sum", "oneTBB parallel_reduce", 1.02, sum_shard, sum_tbb);
  add("screening", "oneTBB, best partitioner", 1.02, screening_shard, screening_tbb);
  add("histogram", "oneTBB, checked alike", 1.25, histogram_shard, histogram_tbb);
  add("roots_8MB", "oneTBB, best partitioner", 1.10, sized(roots_shard, 1'000'000),
      sized(roots_tbb, 1'000'000));
  return all;
}

}  // namespace bench
