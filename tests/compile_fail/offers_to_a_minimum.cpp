// expect: shard: add to the accumulator that the kernel receives, not to the reducer
// smallest is the result; the kernel's accumulator is what compares.
#include <shard/reduce.hpp>

void kernel(shard::minimum<float>& smallest, float x) { smallest(x); }
