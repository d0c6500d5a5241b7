// expect: shard: the kernel's parameter 2 doesn't fit its argument: .*out\(\) gives a slice<T>
#include <shard/shard.hpp>
#include <span>

void run(shard::buffer<float>& y, shard::sum<double>& total) {
  shard::map(shard::range{0, 5}, shard::out(y), shard::reduce(total),
             [](shard::range chunk, std::span<float> y, auto& total) {
               for (std::size_t i : chunk) total += y[i] = 1;
             });
}
