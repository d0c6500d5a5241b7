// expect: shard: sum<T> adds integers or floating point; count bools with shard::counter
// A sum of bools would be one bool.
#include <shard/reduce.hpp>

shard::sum<bool> total;
