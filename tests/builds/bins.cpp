// Finds the bins of values that are hard to place on axes that are hard to compute with, compares
// each with a search in the edges that the axis reports, and prints a hash of all edges and bins.
// Every build of this program must print the same.
#include <bit>
#include <cstdint>
#include <cstdio>
#include <random>

#include "axes.hpp"
#include "shard/axis.hpp"

namespace {

namespace testing = shard::testing;

std::uint64_t hash = 0xCBF29CE484222325u;
int wrong = 0;

void add_to_hash(std::uint64_t word) { hash = (hash ^ word) * 0x100000001B3u; }

template <class Axis>
void place(const Axis& along, double x, int expected) {
  const int found = along.index(x);
  add_to_hash(std::bit_cast<std::uint64_t>(x));
  add_to_hash(static_cast<std::uint64_t>(found));
  if (found == expected) return;
  std::printf("%.17g: found bin %d, expected %d of %d\n", x, found, expected, along.size());
  ++wrong;
}

}  // namespace

int main() {
  std::mt19937_64 random(20240229);
  for (int i = 0; i < 1000; ++i) {
    const testing::shape made = testing::any_shape(random);
    const auto line = shard::axis::regular(made.bins, made.low, made.high);
    const auto circle = shard::axis::circular(made.bins, made.low, made.high);
    for (const double x : testing::hardest_values(line, random, 0, line.size())) {
      const int expected = testing::expected_bin(line, x);
      place(line, x, expected);
      if (x >= made.low && x < made.high) place(circle, x, expected);
    }
    for (const double x : testing::unusual_values()) place(line, x, testing::expected_bin(line, x));
  }
  for (int i = 0; i < 200; ++i) {
    const testing::shape made = testing::any_logarithmic_shape(random);
    const auto line = shard::axis::logarithmic(made.bins, made.low, made.high);
    for (const double x : testing::hardest_values(line, random, 0, line.size()))
      place(line, x, testing::expected_bin(line, x));
    for (const double x : testing::unusual_values()) place(line, x, testing::expected_bin(line, x));
  }
  const auto hours = shard::axis::circular(240, 0.1, 24.1);
  for (const double x : testing::hardest_values(hours, random, -720, 720))
    place(hours, x, testing::expected_bin(hours, x, 5));
  std::printf("%016llx\n", static_cast<unsigned long long>(hash));
  return wrong == 0 ? 0 : 1;
}
