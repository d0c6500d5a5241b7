// A Monte Carlo estimate: the volume of the unit ball in six dimensions, by four million random
// points of the cube around it. Each index has random numbers of its own, so the estimate is the
// same with any number of workers, on any machine, and after any crash.
//
// Expected: "volume 5.1557 ± 0.0087, in truth 5.1677".
#include <cmath>
#include <cstdio>
#include <numbers>
#include <shard/shard.hpp>

int main() {
  constexpr std::size_t points = 4'000'000;
  constexpr int dimensions = 6;
  shard::counter inside;
  shard::map(points, shard::reduce(inside), [](std::size_t i, auto& hits) {
    shard::random_stream random(2024, i);  // seed, index
    double square = 0;
    for (int k = 0; k < dimensions; ++k) {
      const double x = 2 * random.uniform() - 1;
      square += x * x;
    }
    if (square < 1) ++hits;
  });

  const double cube = std::pow(2, dimensions);
  const double share = double(inside.value()) / points;
  const double volume = cube * share;
  const double error = cube * std::sqrt(share * (1 - share) / points);
  const double truth = std::pow(std::numbers::pi, 3) / 6;
  std::printf("volume %.4f ± %.4f, in truth %.4f\n", volume, error, truth);
  return std::abs(volume - truth) < 4 * error ? 0 : 1;
}
