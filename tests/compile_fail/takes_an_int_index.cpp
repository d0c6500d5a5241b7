// expect: shard: the kernel's index must be std::size_t
// Three billion indices do not fit an int.
#include <shard/map.hpp>

void run(shard::buffer<double>& out) {
  shard::map(out, [](int i) { return double(i); });
}
