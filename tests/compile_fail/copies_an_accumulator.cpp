// expect: deleted (function|constructor).*accumulator
// What is added to a copy would be lost: a kernel takes its accumulator by reference.
#include <shard/reduce.hpp>

void kernel(shard::sum<double>::accumulator& made) {
  [](auto total, double x) { total += x; }(made, 1.0);
}
