// Which of 4000 columns go with a target? The correlation of each with it, exactly, and the ten
// columns with the largest ones. Five of the columns are in the target, beside noise.
//
// Expected: "5 of the 10 best are planted; the best is column 7, r = 0.426".
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <shard/shard.hpp>
#include <span>

int main() {
  constexpr std::size_t columns = 4000;
  constexpr std::size_t rows = 2000;
  constexpr std::array<std::size_t, 5> planted{7, 70, 700, 1701, 3999};

  shard::buffer<double, 2> x(columns, rows);  // a column of the table is a row here: contiguous
  shard::map(x, [](std::size_t column, std::span<double> values) {
    shard::random_stream(1, column).fill_normal(values);
  });
  shard::buffer<double> target(rows);
  shard::map(target, shard::in(x), [&](std::size_t row, auto from) {
    double sum = shard::random_stream(2, row).normal();
    for (const std::size_t column : planted) sum += from(column, row);
    return sum;
  });

  shard::top_k<double> best(10);
  shard::map(columns, shard::in(x), shard::in(target), shard::reduce(best),
             [](std::size_t column, auto from, auto y, auto& largest) {
               shard::exact::covariance_state both;
               both.add(from.row(column), y.span({0, rows}));
               largest(std::abs(both.correlation()), column);
             });

  const auto found =
      static_cast<std::size_t>(std::ranges::count_if(best.entries(), [&](const auto& entry) {
        return std::ranges::find(planted, entry.index) != planted.end();
      }));
  const auto [r, column] = best.entries().front();
  std::printf("%zu of the 10 best are planted; the best is column %zu, r = %.3f\n", found, column,
              r);
  return found == planted.size() ? 0 : 1;
}
