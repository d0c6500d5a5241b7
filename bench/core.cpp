// The group `core`: what a map costs over the loop inside it.

#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/partitioner.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <shard/shard.hpp>
#include <span>
#include <utility>
#include <vector>

#include "budget.hpp"
#include "chunks.hpp"
#include "measure.hpp"
#include "memory.hpp"
#include "orbit.hpp"
#include "sides.hpp"

namespace bench {
namespace {

using std::chrono::seconds;

// --- compute: a kernel that touches no memory but its result
// -------------------------------------------

// Over a second on each of the machine's processors.
std::size_t orbits(const settings& with) {
  return with.workers * (with.quick ? std::size_t{1} << 10 : std::size_t{1} << 20);
}

workload compute_shard(const settings& with) {
  auto result = std::make_shared<shard::buffer<double>>(orbits(with));
  const shard::options options{.workers = with.workers};
  const auto once = [=] { shard::map(options, *result, [](std::size_t i) { return orbit(i); }); };
  return {[=] { return once(), digest(std::as_const(*result).span()); },
          [=] { return time_of(once); }};
}

// The same loop under each partitioner that could be the best one for even work.
template <class Partitioner>
void compute_with(std::vector<double>& result, const Partitioner& partitioner) {
  const auto body = [&](const tbb_range& chunk) {
    for (std::size_t i = chunk.begin(); i != chunk.end(); ++i) result[i] = orbit(i);
  };
  tbb::parallel_for(tbb_range(0, result.size()), body, partitioner);
}

// oneTBB at its best: whichever of its two candidates was quicker when the side was set up.
workload compute_tbb(const settings& with) {
  const auto threads = threads_of(with);
  auto result = std::make_shared<std::vector<double>>(orbits(with));
  const auto dynamic = [=] { compute_with(*result, tbb::auto_partitioner()); };
  const auto fixed = [=] { compute_with(*result, tbb::static_partitioner()); };
  dynamic();  // starts the threads, touches the pages
  const bool fixed_is_quicker = time_of(fixed) < time_of(dynamic);
  return {[=] { return dynamic(), digest(std::span<const double>(*result)); },
          [=, keep = threads] { return fixed_is_quicker ? time_of(fixed) : time_of(dynamic); }};
}

// --- chunk: claiming and committing chunks with (almost) nothing in them
// --------------------------------

// Enough that starting the run, which is in the figure, is a few per cent of it at most.
std::size_t tiny_chunks(const settings& with) {
  return with.quick ? std::size_t{1} << 12 : std::size_t{1} << 23;
}

workload chunk_shard(const settings& with) {
  const shard::options options{.workers = with.workers, .grain = 1};
  return marks_by(tiny_chunks(with), [=](const auto&... what) { shard::map(options, what...); });
}

workload chunk_tbb(const settings& with) { return marks_by_tbb(with, tiny_chunks(with)); }
workload chunk_openmp(const settings& with) { return marks_by_openmp(with, tiny_chunks(with)); }

// The same with a reduction in every chunk.
workload count_shard(const settings& with) {
  const shard::options options{.workers = with.workers, .grain = 1};
  return counts_by(tiny_chunks(with), [=](const auto&... what) { shard::map(options, what...); });
}

workload count_tbb(const settings& with) { return counts_by_tbb(with, tiny_chunks(with)); }

// --- index: `return f(x[i])` against the loop one would write by hand
// ------------------------------------

struct index_case {
  shard::executor run_on;
  std::size_t elements;
  std::size_t grain;
  std::size_t passes;  // maps in one measurement
};

// A polynomial by Horner's rule: `Degree` sets how much arithmetic goes with each load and store.
template <std::size_t Degree>
inline float polynomial(float x) {
  float y = 0.25F;
  for (std::size_t k = 1; k <= Degree; ++k) y = y * x + 1.0F / static_cast<float>(k + 1);
  return y;
}

struct index_data {
  shard::buffer<float> x;
  shard::buffer<float> y;
};

std::shared_ptr<index_data> make_index_data(std::size_t n) {
  auto data =
      std::make_shared<index_data>(index_data{shard::buffer<float>(n), shard::buffer<float>(n)});
  for (std::size_t i = 0; i < n; ++i) {
    data->x[i] = static_cast<float>(i % 4093) / 4093.0F;
    data->y[i] = 0;
  }
  return data;
}

std::size_t elements(const index_case& of, const settings& with) {
  return with.quick ? std::size_t{1} << 14 : of.elements;
}

template <class Map>
workload index_workload(const index_case& of, const settings& with, Map map) {
  auto data = make_index_data(elements(of, with));
  const shard::options options{.workers = with.workers, .grain = of.grain, .run_on = of.run_on};
  const std::size_t passes = with.quick ? 1 : of.passes;
  const auto work = [=] {
    for (std::size_t pass = 0; pass < passes; ++pass) map(options, *data);
  };
  const bool alone = of.run_on == shard::executor::serial;
  return {[=] { return map(options, *data), digest(std::as_const(data->y).span()); },
          [=] { return alone ? thread_time_of(work) : time_of(work); }};
}

template <std::size_t Degree>
make_workload index_form(index_case of) {
  return [of](const settings& with) {
    return index_workload(of, with, [](const shard::options& options, index_data& data) {
      shard::map(options, data.y, shard::in(data.x),
                 [](std::size_t i, shard::view<float> x) { return polynomial<Degree>(x[i]); });
    });
  };
}

template <std::size_t Degree>
make_workload hand_written(index_case of) {
  return [of](const settings& with) {
    return index_workload(of, with, [](const shard::options& options, index_data& data) {
      shard::map(options, data.y.size(), shard::in(data.x), shard::out(data.y),
                 [](shard::range chunk, shard::view<float> x, shard::slice<float> y) {
                   const float* const from = x.span(chunk).data();
                   float* const __restrict to = y.span().data();
                   const std::size_t n = chunk.size();
                   for (std::size_t k = 0; k < n; ++k) to[k] = polynomial<Degree>(from[k]);
                 });
    });
  };
}

template <std::size_t Degree>
budget index_budget(const char* name, index_case of) {
  return {.group = "core",
          .name = name,
          .rival = "hand-written chunk loop",
          .limit = 1.02,
          .time_cap = seconds(20),
          .ours = index_form<Degree>(of),
          .theirs = hand_written<Degree>(of)};
}

// 1 MiB in and out together: stays in a second-level cache. The other sizes don't.
constexpr index_case index_cached{shard::executor::serial, std::size_t{1} << 17, 1 << 14, 100};
constexpr index_case index_large{shard::executor::serial, std::size_t{1} << 25, 1 << 14, 1};
constexpr index_case index_supervised{shard::executor::processes, std::size_t{1} << 26, 1 << 14, 1};

// --- padding: records of 24 bytes, four of which lie behind the last field
// -------------------------------------------

struct cleared_record {
  std::int64_t when;
  double price;
  std::int32_t count;
};
struct kept_record : cleared_record {};
static_assert(sizeof(cleared_record) == 24 && sizeof(kept_record) == 24);

}  // namespace
}  // namespace bench

template <>
inline constexpr bool shard::keeps_padding<bench::kept_record> = true;

namespace bench {
namespace {

// Seconds for each record of a map in the caller.
template <class Record>
double map_of_records(shard::buffer<Record>& to) {
  const shard::options options{.grain = 4096, .run_on = shard::executor::serial};
  const double taken = thread_time_of([&] {
    shard::map(options, to, [](std::size_t i) {
      Record made;
      made.when = static_cast<std::int64_t>(i);
      made.price = 1.5;
      made.count = 3;
      return made;
    });
  });
  return taken / static_cast<double>(to.size());
}

// What the zeros between the fields cost, in 1.45 ns for each record.
workload padding_cost(const settings& with) {
  const std::size_t records = with.quick ? std::size_t{1} << 14 : std::size_t{1} << 20;
  const std::size_t pairs = with.quick ? 1 : 101;
  struct both {
    shard::buffer<cleared_record> cleared;
    shard::buffer<kept_record> kept;
  };
  auto data = std::make_shared<both>(
      both{shard::buffer<cleared_record>(records), shard::buffer<kept_record>(records)});
  return {[=] {
            map_of_records(data->cleared);
            map_of_records(data->kept);
            return 0U;
          },
          [=] {
            std::vector<double> found;
            for (std::size_t k = 0; k < pairs; ++k) {
              found.push_back(map_of_records(data->cleared) - map_of_records(data->kept));
            }
            return median(std::move(found)) / 1.45e-9;
          }};
}

}  // namespace

std::vector<budget> core_budgets() {
  std::vector<budget> all;
  all.push_back(
      {"core", "compute", "oneTBB parallel_for", 1.05, seconds(45), compute_shard, compute_tbb});
  all.push_back(
      {"core", "chunk", "oneTBB simple_partitioner", 0.5, seconds(25), chunk_shard, chunk_tbb});
  all.push_back({"core", "chunk", "OpenMP dynamic,1", 1.0, seconds(20), chunk_shard, chunk_openmp});
  all.push_back({"core", "chunk_counted", "oneTBB simple_partitioner", 0.5, seconds(20),
                 count_shard, count_tbb});
  all.push_back({"core", "memory", "1 GiB", 1.02, {}, resident_memory});
  all.push_back({"core", "page_tables", "2 MiB a process", 1.0, {}, page_tables});
  all.push_back(index_budget<16>("index_cached", index_cached));
  all.push_back(index_budget<3>("index_large", index_large));
  all.push_back(index_budget<3>("index_supervised", index_supervised));
  all.push_back({"core", "padding", "1.45 ns a record", 1.0, {}, padding_cost});
  return all;
}

}  // namespace bench
