// expect: shard: the last argument is shard::weight\(w\) for a weighted_histogram
#include <shard/shard.hpp>

void kernel(shard::profile<shard::axis::regular_axis>::accumulator& bins) { bins(0.5, 2.0); }
