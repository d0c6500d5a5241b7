// The sum of the products that one call adds.
#pragma once

#include <cstddef>
#include <cstdint>

#include "exact/deposits.hpp"
#include "exact/window_choice.hpp"
#include "shard/detail/exact_numbers.hpp"

namespace shard::exact {

class products {
 public:
  // Requires: count <= block_size, default_arithmetic.
  void add_block(const double* x, const double* y, std::size_t count) noexcept;
  // A few, in integers, whatever the mode. Any numbers.
  void add_each(const double* x, const double* y, std::size_t count) noexcept;

  std::uint8_t kinds() const noexcept { return kinds_; }
  number<detail::words_of_products> total() noexcept;

 private:
  bool add_split(const double* x, const double* y, std::size_t count, const fields& in_x,
                 const fields& in_y) noexcept;
  bool cut(const double* x, const double* y, std::size_t count, int top,
           const fields& in_products) noexcept;
  void add_doubles(const double* x, std::size_t count) noexcept;
  void note_kinds(const double* x, const double* y, std::size_t count) noexcept;

  window_choice choice_{most_product_windows};
  std::uint8_t kinds_ = 0;
  deposits<detail::words_of_products> exact_;
  group_sums groups_;
};

}  // namespace shard::exact
