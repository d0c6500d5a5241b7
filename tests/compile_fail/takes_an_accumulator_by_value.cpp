// expect: shard: the kernel can't be called .*; an accumulator is taken by reference
// What is added to a copy would be lost.
#include <shard/map.hpp>

void run(const shard::buffer<double>& x, shard::sum<double>& total) {
  shard::map(x.size(), shard::in(x), shard::reduce(total),
             [](std::size_t i, auto x, shard::sum<double>::accumulator sum) { sum += x[i]; });
}
