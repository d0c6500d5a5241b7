// expect: shard: the kernel's first parameter doesn't fit the space
// A tile has rows and columns.
#include <shard/map.hpp>

void run(shard::buffer<double, 2>& m) {
  shard::map(shard::tiles{m.shape()}, shard::out(m), [](std::size_t, shard::slice<double, 2>) {});
}
