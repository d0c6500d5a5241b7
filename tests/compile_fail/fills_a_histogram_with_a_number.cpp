// expect: shard: fill\(\) takes many values for each axis
#include <shard/shard.hpp>

void kernel(shard::histogram<shard::axis::regular_axis>::accumulator& bins) { bins.fill(0.5); }
