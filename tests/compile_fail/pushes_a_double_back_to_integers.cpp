// expect: shard: what is pushed back would be narrowed to the type of the items; cast it
#include <shard/collect.hpp>

void kernel(shard::collect<int>::accumulator& items, double x) { items.push_back(x); }
