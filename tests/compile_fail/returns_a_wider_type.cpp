// expect: shard: what the kernel returns would be narrowed
// A float can not hold every double: the kernel must say that it means to cut it.
#include <shard/map.hpp>

void run(shard::buffer<float>& out) {
  shard::map(out, [](std::size_t i) { return 0.1 * double(i); });
}
