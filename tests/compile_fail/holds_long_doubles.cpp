// expect: shard: a buffer can.t hold long double .*; use double
#include <shard/shard.hpp>
shard::buffer<long double> x(5);
