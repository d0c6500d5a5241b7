// expect: shard: the kernel's parameter 3 doesn't fit its argument: .*out\(\) gives a slice<T>
#include <shard/shard.hpp>
#include <span>

void run(const shard::buffer<float>& x, shard::buffer<float>& y) {
  shard::map(shard::range{0, 5}, shard::in(x), shard::out(y),
             [](std::size_t i, auto x, std::span<float> y) { y[i] = x[i]; });
}
