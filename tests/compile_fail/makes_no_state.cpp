// expect: shard: worker_state's make returns nothing
// What make does is not the state; what it returns is.
#include <shard/map.hpp>

void run(shard::buffer<double>& out) {
  shard::map(out, shard::worker_state([] {}), [](std::size_t i) { return double(i); });
}
