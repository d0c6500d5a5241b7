// expect: shard: worker_state's make returns a reference
// Each worker has a state of its own, not a share of one.
#include <shard/map.hpp>

#include <vector>

void run(shard::buffer<double>& out, std::vector<double>& scratch) {
  shard::map(out, shard::worker_state([&]() -> std::vector<double>& { return scratch; }),
             [](std::size_t, std::vector<double>& mine) { return mine[0]; });
}
