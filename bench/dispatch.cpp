// The group `dispatch`: what it costs to hand work to a pool, over threads that wait for it.

#include <fmt/format.h>
#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/enumerable_thread_specific.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/parallel_reduce.h>
#include <oneapi/tbb/partitioner.h>
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
#include <functional>
#include <memory>
#include <optional>
#include <shard/shard.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "budget.hpp"
#include "family.hpp"
#include "measure.hpp"

namespace bench {
namespace {

using namespace std::chrono_literals;
using std::chrono::seconds;
using tbb_range = tbb::blocked_range<std::size_t>;

std::size_t scaled(const settings& with, std::size_t full) {
  return with.quick ? std::min<std::size_t>(full, std::size_t{1} << 12) : full;
}

std::shared_ptr<shard::pool> pool_of(unsigned workers) {
  return std::make_shared<shard::pool>(shard::options{.workers = workers});
}

std::shared_ptr<tbb::global_control> threads_of(const settings& with) {
  return std::make_shared<tbb::global_control>(tbb::global_control::max_allowed_parallelism,
                                               with.workers);
}

// oneTBB's parallel_for under whichever partitioner was quicker when the side was set up.
workload best_of_tbb(const settings& with, std::size_t count,
                     std::function<void(std::size_t, std::size_t)> body,
                     std::function<std::uint64_t()> result) {
  const auto threads = threads_of(with);
  const auto run = [=](const auto& partitioner) {
    tbb::parallel_for(
        tbb_range(0, count), [&](const tbb_range& part) { body(part.begin(), part.end()); },
        partitioner);
  };
  const auto dynamic = [=, keep = threads] { run(tbb::auto_partitioner()); };
  const auto fixed = [=, keep = threads] { run(tbb::static_partitioner()); };
  dynamic();  // starts the threads, touches the pages
  const bool fixed_is_quicker = time_of(fixed) < time_of(dynamic);
  return {[=] { return dynamic(), result(); },
          [=] { return fixed_is_quicker ? time_of(fixed) : time_of(dynamic); }};
}

// --- Long arrays: what fresh processes and fresh mappings would cost most -----------------------

workload roots_shard(const settings& with, std::size_t full) {
  const auto pool = pool_of(with.workers);
  const auto to = std::make_shared<shard::buffer<double>>(scaled(with, full));
  const auto once = [=] {
    pool->map(*to, [](std::size_t i) { return std::sqrt(static_cast<double>(i)); });
  };
  once();
  return {[=] { return once(), digest(std::as_const(*to).span()); }, [=] { return time_of(once); }};
}

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

constexpr std::size_t gibibyte_of_doubles = std::size_t{1} << 27;

double start_of(std::size_t i) { return static_cast<double>(i % 1021); }

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
  once();
  return {[=] { return once(), digest(std::as_const(*y).span()); }, [=] { return time_of(once); }};
}

workload saxpy_tbb(const settings& with) {
  const std::size_t n = scaled(with, gibibyte_of_doubles / 2);
  const auto x = std::make_shared<std::vector<double>>(n);
  const auto y = std::make_shared<std::vector<double>>(n);
  for (std::size_t i = 0; i < n; ++i) (*x)[i] = start_of(i);
  const auto runs = std::make_shared<int>(0);
  workload made = best_of_tbb(
      with, n,
      [=](std::size_t first, std::size_t last) {
        const double* const source = x->data();
        double* const __restrict target = y->data();
        for (std::size_t i = first; i != last; ++i) target[i] += 3 * source[i];
      },
      [=] { return digest(std::span<const double>(*y)); });
  // As many runs as the other side has had when it is first asked.
  std::fill(y->begin(), y->end(), 0.0);
  for (std::size_t i = 0; i < n; ++i) (*y)[i] += 3 * (*x)[i];
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
  once();
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
  once();
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
  once();
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
  once();
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
  once();
  return {[=] { return digest(std::span<const std::uint64_t>(once())); },
          [=] { return time_of(once); }};
}

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

inline bool leaves_mark(std::size_t i) { return i % 64 == 0; }

workload chunks_shard(const settings& with) {
  const auto pool = pool_of(with.workers);
  const auto marks = std::make_shared<shard::buffer<std::uint8_t>>(tiny_chunks(with));
  const auto once = [=] {
    pool->map({.grain = 1}, marks->size(), shard::out(*marks),
              [](std::size_t i, shard::slice<std::uint8_t> mark) {
                if (leaves_mark(i)) mark[i] = 1;
              });
  };
  once();
  return {[=] { return once(), digest(std::as_const(*marks).span()); },
          [=] { return time_of(once); }};
}

workload chunks_tbb(const settings& with) {
  const auto threads = threads_of(with);
  const auto marks = std::make_shared<std::vector<std::uint8_t>>(tiny_chunks(with));
  const auto once = [=, keep = threads] {
    tbb::parallel_for(
        tbb_range(0, marks->size(), 1),
        [mark = marks->data()](const tbb_range& chunk) {
          for (std::size_t i = chunk.begin(); i != chunk.end(); ++i) {
            if (leaves_mark(i)) mark[i] = 1;
          }
        },
        tbb::simple_partitioner());
  };
  once();
  return {[=] { return once(), digest(std::span<const std::uint8_t>(*marks)); },
          [=] { return time_of(once); }};
}

workload chunks_openmp(const settings& with) {
  const auto marks = std::make_shared<std::vector<std::uint8_t>>(tiny_chunks(with));
  const auto once = [=] {
    std::uint8_t* const mark = marks->data();
    const std::size_t n = marks->size();
    [[maybe_unused]] const int threads = static_cast<int>(with.workers);
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (std::size_t i = 0; i < n; ++i) {
      if (leaves_mark(i)) mark[i] = 1;
    }
  };
  once();
  return {[=] { return once(), digest(std::span<const std::uint8_t>(*marks)); },
          [=] { return time_of(once); }};
}

workload counted_chunks_shard(const settings& with) {
  const auto pool = pool_of(with.workers);
  const std::size_t n = tiny_chunks(with);
  const auto once = [=] {
    shard::counter count;
    pool->map({.grain = 1}, n, shard::reduce(count),
              [](std::size_t, shard::counter::accumulator& chunks) { ++chunks; });
    return static_cast<std::uint64_t>(count.value());
  };
  once();
  return {once, [=] { return time_of(once); }};
}

workload counted_chunks_tbb(const settings& with) {
  const auto threads = threads_of(with);
  const std::size_t n = tiny_chunks(with);
  const auto once = [=, keep = threads] {
    tbb::enumerable_thread_specific<std::uint64_t> counts(0);
    tbb::parallel_for(
        tbb_range(0, n, 1), [&](const tbb_range& chunk) { counts.local() += chunk.size(); },
        tbb::simple_partitioner());
    std::uint64_t all = 0;
    for (const std::uint64_t each : counts) all += each;
    return all;
  };
  once();
  return {once, [=] { return time_of(once); }};
}

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

workload three_forks(const settings&) {
  const auto once = [] {
    std::array<pid_t, 3> children{};
    for (pid_t& each : children) {
      each = ::fork();
      if (each == 0) ::_exit(0);
      if (each < 0) throw std::runtime_error("cannot fork");
    }
    for (const pid_t each : children) ::waitpid(each, nullptr, 0);
  };
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
  const auto sized = [](workload (*make)(const settings&, std::size_t), std::size_t count) {
    return [=](const settings& with) { return make(with, count); };
  };
  const auto on_all = [](workload (*make)(const settings&, unsigned)) {
    return [=](const settings& with) { return make(with, with.workers); };
  };
  const auto on_one = [](workload (*make)(const settings&, unsigned)) {
    return [=](const settings& with) { return make(with, 1); };
  };
  const char* const passive = "OMP_WAIT_POLICY=passive";
  add("roots_1GiB", "oneTBB, best partitioner", 1.00, sized(roots_shard, gibibyte_of_doubles),
      sized(roots_tbb, gibibyte_of_doubles));
  add("saxpy_1GiB", "oneTBB, best partitioner", 1.00, saxpy_shard, saxpy_tbb);
  add("sum", "oneTBB parallel_reduce", 1.02, sum_shard, sum_tbb);
  add("screening", "oneTBB, best partitioner", 1.02, screening_shard, screening_tbb);
  add("histogram", "oneTBB, checked alike", 1.25, histogram_shard, histogram_tbb);
  add("roots_8MB", "oneTBB, best partitioner", 1.10, sized(roots_shard, 1'000'000),
      sized(roots_tbb, 1'000'000));
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
  return all;
}

}  // namespace bench
