// expect: shard: a buffer holds integers, .* and trivially copyable structs of these
#include <shard/shard.hpp>
#include <vector>

shard::buffer<std::vector<int>> x(5);
