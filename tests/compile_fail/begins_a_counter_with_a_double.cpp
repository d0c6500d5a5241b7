// expect: shard: the reducer's initial value would be narrowed to its type; cast it
#include <shard/reduce.hpp>

shard::counter hits(0.5);
