// The group `dispatch`: what it costs to hand work to a pool, over threads that wait for it.

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <shard/shard.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "budget.hpp"
#include "chunks.hpp"
#include "family.hpp"
#include "long_arrays.hpp"
#include "sides.hpp"

namespace bench {
namespace {

using namespace std::chrono_literals;
using std::chrono::seconds;

// --- Steps: many short runs, each of which needs the one before ----------------------------------

constexpr std::size_t cells = 100'000;

std::size_t steps(const settings& with) { return with.quick ? 20 : 2000; }

// A relaxation step: each cell becomes a mean of itself and its neighbours.
template <class X>
double relaxed(const X& x, std::size_t count, std::size_t i) {
  return i == 0 || i == count - 1 ? x[i] : 0.25 * x[i - 1] + 0.5 * x[i] + 0.25 * x[i + 1];
}

enum class dispatch { one_by_one, queued };

template <dispatch How>
workload jacobi_shard(const settings& with, unsigned workers) {
  struct grid {
    shard::buffer<double> now{cells};
    shard::buffer<double> next{cells};
  };
  const auto pool = pool_of(workers);
  const auto data = std::make_shared<grid>();
  const auto once = [=] {
    for (std::size_t i = 0; i < cells; ++i) data->now[i] = start_of(i);
    return time_of([&] {
      for (std::size_t k = 0; k < steps(with); ++k) {
        const auto step = [](std::size_t i, shard::view<double> x) {
          return relaxed(x, x.size(), i);
        };
        if constexpr (How == dispatch::queued) {
          pool->queue(data->next, shard::in(data->now), step);
        } else {
          pool->map(data->next, shard::in(data->now), step);
        }
        std::swap(data->now, data->next);
      }
      pool->wait();
    });
  };
  return {[=] { return once(), digest(std::as_const(data->now).span()); }, once};
}

// On as many OpenMP threads; 1: a plain loop.
workload jacobi_openmp(const settings& with, unsigned workers) {
  struct grid {
    std::vector<double> now = std::vector<double>(cells);
    std::vector<double> next = std::vector<double>(cells);
  };
  const auto data = std::make_shared<grid>();
  const auto once = [=] {
    for (std::size_t i = 0; i < cells; ++i) data->now[i] = start_of(i);
    return time_of([&] {
      for (std::size_t k = 0; k < steps(with); ++k) {
        const double* const x = data->now.data();
        double* const y = data->next.data();
        [[maybe_unused]] const int threads = static_cast<int>(workers);  // without OpenMP
        if (workers == 1) {
          for (std::size_t i = 0; i < cells; ++i) y[i] = relaxed(x, cells, i);
        } else {
#pragma omp parallel for num_threads(threads)
          for (std::size_t i = 0; i < cells; ++i) y[i] = relaxed(x, cells, i);
        }
        std::swap(data->now, data->next);
      }
    });
  };
  return {[=] { return once(), digest(std::span<const double>(data->now)); }, once};
}

// --- Nothing: eight indices, in which nothing is done --------------------------------------------

constexpr std::size_t few = 8;

template <dispatch How>
workload nothing_shard(const settings& with, std::chrono::microseconds pause = {}) {
  const auto pool = pool_of(with.workers);
  const auto seen = std::make_shared<shard::buffer<std::uint8_t>>(few);
  const auto one = [=] {
    const auto nothing = [](std::size_t) { return std::uint8_t{1}; };
    if constexpr (How == dispatch::queued) {
      pool->queue(*seen, nothing);
    } else {
      pool->map(*seen, nothing);
    }
  };
  return {[=] { return one(), pool->wait(), digest(std::as_const(*seen).span()); },
          [=] {
            double taken = 0;
            const std::size_t runs = pause.count() == 0 ? steps(with) : steps(with) / 10;
            if (pause.count() == 0) {
              return time_of([&] {
                for (std::size_t k = 0; k < runs; ++k) one();
                pool->wait();
              });
            }
            for (std::size_t k = 0; k < runs; ++k) {
              std::this_thread::sleep_for(pause);
              taken += time_of(one);
            }
            return taken;
          }};
}

workload nothing_openmp(const settings& with, std::chrono::microseconds pause = {}) {
  const auto seen = std::make_shared<std::vector<std::uint8_t>>(few);
  const auto one = [=] {
    std::uint8_t* const to = seen->data();
    [[maybe_unused]] const int threads = static_cast<int>(with.workers);
#pragma omp parallel for num_threads(threads)
    for (std::size_t i = 0; i < few; ++i) to[i] = 1;
  };
  return {[=] { return one(), digest(std::span<const std::uint8_t>(*seen)); },
          [=] {
            double taken = 0;
            const std::size_t runs = pause.count() == 0 ? steps(with) : steps(with) / 10;
            for (std::size_t k = 0; k < runs; ++k) {
              if (pause.count() != 0) std::this_thread::sleep_for(pause);
              taken += time_of(one);
            }
            return taken;
          }};
}

// All have parked by then.
constexpr std::chrono::microseconds long_pause = 2ms;

// --- Chunks of one index -------------------------------------------------------------------------

std::size_t tiny_chunks(const settings& with) { return with.quick ? 1 << 12 : 1'000'000; }

auto maps_of(const std::shared_ptr<shard::pool>& pool) {
  return [=](const auto&... what) { pool->map({.grain = 1}, what...); };
}

workload chunks_shard(const settings& with) {
  return marks_by(tiny_chunks(with), maps_of(pool_of(with.workers)));
}
workload chunks_tbb(const settings& with) { return marks_by_tbb(with, tiny_chunks(with)); }
workload chunks_openmp(const settings& with) { return marks_by_openmp(with, tiny_chunks(with)); }

workload counted_chunks_shard(const settings& with) {
  return counts_by(tiny_chunks(with), maps_of(pool_of(with.workers)));
}
workload counted_chunks_tbb(const settings& with) { return counts_by_tbb(with, tiny_chunks(with)); }

// --- Growth --------------------------------------------------------------------------------------

struct taken {
  std::size_t descriptors = 0;
  std::size_t mappings = 0;
  std::size_t mebibytes = 0;  // resident, each shared page in parts
};

taken taken_by_family() {
  taken all;
  for (const pid_t pid : family_of(::getpid())) {
    const std::string folder = fmt::format("/proc/{}/", pid);
    for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator(folder + "fd")) {
      ++all.descriptors;
    }
    std::ifstream maps(folder + "maps");
    for (std::string line; std::getline(maps, line);) ++all.mappings;
    all.mebibytes += number_after("Pss:", folder + "smaps_rollup") / 1024;
  }
  return all;
}

// What the family has more of after many maps over buffers that come and go.
workload growth(const settings& with) {
  const auto pool = pool_of(with.workers);
  const auto maps = [=](std::size_t count) {
    for (std::size_t k = 0; k < count; ++k) {
      shard::buffer<double> x(64);
      pool->map(x, shard::value(k),
                [](std::size_t i, std::size_t by) { return static_cast<double>(i + by); });
      if (x[63] != static_cast<double>(63 + k)) throw std::runtime_error("a map is wrong");
    }
    std::this_thread::sleep_for(long_pause);
  };
  return {[=] { return maps(10), 0U; },
          [=] {
            maps(1000);
            const taken before = taken_by_family();
            maps(with.quick ? 100 : 100'000);
            const taken after = taken_by_family();
            const auto more = [](std::size_t now, std::size_t then) {
              return static_cast<double>(now - std::min(now, then));
            };
            return more(after.descriptors, before.descriptors) +
                   more(after.mappings, before.mappings) + more(after.mebibytes, before.mebibytes);
          }};
}

// --- Without a pool ------------------------------------------------------------------------------

workload one_shot_shard(const settings& with) {
  const auto seen = std::make_shared<shard::buffer<std::uint8_t>>(few);
  const shard::options options{.workers = with.workers};
  const auto once = [=] {
    shard::map(options, *seen, [](std::size_t) { return std::uint8_t{1}; });
  };
  return {[=] { return once(), digest(std::as_const(*seen).span()); },
          [=] {
            return time_of([&] {
              for (int k = 0; k < 10; ++k) once();
            });
          }};
}

// Starts so many processes that do nothing, and waits for their ends.
void fork_bare(unsigned count) {
  std::vector<pid_t> children(count);
  for (pid_t& each : children) {
    each = ::fork();
    if (each == 0) ::_exit(0);
    if (each < 0) throw std::runtime_error("cannot fork");
  }
  for (const pid_t each : children) ::waitpid(each, nullptr, 0);
}

workload three_forks(const settings&) {
  const auto once = [] { fork_bare(3); };
  return {[=] {
            once();
            const std::vector<std::uint8_t> ones(few, 1);
            return digest(std::span<const std::uint8_t>(ones));
          },
          [=] {
            return time_of([&] {
              for (int k = 0; k < 10; ++k) once();
            });
          }};
}

// In a process with a heap of 4 GiB. Both sides count what they have started.
std::shared_ptr<std::vector<std::uint8_t>> large_heap(const settings& with) {
  return std::make_shared<std::vector<std::uint8_t>>(scaled(with, std::size_t{4} << 30),
                                                     std::uint8_t{1});
}

workload spawn_shard(const settings& with) {
  const shard::options options{.workers = with.workers, .start = shard::start_by::spawn};
  const auto once = [=, keep = large_heap(with)] {
    shard::buffer<std::uint64_t> seen(options.workers.value());
    shard::map(options, seen, [](std::size_t) { return std::uint64_t{1}; });
    return static_cast<std::uint64_t>(std::count(seen.begin(), seen.end(), std::uint64_t{1}));
  };
  return {[=] { return once(); }, [=] { return time_of(once); }};
}

workload forks_of_large_caller(const settings& with) {
  const auto once = [=, keep = large_heap(with)] {
    fork_bare(with.workers);
    return std::uint64_t{with.workers};
  };
  return {[=] { return once(); }, [=] { return time_of(once); }};
}

workload threads_shard(const settings& with) {
  const auto to = std::make_shared<shard::buffer<double>>(scaled(with, cells));
  const shard::options options{.workers = with.workers, .run_on = shard::executor::threads};
  const auto once = [=] {
    shard::map(options, *to, [](std::size_t i) { return std::sqrt(static_cast<double>(i)); });
  };
  return {[=] { return once(), digest(std::as_const(*to).span()); },
          [=] {
            return time_of([&] {
              for (int k = 0; k < 20; ++k) once();
            });
          }};
}

workload threads_tbb(const settings& with) {
  workload once = roots_tbb(with, cells);
  return {once.check, [=] {
            double taken = 0;
            for (int k = 0; k < 20; ++k) taken += once.measure();
            return taken;
          }};
}

}  // namespace

std::vector<budget> dispatch_budgets() {
  std::vector<budget> all;
  const auto add = [&all](const char* name, const char* rival, double limit, make_workload ours,
                          make_workload theirs, const char* their_environment = "") {
    all.push_back({.group = "dispatch",
                   .name = name,
                   .rival = rival,
                   .limit = limit,
                   .time_cap = seconds(15),
                   .ours = std::move(ours),
                   .theirs = std::move(theirs),
                   .their_environment = their_environment});
  };
  const auto on_all = [](workload (*make)(const settings&, unsigned)) {
    return [=](const settings& with) { return make(with, with.workers); };
  };
  const auto on_one = [](workload (*make)(const settings&, unsigned)) {
    return [=](const settings& with) { return make(with, 1); };
  };
  const char* const passive = "OMP_WAIT_POLICY=passive";
  add("jacobi_queued", "OpenMP", 1.10, on_all(jacobi_shard<dispatch::queued>),
      on_all(jacobi_openmp));
  add("jacobi", "OpenMP", 1.75, on_all(jacobi_shard<dispatch::one_by_one>), on_all(jacobi_openmp));
  add("jacobi_alone", "a serial loop", 1.15, on_one(jacobi_shard<dispatch::one_by_one>),
      on_one(jacobi_openmp));
  add(
      "nothing_parked", "OpenMP, passive", 1.00,
      [](const settings& with) { return nothing_shard<dispatch::one_by_one>(with, long_pause); },
      [](const settings& with) { return nothing_openmp(with, long_pause); }, passive);
  add(
      "nothing_queued", "OpenMP", 2.0,
      [](const settings& with) { return nothing_shard<dispatch::queued>(with); },
      [](const settings& with) { return nothing_openmp(with); });
  add(
      "nothing", "OpenMP, passive", 0.15,
      [](const settings& with) { return nothing_shard<dispatch::one_by_one>(with); },
      [](const settings& with) { return nothing_openmp(with); }, passive);
  add("chunks", "oneTBB simple_partitioner", 0.5, chunks_shard, chunks_tbb);
  add("chunks", "OpenMP dynamic,1", 1.0, chunks_shard, chunks_openmp);
  add("chunks_counted", "oneTBB simple_partitioner", 0.5, counted_chunks_shard, counted_chunks_tbb);
  all.push_back({"dispatch", "growth", "100 000 maps", 0.0, {}, growth});
  add("threads", "oneTBB, best partitioner", 1.05, threads_shard, threads_tbb);
  add("one_shot", "three bare forks", 1.00, one_shot_shard, three_forks);
  add("spawn", "forks of a caller with 4 GiB", 0.25, spawn_shard, forks_of_large_caller);
  return all;
}

}  // namespace bench
