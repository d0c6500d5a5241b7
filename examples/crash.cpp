// A crash is data: the kernel dies at one index, each time it is tried. The report names the chunk,
// its indices and the signal; all other chunks are complete, and the program goes on.
//
// Expected: one line for the run, one for each of the three attempts at the chunk [600, 700), and
// "900 of 1000 are there".
#include <cstdlib>
#include <iostream>
#include <shard/shard.hpp>

int main() {
  shard::buffer<int> answer(1000);
  const shard::report run =
      shard::try_map({.grain = 100, .keep_going = true}, answer, [](std::size_t i) {
        if (i == 613) std::abort();
        return 42;
      });
  std::cout << run << '\n';

  std::size_t right = 0;
  for (const shard::range part : run.completed()) {
    for (const std::size_t i : part) right += answer[i] == 42 ? 1 : 0;
  }
  std::cout << right << " of 1000 are there\n";

  const shard::range lost{600, 700};
  for (const shard::failure& f : run.failures()) {
    if (f.indices != lost || f.kind != "signal") return 1;
  }
  return run.failures().size() == 3 && right == 900 ? 0 : 1;
}
