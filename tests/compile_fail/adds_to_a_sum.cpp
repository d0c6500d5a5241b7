// expect: shard: add to the accumulator that the kernel receives, not to the reducer
// total is the result; the kernel's accumulator is what adds.
#include <shard/reduce.hpp>

void kernel(shard::sum<double>& total, double x) { total += x; }
