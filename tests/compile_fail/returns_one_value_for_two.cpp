// expect: shard: the kernel must return a std::tuple with one value for each output
// There are two outputs.
#include <shard/map.hpp>

void run(shard::buffer<double>& a, shard::buffer<float>& b) {
  shard::map(std::tie(a, b), [](std::size_t i) { return double(i); });
}
