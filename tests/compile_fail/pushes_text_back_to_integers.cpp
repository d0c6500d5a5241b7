// expect: shard: what is pushed back doesn't convert to the type of the items
#include <shard/collect.hpp>

void kernel(shard::collect<int>::accumulator& items) { items.push_back("one"); }
