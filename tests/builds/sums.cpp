// Adds up numbers that are made to hurt, in every form that users have, and prints a hash of all
// results. Every build of this program must print the same: also one that is compiled, and linked,
// with -ffast-math.
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <random>
#include <shard/exact.hpp>
#include <span>
#include <vector>

namespace {

using namespace shard::exact;

std::uint64_t hash = 0xCBF29CE484222325u;

void add_to_hash(std::uint64_t word) { hash = (hash ^ word) * 0x100000001B3u; }
void add_to_hash(double result) { add_to_hash(std::bit_cast<std::uint64_t>(result)); }
void add_to_hash(float result) { add_to_hash(std::uint64_t{std::bit_cast<std::uint32_t>(result)}); }

// Numbers within so many binary orders of 2^highest: from bits, so that no flag matters.
std::vector<double> numbers_of(std::mt19937_64& random, std::size_t count, unsigned highest,
                               unsigned orders) {
  std::vector<double> made(count);
  for (double& each : made) {
    const std::uint64_t field = highest - random() % orders;
    each = std::bit_cast<double>((random() & 0x800fffffffffffff) | field << 52);
  }
  return made;
}

std::vector<float> floats_of(std::mt19937_64& random, std::size_t count) {
  std::vector<float> made(count);
  for (float& each : made) {
    const auto bits = static_cast<std::uint32_t>(random());
    each = std::bit_cast<float>((bits & 0x807fffff) | (bits >> 8 & 15) << 23);  // many subnormals
  }
  return made;
}

void add_up(std::span<const double> x, std::span<const double> y, std::span<const float> floats) {
  collector<sum_state> each;
  for (const double value : x) each.add(value);
  add_to_hash(each.state().value());
  add_to_hash(each.state().value_as_float());
  collector<sum_state, float> each_float;
  for (const float value : floats) each_float.add(value);
  add_to_hash(each_float.state().value());
  add_to_hash(each_float.state().value_as_float());

  add_to_hash(sum(x));
  add_to_hash(sum(numbers<double>(x.data(), x.size() / 3, 3)));
  add_to_hash(dot(x, y));
  add_to_hash(norm2(y));

  collector<mean_variance_state> moments;
  for (const double value : y) moments.add(value);
  add_to_hash(moments.state().mean());
  add_to_hash(moments.state().variance());
  add_to_hash(moments.state().deviation());
  add_to_hash(moments.state().error());

  covariance_state joint;
  joint.add(x, y);
  joint.add(floats, floats);
  add_to_hash(joint.covariance());
  add_to_hash(joint.correlation());
}

}  // namespace

int main() {
  std::mt19937_64 random(11);
  // The widths of windows and more; the ends of the range of double.
  for (const unsigned orders : {1U, 10U, 60U, 150U, 400U}) {
    for (const unsigned highest : {400U, 1023U, 1100U, 2046U}) {
      for (const std::size_t count : {1U, 33U, 1000U, 5003U}) {
        const std::vector<double> x = numbers_of(random, count, highest, orders);
        const std::vector<double> y = numbers_of(random, count, 2446U - highest, orders);
        add_up(x, y, floats_of(random, count));
      }
    }
  }
  for (const std::size_t count : {40U, 3000U}) {
    const std::vector<double> subnormals = numbers_of(random, count, 0, 1);
    const std::vector<double> small = numbers_of(random, count, 20, 20);
    add_up(subnormals, small, floats_of(random, count));
  }
  std::printf("%016llx\n", static_cast<unsigned long long>(hash));
}
