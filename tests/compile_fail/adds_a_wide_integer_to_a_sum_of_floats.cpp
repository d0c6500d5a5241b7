// expect: shard: what is added would be narrowed to the accumulator's type; cast it in the kernel
#include <shard/reduce.hpp>

void kernel(shard::sum<float>::accumulator& total, std::int64_t n) { total += n; }
