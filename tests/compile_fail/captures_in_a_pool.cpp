// expect: a kernel of a pool captures nothing
#include <shard/shard.hpp>

int main() {
  shard::pool pool;
  shard::buffer<double> y(10);
  const double factor = 2;
  pool.map(y, [factor](std::size_t i) { return factor * static_cast<double>(i); });
}
