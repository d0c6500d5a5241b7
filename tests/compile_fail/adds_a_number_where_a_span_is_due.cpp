// expect: shard: add\(\) takes contiguous numbers: .*; add one number with \+=
#include <shard/reduce.hpp>

void kernel(shard::sum<double>::accumulator& total, double x) { total.add(x); }
