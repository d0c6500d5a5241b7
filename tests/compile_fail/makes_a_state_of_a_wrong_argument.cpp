// expect: shard: worker_state\(make, arguments\.\.\.\) can't call make
// make wants a size, not a text.
#include <shard/map.hpp>

#include <vector>

void run(shard::buffer<double>& out) {
  shard::map(out, shard::worker_state([](std::size_t n) { return std::vector<double>(n); }, "ten"),
             [](std::size_t, std::vector<double>& scratch) { return scratch[0]; });
}
