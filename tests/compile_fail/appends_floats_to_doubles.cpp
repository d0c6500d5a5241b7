// expect: shard: append\(\) takes contiguous items of the type that is collected
#include <shard/collect.hpp>
#include <vector>

void kernel(shard::collect<double>::accumulator& items, const std::vector<float>& x) {
  items.append(x);
}
