// expect: shard: add to the accumulator that the kernel receives, not to the reducer
// bins is the result; the kernel's accumulator is what counts.
#include <shard/histogram.hpp>

void kernel(shard::histogram<shard::axis::regular_axis>& bins, double x) { bins(x); }
