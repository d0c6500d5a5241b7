// expect: shard: a buffer can.t hold std::string .*; use shard::text<N>
#include <shard/shard.hpp>
auto names() { return shard::create<std::string>("names.npy", 5); }
