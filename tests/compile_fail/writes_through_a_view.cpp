// expect: assignment of read-only|read-only|cannot assign|const-qualified
// in() grants reading.
#include <shard/map.hpp>

void run(const shard::buffer<double>& x, shard::sum<double>& total) {
  shard::map(x.size(), shard::in(x), shard::reduce(total),
             [](std::size_t i, shard::view<double> x, auto& sum) { sum += (x[i] = 1); });
}
