// expect: shard: the kernel is mutable
// The state would change in a worker, and differ between workers.
#include <shard/map.hpp>

void run(shard::buffer<double>& out) {
  shard::map(out, [n = 0.0](std::size_t) mutable { return ++n; });
}
