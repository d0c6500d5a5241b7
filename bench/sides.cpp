#include "sides.hpp"

#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/partitioner.h>

#include <utility>
#include <vector>

#include "measure.hpp"

namespace bench {

std::shared_ptr<shard::pool> pool_of(unsigned workers) {
  return std::make_shared<shard::pool>(shard::options{.workers = workers});
}

std::shared_ptr<tbb::global_control> threads_of(const settings& with) {
  return std::make_shared<tbb::global_control>(tbb::global_control::max_allowed_parallelism,
                                               with.workers);
}

void warm(const settings& with, const std::function<void()>& once) {
  const int enough = with.quick ? 1 : 12;
  for (int k = 0; k < enough; ++k) once();
}

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
  std::vector<double> times_fixed, times_dynamic;
  warm(with, [&] {
    times_dynamic.push_back(time_of(dynamic));
    times_fixed.push_back(time_of(fixed));
  });
  const bool fixed_is_quicker = median(times_fixed) < median(times_dynamic);
  return {[=] { return dynamic(), result(); },
          [=] { return fixed_is_quicker ? time_of(fixed) : time_of(dynamic); }};
}

}  // namespace bench
