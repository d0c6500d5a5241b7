// expect: shard: what is added to the accumulator doesn't convert to its type
#include <shard/reduce.hpp>

void kernel(shard::sum<double>::accumulator& total, const char* x) { total += x; }
