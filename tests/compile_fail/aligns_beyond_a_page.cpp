// expect: 4096 bytes at most
// The data of a buffer begin at byte 4096.
#include <shard/buffer.hpp>

struct alignas(8192) vast {
  int number;
};

shard::buffer<vast> all(1);
