// expect: shard: between the space and the kernel stand in\(\), out\(\)
// A value is wrapped in value().
#include <shard/map.hpp>

void run(shard::buffer<double>& out, double scale) {
  shard::map(out, scale, [](std::size_t i, double by) { return by * double(i); });
}
