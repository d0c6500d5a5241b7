// One array and no copy: worker processes fill a buffer; Eigen, std::span and (where the standard
// library has it) std::mdspan read and change it in place.
//
// Expected:
//   column sums 60 64 68 72 76
//   a part, doubled: 22 24 26 42 44 46
//   sum of all 442
#include <Eigen/Core>
#include <iostream>
#include <numeric>
#include <shard/shard.hpp>
#include <version>
#ifdef __cpp_lib_mdspan
#include <mdspan>
#endif

// Row-major, as buffers are; Eigen's own default is not.
using matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using strides = Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>;

int main() {
  shard::buffer<double, 2> table(4, 5);
  shard::map(table, [](std::size_t i, std::size_t j) { return 10.0 * double(i) + double(j); });

  // A buffer is contiguous: a pointer and its extents are all that others need.
  Eigen::Map<matrix> all(table.span().data(), Eigen::Index(table.extent(0)),
                         Eigen::Index(table.extent(1)));
  const Eigen::RowVectorXd sums = all.colwise().sum();
  std::cout << "column sums " << sums << "\n";
  bool right = sums(0) == 60 && sums(4) == 76;

  // A part of it has strides, too: rows 1 and 2, columns 1 to 3.
  const shard::strided_view<double, 2> part = table.slab(shard::range{1, 3}, shard::range{1, 4});
  Eigen::Map<matrix, Eigen::Unaligned, strides> inner(
      part.data(), Eigen::Index(part.extent(0)), Eigen::Index(part.extent(1)),
      strides(Eigen::Index(part.stride(0)), Eigen::Index(part.stride(1))));
  inner *= 2;
  std::cout << "a part, doubled:";
  for (double x : part) std::cout << " " << x;
  right = right && table(2, 3) == 46 && table(2, 4) == 24;

  const std::span<const double> flat = table.span();
  const double sum = std::accumulate(flat.begin(), flat.end(), 0.0);
  std::cout << "\nsum of all " << sum << "\n";
  right = right && sum == 442;

#ifdef __cpp_lib_mdspan
  const std::mdspan seen(
      part.data(),
      std::layout_stride::mapping(std::dextents<std::size_t, 2>(part.shape()), part.strides()));
  right = right && seen[std::array<std::size_t, 2>{1, 2}] == 46;
#endif
  return right ? 0 : 1;
}
