// The group `reductions`: exact sums, products and moments beside loops that round as they please.
// Both sides are called in oneTBB's parallel_reduce, or in one thread: what differs is the loop
// alone.

#include <oneapi/tbb/parallel_reduce.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <shard/exact.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "budget.hpp"
#include "exact/instruction_set.hpp"
#include "sides.hpp"

namespace bench {
namespace {

using shard::exact::instruction_set;
using values = std::shared_ptr<const std::vector<double>>;
using span = std::span<const double>;

constexpr std::size_t from_memory = std::size_t{1} << 26;
constexpr std::size_t from_cache = std::size_t{1} << 16;  // 512 KiB

// ---- what is added

enum class data { uniform, normal, orders_60, orders_300, any_finite, outliers };

double within_orders(std::mt19937_64& random, int highest, unsigned orders) {
  const std::uint64_t field =
      static_cast<std::uint64_t>(1023 + highest) - random() % std::uint64_t{orders};
  return std::bit_cast<double>((random() & 0x800fffffffffffff) | field << 52);
}

double any_finite(std::mt19937_64& random) {
  for (;;) {
    const auto x = std::bit_cast<double>(random());
    if (std::isfinite(x)) return x;
  }
}

// A million numbers, repeated.
values make(data of, std::size_t count, std::uint64_t seed = 1) {
  auto made = std::make_shared<std::vector<double>>(count);
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  const std::size_t period = std::min(count, std::size_t{1} << 20);
  for (std::size_t i = 0; i < period; ++i) {
    (*made)[i] = [&] {
      switch (of) {
        case data::uniform: return static_cast<double>(random() >> 11) * 0x1p-53;
        case data::normal: return normal(random);
        case data::orders_60: return within_orders(random, 0, 60);
        case data::orders_300: return within_orders(random, 150, 300);
        case data::any_finite: return any_finite(random);
        case data::outliers: return i % 1000 == 500 ? 1e300 : normal(random);
      }
      return 0.0;
    }();
  }
  for (std::size_t i = period; i < count; ++i) (*made)[i] = (*made)[i - period];
  return made;
}

// ---- the loops

// Compiled once for all who call it, so that no loop is left out, or turned into another one.
#define BENCH_LOOP [[gnu::noinline, gnu::aligned(64)]]

BENCH_LOOP double plain_sum(span x) {
  double sum = 0;
  for (const double each : x) sum += each;
  return sum;
}

// As fast as memory: 32 sums side by side, in the registers that every x86-64 has.
BENCH_LOOP double lanes_sum(span x) {
  std::array<double, 32> lanes{};
  std::size_t i = 0;
  for (; i + lanes.size() <= x.size(); i += lanes.size()) {
    for (std::size_t k = 0; k < lanes.size(); ++k) lanes[k] += x[i + k];
  }
  double all = 0;
  for (const double each : lanes) all += each;
  for (; i < x.size(); ++i) all += x[i];
  return all;
}

BENCH_LOOP double plain_dot(span x, span y) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

struct two_sums {
  double x = 0;
  double xx = 0;
};

BENCH_LOOP two_sums plain_moments(span x) {
  two_sums sums;
  for (const double each : x) {
    sums.x += each;
    sums.xx += each * each;
  }
  return sums;
}

BENCH_LOOP void exact_each(shard::exact::collector<shard::exact::sum_state>& to, span x) {
  for (const double each : x) to.add(each);
}

// ---- sides

// A result on its way through parallel_reduce: `add` a part to it, `merge` two.
template <class Result, class Add, class Merge>
Result reduce(std::size_t count, Add add, Merge merge) {
  return tbb::parallel_reduce(
      tbb_range(0, count), Result{},
      [&](const tbb_range& part, Result before) {
        add(before, part.begin(), part.size());
        return before;
      },
      [&](Result a, const Result& b) {
        merge(a, b);
        return a;
      });
}

// Both sides answer with the exact result, which each finds in a way of its own: the exact one as
// it is measured, the rival one by one. A rival's own result can't be compared bit by bit.
struct answers {
  std::function<double()> measured;
  std::function<double()> reference;
};

std::uint64_t bits(double x) { return std::bit_cast<std::uint64_t>(x); }

workload exact_side(const settings& with, instruction_set by, const answers& of) {
  shard::exact::use(by);
  const auto threads = threads_of(with);
  of.measured();
  return {[=, keep = threads] { return bits(of.measured()); },
          [=, keep = threads] { return time_of([&] { return of.measured(); }); }};
}

workload inexact_side(const settings& with, const answers& of) {
  const auto threads = threads_of(with);
  of.measured();
  return {[=] { return bits(of.reference()); },
          [=, keep = threads] { return time_of([&] { return of.measured(); }); }};
}

// In one thread, many times over.
workload repeated(workload once, std::size_t times, std::function<double()> work) {
  return {std::move(once.check), [=] {
            return thread_time_of([&] {
              for (std::size_t k = 0; k < times; ++k) {
                volatile double result = work();
                static_cast<void>(result);
                asm volatile("" : : : "memory");
              }
            });
          }};
}

double reference_sum(span x) {
  shard::exact::sum_state all;
  for (const double each : x) all.add(each);
  return all.value();
}

answers exact_sum(const values& x) {
  return {[x] {
            return reduce<shard::exact::sum_state>(
                       x->size(),
                       [&](auto& to, std::size_t first, std::size_t count) {
                         to.add(span(*x).subspan(first, count));
                       },
                       [](auto& to, const auto& part) { to.merge(part); })
                .value();
          },
          {}};
}

answers inexact_sum(const values& x, double (*loop)(span)) {
  return {[=] {
            return reduce<double>(
                x->size(),
                [&](double& to, std::size_t first, std::size_t count) {
                  to += loop(span(*x).subspan(first, count));
                },
                [](double& to, double part) { to += part; });
          },
          [x] { return reference_sum(*x); }};
}

answers exact_each_sum(const values& x) {
  return {[x] {
            return reduce<shard::exact::sum_state>(
                       x->size(),
                       [&](auto& to, std::size_t first, std::size_t count) {
                         shard::exact::collector<shard::exact::sum_state> total(to);
                         exact_each(total, span(*x).subspan(first, count));
                         to = total.state();
                       },
                       [](auto& to, const auto& part) { to.merge(part); })
                .value();
          },
          {}};
}

answers exact_dot(const values& x, const values& y) {
  return {[x, y] {
            return reduce<shard::exact::dot_state>(
                       x->size(),
                       [&](auto& to, std::size_t first, std::size_t count) {
                         to.add(span(*x).subspan(first, count), span(*y).subspan(first, count));
                       },
                       [](auto& to, const auto& part) { to.merge(part); })
                .value();
          },
          {}};
}

answers inexact_dot(const values& x, const values& y) {
  return {[x, y] {
            return reduce<double>(
                x->size(),
                [&](double& to, std::size_t first, std::size_t count) {
                  to += plain_dot(span(*x).subspan(first, count), span(*y).subspan(first, count));
                },
                [](double& to, double part) { to += part; });
          },
          [x, y] {
            shard::exact::dot_state all;
            for (std::size_t i = 0; i < x->size(); ++i) all.add((*x)[i], (*y)[i]);
            return all.value();
          }};
}

answers exact_moments(const values& x) {
  return {[x] {
            return reduce<shard::exact::mean_variance_state>(
                       x->size(),
                       [&](auto& to, std::size_t first, std::size_t count) {
                         to.add(span(*x).subspan(first, count));
                       },
                       [](auto& to, const auto& part) { to.merge(part); })
                .variance();
          },
          {}};
}

answers inexact_moments(const values& x) {
  return {[x] {
            const auto sums = reduce<two_sums>(
                x->size(),
                [&](two_sums& to, std::size_t first, std::size_t count) {
                  const two_sums part = plain_moments(span(*x).subspan(first, count));
                  to.x += part.x;
                  to.xx += part.xx;
                },
                [](two_sums& to, const two_sums& part) {
                  to.x += part.x;
                  to.xx += part.xx;
                });
            return sums.x + sums.xx;
          },
          [x] {
            shard::exact::mean_variance_state all;
            for (const double each : *x) all.add(each);
            return all.variance();
          }};
}

using make_answers = std::function<answers(const settings&)>;

struct row {
  std::string name;
  std::string rival;
  double limit;       // with AVX-512
  double avx2_limit;  // without
  make_answers ours;
  make_answers theirs;
};

answers of(const settings& with, data what, answers (*make_them)(const values&)) {
  return make_them(make(what, scaled(with, from_memory)));
}

std::vector<row> rows() {
  std::vector<row> all;
  const auto sum = [&](const char* name, data what, double limit, double avx2_limit) {
    all.push_back({name, "oneTBB, scalar loop", limit, avx2_limit,
                   [=](const settings& with) { return of(with, what, exact_sum); },
                   [=](const settings& with) {
                     return inexact_sum(make(what, scaled(with, from_memory)), plain_sum);
                   }});
  };
  sum("sum_uniform", data::uniform, 0.75, 0.95);
  sum("sum_normal", data::normal, 0.75, 0.95);
  sum("sum_60_orders", data::orders_60, 0.75, 0.95);
  all.push_back({"sum_normal", "oneTBB, vectorised", 1.35, 2.3,
                 [](const settings& with) { return of(with, data::normal, exact_sum); },
                 [](const settings& with) {
                   return inexact_sum(make(data::normal, scaled(with, from_memory)), lanes_sum);
                 }});
  sum("sum_300_orders", data::orders_300, 1.5, 1.5);
  sum("sum_full_range", data::any_finite, 1.5, 1.5);
  sum("sum_outliers", data::outliers, 1.5, 1.5);
  all.push_back({"sum_each", "oneTBB, scalar loop", 2.2, 2.2,
                 [](const settings& with) { return of(with, data::normal, exact_each_sum); },
                 [](const settings& with) {
                   return inexact_sum(make(data::normal, scaled(with, from_memory)), plain_sum);
                 }});
  const auto dot = [&](const char* name, data what, double limit, double avx2_limit) {
    const auto pairs = [what](const settings& with,
                              answers (*make_them)(const values&, const values&)) {
      const std::size_t count = scaled(with, from_memory);
      return make_them(make(what, count, 1), make(what, count, 2));
    };
    all.push_back({name, "oneTBB, scalar loop", limit, avx2_limit,
                   [=](const settings& with) { return pairs(with, exact_dot); },
                   [=](const settings& with) { return pairs(with, inexact_dot); }});
  };
  dot("dot_normal", data::normal, 1.0, 1.8);
  dot("dot_300_orders", data::orders_300, 8.0, 8.0);
  dot("dot_full_range", data::any_finite, 8.0, 8.0);
  all.push_back({"mean_variance", "oneTBB, scalar loop", 1.2, 2.3,
                 [](const settings& with) { return of(with, data::normal, exact_moments); },
                 [](const settings& with) { return of(with, data::normal, inexact_moments); }});
  return all;
}

// In the second-level cache, in one thread.
struct cached_row {
  std::string name;
  double limit;
  double avx2_limit;
  double (*ours)(span);
};

std::vector<cached_row> cached_rows() {
  return {{"sum_cached", 0.6, 0.9, [](span x) { return shard::exact::sum(x); }},
          {"sum_each_cached", 2.2, 2.2, [](span x) {
             shard::exact::collector<shard::exact::sum_state> total;
             exact_each(total, x);
             return total.state().value();
           }}};
}

workload cached_side(const settings& with, double (*loop)(span), bool exact) {
  const values x = make(data::normal, scaled(with, from_cache));
  workload once;
  once.check = [=] { return bits(exact ? loop(*x) : reference_sum(*x)); };
  return repeated(std::move(once), with.quick ? 1 : 200, [=] { return loop(*x); });
}

}  // namespace

// With the best instructions that this processor has, and where that is AVX-512, also without it.
std::vector<budget> reduction_budgets() {
  std::vector<budget> all;
  const auto best = shard::exact::instruction_sets().back();
  for (const instruction_set by : {instruction_set::avx512, instruction_set::avx2}) {
    if (by > best) continue;
    const bool wide = by == instruction_set::avx512;
    const std::string suffix = wide ? "" : "_avx2";
    for (const row& each : rows()) {
      all.push_back(
          {.group = "reductions",
           .name = each.name + suffix,
           .rival = each.rival,
           .limit = wide ? each.limit : each.avx2_limit,
           .time_cap = std::chrono::seconds(9),
           .ours = [=](const settings& with) { return exact_side(with, by, each.ours(with)); },
           .theirs = [=](const settings& with) { return inexact_side(with, each.theirs(with)); }});
    }
    for (const cached_row& each : cached_rows()) {
      all.push_back(
          {.group = "reductions",
           .name = each.name + suffix,
           .rival = "scalar loop",
           .limit = wide ? each.limit : each.avx2_limit,
           .time_cap = std::chrono::seconds(9),
           .ours =
               [=](const settings& with) {
                 shard::exact::use(by);
                 return cached_side(with, each.ours, true);
               },
           .theirs = [](const settings& with) { return cached_side(with, plain_sum, false); }});
    }
  }
  return all;
}

}  // namespace bench
