#include "measure.hpp"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "side_process.hpp"

namespace bench {
namespace {

// One pair of measurements, as Google Benchmark reports it.
class pair_reporter : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }

  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      const double seconds = run.real_accumulated_time / static_cast<double>(run.iterations);
      if (run.error_occurred) error = run.error_message;
      (run.run_name.function_name == "ours" ? ours : theirs) = seconds;
    }
  }

  double ours = 0;
  double theirs = 0;
  std::string error;
};

void register_side(const char* name, side_process& side) {
  benchmark::RegisterBenchmark(name,
                               [&side](benchmark::State& state) {
                                 for ([[maybe_unused]] auto _ : state) {
                                   try {
                                     state.SetIterationTime(side.measure());
                                   } catch (const std::exception& failure) {
                                     state.SkipWithError(failure.what());
                                     break;
                                   }
                                 }
                               })
      ->UseManualTime()
      ->Iterations(1);
}

struct samples {
  std::vector<double> ours;
  std::vector<double> theirs;
  std::vector<double> ratios;
};

// The interval between two order statistics that holds the median with 95% probability, whatever
// the distribution: the median's rank is binomial(n, 1/2).
std::array<double, 2> median_interval(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  const double rank = std::floor((n - 1.96 * std::sqrt(n) - 1) / 2);
  const auto low = static_cast<std::size_t>(std::max(0.0, rank));
  return {values[low], values[values.size() - 1 - low]};
}

verdict summarize(const samples& measured) {
  const auto [low, high] = median_interval(measured.ratios);
  return {.ratio = median(measured.ratios),
          .low = low,
          .high = high,
          .starts = measured.ratios.size(),
          .our_seconds = median(measured.ours),
          .their_seconds = median(measured.theirs)};
}

bool known_well_enough(const verdict& now, const budget& judged) {
  const double half_width = std::max(now.high - now.ratio, now.ratio - now.low);
  return now.starts >= fewest_starts && half_width <= judged.half_width * now.ratio;
}

// A pair is measured back to back, in random order: what slows the machine slows both, and neither
// always goes first.
void add_pair(samples& measured) {
  pair_reporter pair;
  benchmark::RunSpecifiedBenchmarks(&pair, "all");
  if (!pair.error.empty()) throw std::runtime_error(pair.error);
  measured.ours.push_back(pair.ours);
  measured.theirs.push_back(pair.theirs);
  measured.ratios.push_back(pair.ours / pair.theirs);
}

void require_equal_results(const budget& judged, side_process& ours, side_process& theirs) {
  const std::uint64_t our_digest = ours.check();
  const std::uint64_t their_digest = theirs.check();
  if (our_digest == their_digest) return;
  throw std::runtime_error(
      fmt::format("cannot compare {}/{}: found results {:016x}, expected {:016x}", judged.group,
                  judged.name, our_digest, their_digest));
}

// Starts both sides, and adds the medians of a few pairs: where a process's pages lie in memory
// stays as it is while the process lives, and makes it faster or slower than its next start.
void add_start(samples& starts, const budget& judged, std::size_t budget_number,
               const settings& with) {
  side_process ours(budget_number, role::ours, with);
  side_process theirs(budget_number, role::theirs, with, judged.their_environment);
  require_equal_results(judged, ours, theirs);  // and warms both up

  benchmark::ClearRegisteredBenchmarks();
  register_side("ours", ours);
  register_side("theirs", theirs);
  samples pairs;
  const std::size_t wanted = with.quick ? 1 : pairs_per_start;
  while (pairs.ratios.size() < wanted) add_pair(pairs);
  benchmark::ClearRegisteredBenchmarks();
  starts.ours.push_back(median(pairs.ours));
  starts.theirs.push_back(median(pairs.theirs));
  starts.ratios.push_back(median(pairs.ratios));
}

verdict judge_pair(const budget& judged, std::size_t budget_number, const settings& with) {
  samples measured;
  const auto start = std::chrono::steady_clock::now();
  do {
    add_start(measured, judged, budget_number, with);
  } while (!with.quick && !known_well_enough(summarize(measured), judged) &&
           std::chrono::steady_clock::now() - start < judged.time_cap);
  return summarize(measured);
}

verdict judge_figure(std::size_t budget_number, const settings& with) {
  side_process side(budget_number, role::ours, with);
  side.check();
  const double ratio = side.measure();
  return {.ratio = ratio, .low = ratio, .high = ratio, .starts = 1};
}

}  // namespace

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

void start_measuring(const char* program) {
  std::string name = program;
  std::string interleave = "--benchmark_enable_random_interleaving=true";
  std::array<char*, 3> arguments{name.data(), interleave.data(), nullptr};
  int count = 2;
  benchmark::Initialize(&count, arguments.data());
}

verdict judge(const budget& judged, std::size_t budget_number, const settings& with) {
  return judged.theirs ? judge_pair(judged, budget_number, with)
                       : judge_figure(budget_number, with);
}

}  // namespace bench
