// expect: shard: this map has no output, no reducer and no shared buffer
// What the kernel does to `hits` happens in a worker, and is lost there.
#include <shard/map.hpp>

void run(int& hits) {
  shard::map(10, [&](std::size_t) { ++hits; });
}
