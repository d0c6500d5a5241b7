// Blocks of the numbers that a caller gives, as doubles side by side.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "exact/block.hpp"
#include "shard/exact.hpp"

namespace shard::exact {

template <class T>
class source {
 public:
  explicit source(const numbers<T>& from) noexcept : from_(from) {}

  // Requires: first + count <= the count of the numbers; count <= block_size. The block stays until
  // the next one is asked for. Floats: only under default_arithmetic.
  const double* block(std::size_t first, std::size_t count) noexcept {
    if constexpr (std::is_same_v<T, double>) {
      if (from_.stride == 1) return from_.first + first;
    }
    const T* at = from_.first + static_cast<std::ptrdiff_t>(first) * from_.stride;
    for (std::size_t k = 0; k < count; ++k) {
      copied_[k] = static_cast<double>(at[static_cast<std::ptrdiff_t>(k) * from_.stride]);
    }
    return copied_;
  }

 private:
  numbers<T> from_;
  double copied_[block_size];
};

// Calls one(first, count) for all blocks.
template <class One>
void each_block(std::size_t count, One one) noexcept {
  for (std::size_t first = 0; first < count; first += block_size) {
    one(first, std::min(block_size, count - first));
  }
}

}  // namespace shard::exact
