// expect: shard: the output buffer is a temporary
// Nobody could read the result.
#include <shard/map.hpp>

void run() {
  shard::map(shard::buffer<double>(10), [](std::size_t i) { return double(i); });
}
