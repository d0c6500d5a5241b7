// expect: shard: a chunk of a strided space is no range
// Its indices lie apart.
#include <shard/map.hpp>

void run(shard::buffer<double>& out) {
  shard::map(shard::strided{{0, 10}, 3}, shard::out(out),
             [](shard::range, shard::slice<double>) {});
}
