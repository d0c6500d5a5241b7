// The program of the README: a million squares in a file that numpy opens, and their sum.
//
// Expected: what the run did in one line, then "sum 333332833333500000".
#include <iostream>
#include <shard/shard.hpp>

int main() {
  auto squares = shard::create<std::uint64_t>("squares.npy", 1'000'000);  // the output file itself
  shard::sum<std::uint64_t> total;
  shard::report run = shard::map(squares, shard::reduce(total), [](std::size_t i, auto& sum) {
    sum += i * i;
    return i * i;  // becomes squares[i]
  });
  std::cout << run << "\nsum " << total.value() << "\n";
  return total.value() == 333'332'833'333'500'000 ? 0 : 1;
}
