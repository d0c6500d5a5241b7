// expect: shard: the kernel takes a worker_state by value; take it by reference, State&
// The copy would be made for each index, and forgotten.
#include <shard/map.hpp>

#include <vector>

void run(shard::buffer<double>& out) {
  shard::map(out, shard::worker_state([] { return std::vector<double>(10); }),
             [](std::size_t, std::vector<double> scratch) { return scratch[0]; });
}
