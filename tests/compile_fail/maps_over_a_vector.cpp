// expect: shard: the first argument is the space
// A vector is not shared memory.
#include <shard/map.hpp>
#include <vector>

void run(std::vector<double>& out) {
  shard::map(out, [](std::size_t i) { return double(i); });
}
