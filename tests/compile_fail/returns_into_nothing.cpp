// expect: shard: the kernel's return value would be lost
// out() is written through the slice.
#include <shard/map.hpp>

void run(shard::buffer<double>& to) {
  shard::map(to.size(), shard::out(to), [](std::size_t i, auto) { return double(i); });
}
