// The sum of what one call adds.
#pragma once

#include <cstddef>
#include <cstdint>

#include "exact/deposits.hpp"
#include "exact/window_choice.hpp"
#include "shard/detail/exact_numbers.hpp"

namespace shard::exact {

// To set windows up takes as long as to add so many numbers one by one.
inline constexpr std::size_t worth_cutting = 32;

class summation {
 public:
  // Requires: count <= block_size, default_arithmetic.
  void add_block(const double* x, std::size_t count) noexcept;
  // A few, in integers, whatever the mode. Any numbers.
  void add_each(const double* x, std::size_t count) noexcept;

  std::uint8_t kinds() const noexcept { return kinds_; }
  number<detail::words_of_sum> total() noexcept;

 private:
  bool cut(const double* x, std::size_t count, unsigned highest) noexcept;
  void note_kinds(const double* x, std::size_t count) noexcept;

  window_choice choice_{most_windows};
  std::uint8_t kinds_ = 0;
  deposits<detail::words_of_sum> exact_;
  group_sums groups_;
};

}  // namespace shard::exact
