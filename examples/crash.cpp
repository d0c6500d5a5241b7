// A crash is data: one row of a million is corrupt, and the kernel crashes there, each time it is
// tried. The report alone tells which row, and where in the code; all others are there.
//
// Expected: one line for the run; a paragraph for each failure, with the indices it came from, the
// signal, the stack ("in price_of(…) at …/crash.cpp:19", if it was compiled with -g) and what the
// kernel last wrote to stderr ("row 613013 …"); and how many rows are there.
#include <iostream>
#include <shard/shard.hpp>
#include <vector>

namespace {

constexpr std::size_t rows = 1'000'000;
constexpr std::size_t corrupt = 613'013;

const std::vector<double> prices(1000, 9.99);

double price_of(std::uint64_t product) { return prices.data()[product]; }

}  // namespace

int main() {
  shard::buffer<std::uint64_t> product(rows);
  for (std::size_t i = 0; i < rows; ++i) product[i] = i % prices.size();
  product[corrupt] = std::uint64_t{1} << 40;

  shard::buffer<double> price(rows);
  const shard::report run = shard::try_map({.keep_going = true}, price, [&](std::size_t i) {
    if (product[i] >= prices.size()) std::cerr << "row " << i << " has no such product\n";
    return price_of(product[i]);
  });
  std::cout << run << '\n';

  std::size_t right = 0;
  for (const shard::range part : run.completed()) {
    if (part.contains(corrupt)) return 1;
    for (const std::size_t i : part) right += price[i] == 9.99 ? 1 : 0;
  }
  std::cout << right << " of " << rows << " rows are there\n";

  if (run.failures().empty() || right + run.counts().grain < rows) return 1;
  for (const shard::failure& f : run.failures()) {
    if (!f.indices.contains(corrupt) || f.kind != "signal") return 1;
    if (f.stderr_tail.find("row 613013 ") == std::string::npos || f.stack.empty()) return 1;
  }
  return 0;
}
