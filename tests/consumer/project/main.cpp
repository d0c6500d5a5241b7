// What a first outside program does with shard: a buffer, a map, a sum.
#include <shard/shard.hpp>

#include <cstddef>
#include <iostream>

int main() {
  const std::size_t n = 1000;
  shard::buffer<double> halves(n);
  shard::sum<double> total;
  shard::map(halves, shard::reduce(total), [](std::size_t i, auto& sum) {
    const double half = double(i) / 2;
    sum += half;
    return half;
  });

  const double expected = double(n * (n - 1)) / 4;
  std::cout << "sum " << total.value() << ", expected " << expected << "\n";
  return total.value() == expected && halves[n - 1] == double(n - 1) / 2 ? 0 : 1;
}
