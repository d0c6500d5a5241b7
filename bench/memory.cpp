#include "memory.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <shard/shard.hpp>
#include <stdexcept>
#include <string>

#include "family.hpp"

namespace bench {
namespace {

constexpr unsigned workers = 8;
constexpr std::size_t grain = std::size_t{1} << 15;    // the default for 1 GiB of doubles
constexpr std::size_t fewest_processes = workers + 3;  // caller, supervisor, standby

struct footprint {
  std::uint64_t processes = 0;
  std::uint64_t resident_kib = 0;  // proportional: a page that k processes map counts 1/k in each
  std::uint64_t page_table_kib = 0;
};

footprint measure_family(pid_t root) {
  footprint sum;
  for (const pid_t pid : family_of(root)) {
    const std::string folder = fmt::format("/proc/{}/", pid);
    sum.resident_kib += number_after("Pss:", folder + "smaps_rollup");
    sum.page_table_kib += number_after("VmPTE:", folder + "status");
    ++sum.processes;
  }
  return sum;
}

// What the last chunk of the run finds, kept in shared cells because it finds it in a worker.
namespace cell {
constexpr std::size_t written = 0;
constexpr std::size_t processes = 1;
constexpr std::size_t resident_kib = 2;
constexpr std::size_t page_table_kib = 3;
constexpr std::size_t count = 4;
}  // namespace cell

// Fills the output; whoever has the last chunk waits until every other element is written, and
// then looks at all processes of the run. Claims go upwards, so nobody can be waiting behind it.
footprint fill_and_look(shard::buffer<double>& output) {
  const std::size_t n = output.size();
  const pid_t caller = ::getpid();
  shard::buffer<std::uint64_t> found(cell::count);
  shard::map(shard::options{.workers = workers, .grain = grain}, n, shard::out(output),
             shard::shared(found),
             [=](shard::range chunk, shard::slice<double> values,
                 shard::shared_view<std::uint64_t> tally) {
               for (const std::size_t i : chunk) values[i] = static_cast<double>(i);
               tally.fetch_add(cell::written, chunk.size());
               if (chunk.last != n) return;
               while (tally.load(cell::written) < n) ::sched_yield();
               const footprint now = measure_family(caller);
               tally.store(cell::processes, now.processes);
               tally.store(cell::resident_kib, now.resident_kib);
               tally.store(cell::page_table_kib, now.page_table_kib);
             });
  return {found[cell::processes], found[cell::resident_kib], found[cell::page_table_kib]};
}

struct run_of_eight {
  explicit run_of_eight(const settings& with)
      : output(with.quick ? 64 * grain : std::size_t{1} << 27), judged(!with.quick) {}

  std::uint64_t check() {
    look();
    for (std::size_t i = 0; i < output.size(); ++i) {
      if (output[i] == static_cast<double>(i)) continue;
      throw std::runtime_error("cannot measure a run's memory: found a wrong output");
    }
    return 0;
  }

  footprint look() {
    const footprint now = fill_and_look(output);
    // A small run may be over before its last worker has been forked.
    if (now.processes >= fewest_processes || !judged) return now;
    throw std::runtime_error(
        fmt::format("cannot measure a run's memory: found {} processes, expected {}", now.processes,
                    fewest_processes));
  }

  double output_kib() const { return static_cast<double>(output.size() * sizeof(double)) / 1024.0; }

  shard::buffer<double> output;
  bool judged;
};

}  // namespace

workload resident_memory(const settings& with) {
  auto run = std::make_shared<run_of_eight>(with);
  return {[=] { return run->check(); },
          [=] { return static_cast<double>(run->look().resident_kib) / run->output_kib(); }};
}

workload page_tables(const settings& with) {
  // An entry of 8 bytes maps a page of 4 KiB; 11 processes may map every page.
  auto run = std::make_shared<run_of_eight>(with);
  return {[=] { return run->check(); },
          [=] {
            const double full_kib = fewest_processes * run->output_kib() / 512.0;
            return static_cast<double>(run->look().page_table_kib) / full_kib;
          }};
}

}  // namespace bench
