// expect: shard: a buffer can.t hold pointers, .*; store an index instead
// What a pointer points to is not in the buffer.
#include <shard/buffer.hpp>

shard::buffer<const char*> names(10);
