// A program that is compiled with -ffast-math, and whose data have NaNs all the same: each has its
// place, or is ignored. Returns 0 if that is so.
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <shard/shard.hpp>
#include <vector>

namespace {

int wrong = 0;

void expect(const char* what, std::int64_t found, std::int64_t expected) {
  if (found == expected) return;
  std::printf("%s: found %lld, expected %lld\n", what, static_cast<long long>(found),
              static_cast<long long>(expected));
  ++wrong;
}

template <class Histogram>
void count(const char* what, Histogram bins, const std::vector<double>& values, int size) {
  shard::map({.run_on = shard::executor::serial}, 1, shard::reduce(bins),
             [&](std::size_t, auto& to) {
               for (const double x : values) to(x);
               to.fill(values);
             });
  const auto n = 2 * static_cast<std::int64_t>(values.size());
  expect(what, bins.at(size), n);
}

}  // namespace

int main() {
  std::vector<double> values;
  // Of both signs, with any payload.
  for (const std::uint64_t bits : {0x7ff8'0000'0000'0000u, 0xfff8'0000'0000'0000u,
                                   0x7ff0'0000'0000'0001u, 0xffff'ffff'ffff'ffffu})
    for (int k = 0; k < 10; ++k) values.push_back(std::bit_cast<double>(bits));

  namespace axis = shard::axis;
  count("regular", shard::histogram(axis::regular(10, -1.0, 1.0)), values, 10);
  count("regular, many", shard::histogram(axis::regular(100'000, 0.0, 1.0)), values, 100'000);
  count("circular", shard::histogram(axis::circular(10, 0.0, 1.0)), values, 10);
  count("logarithmic", shard::histogram(axis::logarithmic(10, 1.0, 1e6)), values, 10);
  count("variable", shard::histogram(axis::variable({0.0, 1.0, 7.0})), values, 2);

  shard::quantiles<double> quantiles;
  shard::top_k<double> best(3);
  shard::map({.run_on = shard::executor::serial}, 1, shard::reduce(quantiles), shard::reduce(best),
             [&](std::size_t i, auto& all, auto& largest) {
               all.add(values);
               for (const double x : values) all(x), largest(x, i);
               largest.add(values, 0);
             });
  expect("quantiles", static_cast<std::int64_t>(quantiles.count()), 0);
  expect("top_k", static_cast<std::int64_t>(best.entries().size()), 0);
  return wrong == 0 ? 0 : 1;
}
