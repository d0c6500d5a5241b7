// expect: shard: what is added would be narrowed to the accumulator's type
#include <shard/reduce.hpp>

void kernel(shard::sum<float>::accumulator& total, std::span<const double> x) { total.add(x); }
