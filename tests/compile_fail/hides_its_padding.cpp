// expect: can't tell which bytes of the struct are padding
#include <shard/shard.hpp>

struct flags {
  unsigned low : 3;
  double x;
};

shard::buffer<flags> all(10);
