// expect: a pool sends value\(x\)
#include <shard/shard.hpp>

int main() {
  shard::pool pool;
  shard::buffer<double> y(10);
  const double factor = 2;
  pool.map(y, shard::value(&factor), [](std::size_t, const double* by) { return *by; });
}
