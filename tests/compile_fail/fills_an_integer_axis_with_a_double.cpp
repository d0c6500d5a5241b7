// expect: shard: this axis of the histogram takes integers; shard::axis::regular takes floating
// -0.5 would be counted as 0.
#include <shard/histogram.hpp>

using line = shard::histogram<shard::axis::integer_axis>;
void kernel(line::accumulator& bins) { bins(0.5); }
