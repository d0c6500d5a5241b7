// expect: shard: the kernel can't be called .*; an accumulator is taken by reference
// What is added to a copy would be lost.
#include <shard/map.hpp>

void run(shard::sum<double>& total) {
  shard::map(10, shard::reduce(total), [](std::size_t i, auto sum) { sum += double(i); });
}
