// expect: shard: out_per_chunk\(\) gives a chunk one row
// Each index would write the same row.
#include <shard/map.hpp>

void run(shard::buffer<double>& out) {
  shard::map(shard::chunks{{0, 10}, 5}, shard::out_per_chunk(out),
             [](std::size_t, shard::slice<double>) {});
}
