// expect: shard: the kernel's index must be std::size_t
// As for one index.
#include <shard/map.hpp>

void run(shard::buffer<double, 2>& out) {
  shard::map(out, [](std::size_t i, int j) { return double(i) * j; });
}
