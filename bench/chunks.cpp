#include "chunks.hpp"

#include <oneapi/tbb/enumerable_thread_specific.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/partitioner.h>

#include <numeric>
#include <span>
#include <vector>

#include "sides.hpp"

namespace bench {

workload marks_by_tbb(const settings& with, std::size_t chunks) {
  const auto threads = threads_of(with);
  const auto marks = std::make_shared<std::vector<std::uint8_t>>(chunks);
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
  return {[=] { return once(), digest(std::span<const std::uint8_t>(*marks)); },
          [=] { return time_of(once); }};
}

workload marks_by_openmp(const settings& with, std::size_t chunks) {
  const auto marks = std::make_shared<std::vector<std::uint8_t>>(chunks);
  const auto once = [=] {
    std::uint8_t* const mark = marks->data();
    const std::size_t n = marks->size();
    [[maybe_unused]] const int threads = static_cast<int>(with.workers);  // without OpenMP
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (std::size_t i = 0; i < n; ++i) {
      if (leaves_mark(i)) mark[i] = 1;
    }
  };
  return {[=] { return once(), digest(std::span<const std::uint8_t>(*marks)); },
          [=] { return time_of(once); }};
}

workload counts_by_tbb(const settings& with, std::size_t chunks) {
  const auto threads = threads_of(with);
  const auto once = [=, keep = threads] {
    tbb::enumerable_thread_specific<std::uint64_t> counts(0);
    tbb::parallel_for(
        tbb_range(0, chunks, 1), [&](const tbb_range& chunk) { counts.local() += chunk.size(); },
        tbb::simple_partitioner());
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  };
  return {once, [=] { return time_of(once); }};
}

}  // namespace bench
