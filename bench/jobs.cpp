// The group `jobs`: what long maps take to tell about themselves.

#include <fmt/format.h>
#include <stdlib.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <shard/shard.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "budget.hpp"
#include "orbit.hpp"

namespace bench {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

// --- records: chunks of 100 us, with a record of each and without

constexpr std::size_t orbits_in_a_chunk = 64;  // of 1.5 us each

double some_100us(std::size_t i) {
  double sum = 0;
  for (std::size_t k = 0; k < orbits_in_a_chunk; ++k) sum += orbit(i + k);
  return sum;
}

make_workload map_of_short_chunks(bool recorded) {
  return [recorded](const settings& with) {
    const std::size_t chunks = with.quick ? 200 : 5000 * with.workers;
    const auto out = std::make_shared<shard::buffer<double>>(chunks);
    const auto once = [=] {
      return shard::map({.workers = with.workers, .grain = 1, .record_chunks = recorded}, *out,
                        some_100us);
    };
    return workload{.check =
                        [=] {
                          const shard::report did = once();
                          if (did.chunks().size() != (recorded ? chunks : 0)) {
                            throw std::runtime_error(fmt::format("cannot measure records: found {}",
                                                                 did.chunks().size()));
                          }
                          std::vector<double> all(out->begin(), out->end());
                          return digest(std::span<const double>(all));
                        },
                    .measure = [=] { return time_of(once); }};
  };
}

// --- trace: the bytes of a trace of a million chunks, over 25 MB

workload trace_size(const settings& with) {
  const std::size_t chunks = with.quick ? 10'000 : 1'000'000;
  const auto ratio = [=] {
    std::vector<shard::chunk_record> all(chunks);
    for (std::size_t k = 0; k < chunks; ++k) {
      all[k] = {.chunk = k,
                .indices = {k, k + 1},
                .worker = static_cast<unsigned>(k % 64),
                .start = 1e-6s * static_cast<double>(111 * (k / 64)),
                .duration = 1e-6s * static_cast<double>(90 + k * 7919 % 20)};
    }
    shard::run_resources used{.recorded = true};
    used.median_chunk = 100us;
    const shard::report of({.completed = {{0, chunks}}}, {}, {.chunks = chunks}, 2s, {}, used,
                           std::move(all));
    std::string name = (fs::temp_directory_path() / "shard-bench-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a folder");
    const fs::path folder(name);
    of.write_trace(folder / "trace");
    const auto bytes = static_cast<double>(fs::file_size(folder / "trace"));
    fs::remove_all(folder);
    return bytes / (25.0 * static_cast<double>(chunks));
  };
  return {.check = [] { return std::uint64_t{0}; }, .measure = ratio};
}

}  // namespace

std::vector<budget> job_budgets() {
  std::vector<budget> all;
  all.push_back({"jobs", "records", "a map without records", 1.01, 60s, map_of_short_chunks(true),
                 map_of_short_chunks(false)});
  all.back().half_width = 0.004;
  all.push_back({"jobs", "trace_size", "25 MB for 10^6 chunks", 1, {}, trace_size});
  return all;
}

}  // namespace bench
