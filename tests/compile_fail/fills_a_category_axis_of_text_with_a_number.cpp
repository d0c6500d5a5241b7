// expect: shard: this axis of the histogram takes text
// No number is the name of a category.
#include <shard/histogram.hpp>

using names = shard::histogram<shard::axis::category_axis<const char*>>;
void kernel(names::accumulator& bins) { bins(3); }
