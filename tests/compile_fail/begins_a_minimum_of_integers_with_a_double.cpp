// expect: shard: the reducer's initial value would be narrowed to its type; cast it
#include <shard/reduce.hpp>

shard::minimum<int> least(0.5);
