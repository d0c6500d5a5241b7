// expect: constraint|element
// What a pointer points to is not in the buffer.
#include <shard/buffer.hpp>

shard::buffer<const char*> names(10);
