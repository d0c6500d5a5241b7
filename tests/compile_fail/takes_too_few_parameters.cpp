// expect: shard: the kernel must take what its space gives, then one parameter for each
// x was granted, but there is no parameter for it.
#include <shard/map.hpp>

void run(shard::buffer<double>& out, const shard::buffer<double>& x) {
  shard::map(out, shard::in(x), [](std::size_t i) { return double(i); });
}
