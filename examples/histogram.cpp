// A histogram filled by a map: all 6^8 throws of eight dice, counted by the sum of their eyes.
// Every chunk counts exactly once, even where a worker dies and its chunk is run again.
//
// Expected: a bell from "8 1" up to "28 135954" and down again to "48 1".
#include <cstdint>
#include <iostream>
#include <shard/shard.hpp>
#include <string>

int main() {
  shard::histogram by_sum{shard::axis::integer(8, 49)};
  shard::map(1'679'616, shard::reduce(by_sum), [](std::size_t throw_number, auto& bins) {
    std::size_t eyes = 8;
    for (int die = 0; die < 8; ++die, throw_number /= 6) eyes += throw_number % 6;
    bins(eyes);
  });

  std::int64_t throws = 0;
  for (int bin = 0; bin <= 40; ++bin) {
    const std::int64_t count = by_sum.at(bin);
    throws += count;
    std::cout << bin + 8 << ' ' << count << '\t' << std::string(std::size_t(count / 2500), '*')
              << '\n';
  }
  return throws == 1'679'616 && by_sum.at(20) == 135'954 ? 0 : 1;
}
