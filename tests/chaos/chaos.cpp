// shard_chaos: maps without end, while another process kills, stops and continues theirs at random
// moments: workers, supervisors, standbys. After each map, its outputs, reductions and the cells
// that it changed in place are compared with what a loop gives, and whether anything is left of it.
// Between them it has pools, whose runs are compared in the same way: see pools.hpp. And jobs, all
// of whose processes are killed at once: see jobs.hpp.
//
//   shard_chaos 60s [--seed N]
//
// Prints a tally, and ends with 1 if anything was wrong.
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "chaos/jobs.hpp"
#include "chaos/pools.hpp"
#include "process/family.hpp"
#include "shard/shard.hpp"

namespace {

using namespace std::chrono_literals;
using shard_test::cast;
using shard_test::family;
using shard_test::tally;
using namespace shard_chaos;

// ---- The killer ----

// Kills a run's supervisor and standby more seldom than its workers: both at once end the run.
void disturb(const family& of, const tally& at, std::mt19937& random, int& kills_of_map) {
  const cast run(of.living());
  // A pool bears a hundred workers that die between two of its runs.
  if (run.supervisor == 0 || run.workers.empty() || kills_of_map > 40) return;
  const auto dice = random() % 100;
  const pid_t worker = run.workers[random() % run.workers.size()];
  if (dice < 15) {
    const auto whom = random() % 8;
    const pid_t held = whom == 0 ? run.supervisor : whom == 1 ? run.standby : worker;
    if (::kill(held, SIGSTOP) != 0) return;
    ++at[stops];
    for (auto turns = random() % 300; turns != 0; --turns) sched_yield();
    ::kill(held, SIGCONT);
    return;
  }
  const pid_t victim = dice < 85 ? worker : dice < 93 ? run.supervisor : run.standby;
  if (::kill(victim, SIGKILL) != 0) return;
  ++at[dice < 85 ? worker_kills : dice < 93 ? supervisor_kills : standby_kills];
  if (at[state] == between_runs) ++at[kills_between];
  if (at[state] == within_runs) ++at[kills_within];
  ++kills_of_map;
}

void kill_until_over(const family& of, const tally& at, unsigned seed) {
  std::mt19937 random(seed);
  int map = 0;
  int kills_of_map = 0;
  while (at[over] == 0 && getppid() != 1) {
    if (at[map_number] != map) {
      map = at[map_number];
      kills_of_map = 0;
    }
    for (auto turns = random() % 400; turns != 0; --turns) sched_yield();
    disturb(of, at, random, kills_of_map);
  }
}

// ---- The maps ----

struct errand {
  std::size_t indices = 0;
  std::size_t grain = 0;
  unsigned workers = 1;
  int bins = 10;
  std::set<std::size_t> poison;
  bool crashes = false;  // at the poison; otherwise it throws
  bool pin = false;
};

errand any_errand(std::mt19937& random) {
  errand made;
  made.indices = 1 + random() % 60'000;
  made.grain = 1 + random() % 400;
  made.workers = 1 + static_cast<unsigned>(random() % 6);
  made.bins = random() % 4 == 0 ? 50'000 : 10;
  for (auto k = random() % 4; k != 0; --k) made.poison.insert(random() % made.indices);
  made.crashes = random() % 2 == 0;
  made.pin = random() % 3 == 0;
  return made;
}

double value(std::size_t i) { return std::sin(static_cast<double>(i) * 0.7) * 1e3; }
// Of very different sizes: a state of their sum gets longer from chunk to chunk.
double wide_value(std::size_t i) { return std::ldexp(value(i), static_cast<int>(i % 1500) - 750); }

struct totals {
  std::size_t maps = 0, broken = 0, deaths = 0, takeovers = 0, isolated = 0, mismatches = 0,
              leftovers = 0;
};

// What is wrong with a map's results; empty: nothing.
std::string fault_in(const errand& what, const shard::report& run, const shard::buffer<double>& out,
                     const shard::buffer<std::int64_t>& cells, double sum, double exact,
                     std::int64_t count, const std::vector<std::int64_t>& bins) {
  std::vector<bool> done(what.indices);
  for (const shard::range part : run.completed()) {
    for (const std::size_t i : part) done[i] = true;
  }
  std::vector<std::int64_t> expected_bins(bins.size());
  std::int64_t expected_count = 0;
  double expected_sum = 0;
  shard::exact::sum_state expected_exact;
  for (std::size_t first = 0; first < what.indices; first += what.grain) {
    double of_chunk = 0;
    bool any = false;
    for (std::size_t i = first; i < std::min(first + what.grain, what.indices); ++i) {
      const auto cell = static_cast<std::int64_t>(i) + (done[i] ? 1 : 0);
      if (cells[i] != cell) return fmt::format("cell {} is {}, expected {}", i, cells[i], cell);
      if (!done[i]) continue;
      if (what.poison.contains(i)) return fmt::format("index {} is done", i);
      if (out[i] != value(i)) return fmt::format("output {} is {}", i, out[i]);
      of_chunk += value(i);
      expected_exact.add(wide_value(i));
      ++expected_bins[i * bins.size() / what.indices];
      ++expected_count;
      any = true;
    }
    if (any) expected_sum += of_chunk;
  }
  if (count != expected_count)
    return fmt::format("count is {}, expected {}", count, expected_count);
  if (std::bit_cast<std::uint64_t>(sum) != std::bit_cast<std::uint64_t>(expected_sum)) {
    return fmt::format("sum is {}, expected {}", sum, expected_sum);
  }
  if (std::bit_cast<std::uint64_t>(exact) != std::bit_cast<std::uint64_t>(expected_exact.value())) {
    return fmt::format("exact sum is {}, expected {}", exact, expected_exact.value());
  }
  if (bins != expected_bins) return "bins differ";
  const bool all = expected_count + static_cast<std::int64_t>(what.poison.size()) ==
                   static_cast<std::int64_t>(what.indices);
  // Only supervisor and standby killed together may end a run early.
  if (!all && run.trouble().find("supervisor") == std::string::npos) return "indices are missing";
  return {};
}

// Each index that is completed has its items, and no other has any.
std::string fault_in_items(const errand& what, const shard::report& run,
                           const shard::collect<std::size_t>& items) {
  std::vector<std::size_t> expected(what.indices);
  for (const shard::range part : run.completed()) {
    for (const std::size_t i : part) expected[i] = i % 5;
  }
  for (std::size_t i = 0; i < what.indices; ++i) {
    const std::span<const std::size_t> found = items.items_of(i);
    const auto right = static_cast<std::size_t>(std::ranges::count(found, i));
    if (found.size() != expected[i] || right != expected[i]) {
      return fmt::format("index {} has collected {} items, expected {}", i, found.size(),
                         expected[i]);
    }
  }
  return {};
}

void map_once(std::mt19937& random, totals& into) {
  const errand what = any_errand(random);
  shard::buffer<double> out(what.indices);
  shard::buffer<std::int64_t> cells(what.indices);
  for (std::size_t i = 0; i < what.indices; ++i) cells[i] = static_cast<std::int64_t>(i);
  shard::ordered_sum<double> sum;
  shard::sum<double> exact;
  shard::counter count;
  shard::histogram bins{shard::axis::integer(0, what.bins)};
  shard::collect<std::size_t> items(shard::with_offsets);
  const auto bin_count = static_cast<std::size_t>(what.bins);
  const shard::report run = shard::try_map(
      {.workers = what.workers,
       .grain = what.grain,
       .retries = 1,
       .retries_kill = 10'000,
       .keep_going = true,
       .pin = what.pin},
      what.indices, shard::out(out), shard::inout(cells), shard::reduce(sum), shard::reduce(exact),
      shard::reduce(count), shard::reduce(bins), shard::reduce(items),
      [&](std::size_t i, shard::slice<double> to, shard::slice<std::int64_t> cell, auto& total,
          auto& truly, auto& hits, auto& bin, auto& collected) {
        ++cell[i];
        ++hits;
        total += value(i);
        truly += wide_value(i);
        bin(static_cast<int>(i * bin_count / what.indices));
        for (std::size_t k = 0; k < i % 5; ++k) collected.push_back(i);
        if (what.poison.contains(i)) {
          if (what.crashes) std::abort();
          throw std::runtime_error("poison");
        }
        to[i] = value(i);
      });
  const auto counts = bins.counts();
  std::string fault = fault_in(what, run, out, cells, sum.value(), exact.value(), count.value(),
                               {counts.begin(), counts.end()});
  if (fault.empty()) fault = fault_in_items(what, run, items);
  ++into.maps;
  into.deaths += run.counts().deaths;
  into.takeovers += run.counts().takeovers;
  if (run.trouble().empty()) {
    into.isolated += what.poison.size();
  } else {
    ++into.broken;
  }
  if (fault.empty()) return;
  ++into.mismatches;
  fmt::print(stderr, "shard_chaos: map {}: {} ({} indices, grain {}, {} workers)\n", into.maps,
             fault, what.indices, what.grain, what.workers);
}

std::size_t entries(const char* folder, const std::string& with) {
  std::size_t found = 0;
  std::error_code ignored;
  for (const auto& each : std::filesystem::directory_iterator(folder, ignored)) {
    if (each.path().filename().string().find(with) != std::string::npos) ++found;
  }
  return found;
}

std::chrono::seconds duration_of(const std::string& text) {
  std::size_t end = 0;
  const unsigned long count = std::stoul(text, &end);
  const std::string unit = text.substr(end);
  if (unit.empty() || unit == "s") return std::chrono::seconds(count);
  if (unit == "m") return std::chrono::minutes(count);
  if (unit == "h") return std::chrono::hours(count);
  throw std::invalid_argument(text);
}

}  // namespace

int main(int argc, char** argv) try {
  shard::init(argc, argv);
  CLI::App app{"Maps while their processes are killed and stopped at random moments."};
  std::string length = "60s";
  unsigned seed = std::random_device()();
  app.add_option("duration", length, "60s, 10m, 1h");
  app.add_option("--seed", seed);
  CLI11_PARSE(app, argc, argv);
  const auto end = std::chrono::steady_clock::now() + duration_of(length);

  const family relatives;
  const tally at;
  shard_test::bystander killer([&] {
    kill_until_over(relatives, at, seed + 1);
    return true;
  });
  std::mt19937 random(seed);
  totals all;
  pool_totals pools;
  job_totals jobs;
  const std::size_t descriptors = entries("/proc/self/fd", "");
  const std::size_t names = entries("/dev/shm", "shard");
  while (std::chrono::steady_clock::now() < end && all.mismatches == 0 && pools.mismatches == 0 &&
         jobs.mismatches == 0) {
    ++at[map_number];
    const bool pooled = random() % 20 == 0;  // one takes as long as many maps
    const bool kept = !pooled && random() % 20 == 0;
    if (pooled) {
      keep_a_pool(random, relatives, at, pools);
    } else if (kept) {
      have_a_job(random, relatives, jobs);
    } else {
      map_once(random, all);
    }
    const auto expect_none = [&](const char* what, const auto& none) {
      if (shard_test::eventually(none)) return;
      fmt::print(stderr, "chaos: {} {} has left {}\n",
                 pooled ? "pool"
                 : kept ? "job"
                        : "map",
                 pooled ? pools.pools
                 : kept ? jobs.jobs
                        : all.maps,
                 what);
      ++all.leftovers;
    };
    expect_none("a process", [&] { return relatives.living().empty(); });
    expect_none("a descriptor", [&] { return entries("/proc/self/fd", "") == descriptors; });
    // Other programs' names come and go.
    expect_none("a name", [&] { return entries("/dev/shm", "shard") <= names; });
  }
  at[over] = 1;
  const bool killed_well = killer.succeeded();
  fmt::print(
      "chaos for {}, seed {}: {} maps; killed {} workers, {} supervisors, {} standbys; stopped {} "
      "processes\n  {} deaths and {} takeovers reported; {} poisonous indices isolated; {} runs "
      "ended by "
      "the death of supervisor and standby\n  {} pools with {} maps and {} queued runs, {} of them "
      "dropped; {} buffers closed; {} killed between runs, {} within; {} runs incomplete as they "
      "should be, {} ended by what a listener threw, {} by the death of supervisor and standby\n  "
      "{} jobs in {} starts, {} of which were killed\n  "
      "mismatches {}, leftovers {}, growth {}\n",
      length, seed, all.maps, at[worker_kills].load(), at[supervisor_kills].load(),
      at[standby_kills].load(), at[stops].load(), all.deaths, all.takeovers, all.isolated,
      all.broken, pools.pools, pools.maps, pools.queued, pools.dropped, pools.closed,
      at[kills_between].load(), at[kills_within].load(), pools.incomplete, pools.thrown,
      pools.broken, jobs.jobs, jobs.starts, jobs.kills,
      all.mismatches + pools.mismatches + jobs.mismatches, all.leftovers, pools.growth);
  const std::size_t wrong =
      all.mismatches + pools.mismatches + jobs.mismatches + all.leftovers + pools.growth;
  return killed_well && wrong == 0 ? 0 : 1;
} catch (const std::exception& problem) {
  fmt::print(stderr, "shard_chaos: {}\n", problem.what());
  return 2;
}
