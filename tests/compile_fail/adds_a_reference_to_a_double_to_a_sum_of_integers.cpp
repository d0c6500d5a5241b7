// expect: shard: what is added would be narrowed to the accumulator's type
#include <functional>
#include <shard/reduce.hpp>

void kernel(shard::sum<int>::accumulator& total, std::reference_wrapper<double> w) { total += w; }
