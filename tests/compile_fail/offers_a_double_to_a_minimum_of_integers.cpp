// expect: shard: what is offered would be narrowed to the accumulator's type; cast it in the kernel
#include <shard/reduce.hpp>

void kernel(shard::minimum<int>::accumulator& least, double x) { least(x); }
