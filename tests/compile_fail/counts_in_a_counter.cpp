// expect: shard: add to the accumulator that the kernel receives, not to the reducer
// Captured by value and so const, as in a kernel that takes no accumulator.
#include <shard/reduce.hpp>

auto kernel(const shard::counter& hits) {
  return [hits] { ++hits; };
}
