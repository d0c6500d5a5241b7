// expect: shard: a buffer can.t hold std::string .*; use shard::text<N>
#include <shard/shard.hpp>
#include <vector>

auto names(const std::vector<std::string>& from) { return shard::buffer(from); }
