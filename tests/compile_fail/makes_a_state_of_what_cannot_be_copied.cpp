// expect: shard: worker_state copies make and its arguments
// Every worker makes its state of the same arguments.
#include <shard/map.hpp>

#include <memory>

void run(shard::buffer<double>& out, std::unique_ptr<double> seed) {
  shard::map(out, shard::worker_state([](auto& from) { return *from; }, std::move(seed)),
             [](std::size_t, double& state) { return state; });
}
