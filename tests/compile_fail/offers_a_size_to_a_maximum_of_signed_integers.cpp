// expect: shard: what is offered would be narrowed to the accumulator's type; cast it in the kernel
#include <shard/reduce.hpp>

void kernel(shard::maximum<std::int64_t>::accumulator& most, std::size_t x) { most(x); }
