// A histogram filled by a map: all 6^8 throws of eight dice, counted by the sum of their eyes.
// Every chunk counts exactly once, even where a worker dies and its chunk is run again.
//
// Draws the counts in the terminal, and in dice.svg for a page. numpy reads them from dice.npy, and
// their edges from dice.edges0.npy; hist and boost-histogram read dice.json.
//
// Expected: a bell from 8, thrown once, up to 28, thrown 135954 times, and down again to 48.
#include <cstdint>
#include <iostream>
#include <shard/shard.hpp>

int main() {
  shard::histogram by_sum{shard::axis::integer(8, 49)};
  shard::map(1'679'616, shard::reduce(by_sum), [](std::size_t throw_number, auto& bins) {
    std::size_t eyes = 8;
    for (int die = 0; die < 8; ++die, throw_number /= 6) eyes += throw_number % 6;
    bins(eyes);
  });

  std::cout << shard::draw(by_sum, {.title = "Throws of eight dice, by the sum of their eyes"});
  shard::save("dice.npy", by_sum);
  shard::save_json("dice.json", by_sum);
  shard::save_svg("dice.svg", by_sum,
                  {.title = "Eight dice", .x_label = "eyes", .y_label = "throws"});

  std::int64_t throws = 0;
  for (const std::int64_t count : shard::open<std::int64_t>("dice.npy")) throws += count;
  return throws == 1'679'616 && by_sum.at(20) == 135'954 ? 0 : 1;
}
