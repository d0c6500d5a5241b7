// expect: shard: the kernel's parameter 2 doesn't fit its argument
// x is a buffer of doubles.
#include <shard/map.hpp>

void run(shard::buffer<double>& out, const shard::buffer<double>& x) {
  shard::map(out, shard::in(x), [](std::size_t i, shard::view<float> x) { return double(x[i]); });
}
