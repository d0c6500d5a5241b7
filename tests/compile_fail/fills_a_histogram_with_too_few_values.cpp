// expect: shard: give one value for each axis of the histogram
// A point of two coordinates needs two.
#include <shard/histogram.hpp>

using plane = shard::histogram<shard::axis::integer_axis, shard::axis::integer_axis>;
void kernel(plane::accumulator& bins) { bins(1); }
