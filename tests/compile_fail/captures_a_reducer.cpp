// expect: shard: add to the accumulator that the kernel receives, not to the reducer
// total was captured, not granted with reduce().
#include <shard/map.hpp>

void run(shard::buffer<double>& roots, shard::sum<double>& total) {
  shard::map(roots, [&](std::size_t i) {
    total += double(i);
    return double(i);
  });
}
