// The group `random`: random numbers, one by one and in spans, beside those of the standard
// library.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <shard/random.hpp>
#include <span>
#include <utility>
#include <vector>

#include "budget.hpp"

namespace bench {
namespace {

using std::chrono::seconds;

constexpr auto time_cap = seconds(9);
constexpr std::size_t at_once = 4096;  // numbers that stay in the first-level cache

std::size_t rounds(const settings& with) { return with.quick ? 2 : 1000; }

// Draws into an array that stays in the cache, many times over. The digest of random numbers says
// nothing about a rival, which has others: the check is of what both must be, an average.
template <class State, class Fill>
workload filling(const settings& with, Fill fill, double low, double high) {
  struct data {
    State state;
    std::vector<double> numbers = std::vector<double>(at_once);
  };
  auto kept = std::make_shared<data>();
  const std::size_t often = rounds(with);
  return {[=] {
            double sum = 0;
            for (int k = 0; k < 16; ++k) {
              fill(kept->state, std::span(kept->numbers));
              for (const double x : kept->numbers) sum += x;
            }
            const double mean = sum / (16.0 * at_once);
            return static_cast<std::uint64_t>(low < mean && mean < high);
          },
          [=] {
            return thread_time_of([=] {
              for (std::size_t k = 0; k < often; ++k) {
                fill(kept->state, std::span(kept->numbers));
                asm volatile("" : : "r"(kept->numbers.data()) : "memory");
              }
            });
          }};
}

struct stream {
  shard::random_stream random{1, 2};
};

struct standard {
  std::mt19937_64 engine;
  std::normal_distribution<double> normal;
};

workload normal_numbers(const settings& with) {
  return filling<stream>(
      with,
      [](stream& from, std::span<double> to) {
        for (double& x : to) x = from.random.normal();
      },
      -0.05, 0.05);
}

workload normal_span(const settings& with) {
  return filling<stream>(
      with, [](stream& from, std::span<double> to) { from.random.fill_normal(to); }, -0.05, 0.05);
}

workload standard_normal_numbers(const settings& with) {
  return filling<standard>(
      with,
      [](standard& from, std::span<double> to) {
        for (double& x : to) x = from.normal(from.engine);
      },
      -0.05, 0.05);
}

workload uniform_numbers(const settings& with) {
  return filling<stream>(
      with,
      [](stream& from, std::span<double> to) {
        for (double& x : to) x = from.random.uniform();
      },
      0.45, 0.55);
}

workload uniform_span(const settings& with) {
  return filling<stream>(
      with, [](stream& from, std::span<double> to) { from.random.fill_uniform(to); }, 0.45, 0.55);
}

workload standard_uniform_numbers(const settings& with) {
  return filling<standard>(
      with,
      [](standard& from, std::span<double> to) {
        for (double& x : to) x = std::generate_canonical<double, 53>(from.engine);
      },
      0.45, 0.55);
}

// What a stream for each index costs: to make one and draw a normal number, in units of 15 ns.
workload first_normal(const settings& with) {
  const std::size_t often = rounds(with);
  const auto draw = [](std::uint64_t from) {
    double sum = 0;
    for (std::uint64_t i = 0; i < at_once; ++i) sum += shard::random_stream(from, i).normal();
    return sum;
  };
  return {[=] { return static_cast<std::uint64_t>(draw(1) != 0); },
          [=] {
            double sum = 0;
            const double spent = thread_time_of([&] {
              for (std::size_t k = 0; k < often; ++k) sum += draw(k);
            });
            asm volatile("" : : "x"(sum));
            return spent / static_cast<double>(often * at_once) / 15e-9;
          }};
}

}  // namespace

std::vector<budget> random_budgets() {
  std::vector<budget> all;
  const auto add = [&](const char* name, const char* rival, double limit, make_workload ours,
                       make_workload theirs) {
    all.push_back({"random", name, rival, limit, time_cap, std::move(ours), std::move(theirs)});
  };
  constexpr auto standard_normal = "std::normal_distribution";
  constexpr auto standard_uniform = "std::generate_canonical";
  add("normal", standard_normal, 0.5, normal_numbers, standard_normal_numbers);
  add("fill_normal", standard_normal, 0.2, normal_span, standard_normal_numbers);
  add("uniform", standard_uniform, 0.6, uniform_numbers, standard_uniform_numbers);
  add("fill_uniform", standard_uniform, 0.2, uniform_span, standard_uniform_numbers);
  add("first_normal", "15 ns", 1, first_normal, {});
  return all;
}

}  // namespace bench
