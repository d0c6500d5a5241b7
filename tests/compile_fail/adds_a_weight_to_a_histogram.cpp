// expect: shard: this count would be narrowed .* add fractions to a shard::sum<double>
#include <shard/shard.hpp>

void kernel(shard::histogram<shard::axis::regular_axis>::accumulator& bins, double w) {
  bins.add(w, 0.5);
}
