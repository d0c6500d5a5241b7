// expect: shard: out_per_chunk\(\) writes, but this buffer is read-only
// What was opened read-only.
#include <shard/map.hpp>

void run(shard::buffer<const double>& out) {
  shard::map(shard::chunks{{0, 10}, 5}, shard::out_per_chunk(out),
             [](shard::range, shard::slice<double>) {});
}
