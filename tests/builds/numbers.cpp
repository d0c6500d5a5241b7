// Draws random numbers of each kind. Every build of this program must find the same hashes.
#include "numbers.hpp"

#include <cstdio>

int main() {
  using shard::testing::golden_draws;
  const auto drawn = shard::testing::make_all_draws();
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    if (i >= golden_draws.size() || drawn[i] != golden_draws[i])
      std::printf("%s: found %016llx\n", drawn[i].kind.c_str(),
                  static_cast<unsigned long long>(drawn[i].hash));
  }
  return drawn == golden_draws ? 0 : 1;
}
