// expect: shard: the output buffer is read-only
// open() maps a file for reading.
#include <shard/map.hpp>
#include <shard/npy.hpp>

void run() {
  auto delay = shard::open<double>("delay.npy");
  shard::map(delay, [](std::size_t i) { return double(i); });
}
