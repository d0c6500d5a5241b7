// expect: shard: a buffer can.t hold wchar_t, .*; use char32_t
#include <shard/shard.hpp>
shard::buffer<wchar_t> x(5);
