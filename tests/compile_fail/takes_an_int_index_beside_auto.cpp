// expect: shard: the kernel's index must be std::size_t
// Three billion indices do not fit an int; the other parameter is deduced.
#include <shard/map.hpp>

void run(shard::buffer<double>& out, shard::sum<double>& total) {
  shard::map(out, shard::reduce(total), [](int i, auto& sum) {
    sum += double(i);
    return double(i);
  });
}
