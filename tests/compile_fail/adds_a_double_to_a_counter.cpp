// expect: shard: this count would be narrowed to the 64-bit integer that counts; cast it in the
// kernel
#include <shard/reduce.hpp>

void kernel(shard::counter::accumulator& hits, double w) { hits += w; }
