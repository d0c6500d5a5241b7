// expect: deleted function
// Nobody could read the result.
#include <shard/map.hpp>

void run() {
  shard::map(10, shard::out(shard::buffer<double>(10)),
             [](std::size_t i, auto out) { out[i] = 1; });
}
