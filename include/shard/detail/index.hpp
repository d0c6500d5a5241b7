// Index arithmetic of row-major arrays, and the checks that SHARD_CHECKED switches on. Not for
// users.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <vector>

#include "shard/range.hpp"

namespace shard::detail {

// Whether element access is checked. A check in every access costs a tight loop 1.7 to 3 times its
// speed, so this is a switch of its own, apart from NDEBUG.
//
// A type that checks is another type than the one that does not, by its tag in the names that the
// linker sees. So translation units that disagree never share a function, and do not link if one of
// them gives a buffer or a view to the other.
#ifdef SHARD_CHECKED
constexpr bool checked = true;
#define SHARD_ACCESS [[gnu::abi_tag("checked")]]
#else
constexpr bool checked = false;
#define SHARD_ACCESS
#endif

template <std::size_t Rank>
using extents = std::array<std::size_t, Rank>;

// Of a buffer: what the tests go through.
inline constexpr std::size_t most_dimensions = 8;

// Of an element: the data of a buffer begin at a multiple of it.
inline constexpr std::size_t most_alignment = 4096;

// Consecutive elements, in row-major order.
struct stretch {
  std::size_t first = 0;
  std::size_t count = 0;
};

// How many elements there are. Requires: the product fits, as it does for every mapped buffer.
template <std::size_t Rank>
constexpr std::size_t volume(const extents<Rank>& shape) noexcept {
  std::size_t elements = 1;
  for (std::size_t extent : shape) elements *= extent;
  return elements;
}

// How many elements one step of the first dimension passes.
template <std::size_t Rank>
constexpr std::size_t row_volume(const extents<Rank>& shape) noexcept {
  std::size_t elements = 1;
  for (std::size_t d = 1; d < Rank; ++d) elements *= shape[d];
  return elements;
}

// How far from the first element the one at `index` is.
template <std::size_t Rank>
constexpr std::size_t offset(const extents<Rank>& shape, const extents<Rank>& index) noexcept {
  std::size_t elements = index[0];
  for (std::size_t d = 1; d < Rank; ++d) elements = elements * shape[d] + index[d];
  return elements;
}

// An index in every dimension, made of numbers of any integer type. A negative one becomes larger
// than any extent, so that one comparison refuses both.
template <std::size_t Rank>
class position {
 public:
  template <std::integral... I>
    requires(sizeof...(I) == Rank)
  constexpr position(I... indices) noexcept : indices_{static_cast<std::size_t>(indices)...} {}
  constexpr position(const extents<Rank>& indices) noexcept : indices_(indices) {}

  constexpr operator const extents<Rank>&() const noexcept { return indices_; }
  constexpr std::size_t operator[](std::size_t dimension) const noexcept {
    return indices_[dimension];
  }

 private:
  extents<Rank> indices_;
};

// Each throws shard::error(argument_out_of_domain) naming the index and what was allowed.
[[noreturn]] void refuse_index(std::size_t dimension, std::size_t found, std::size_t extent);
// The same of indices[k] in a list.
[[noreturn]] void refuse_listed_index(const char* operation, std::size_t k, std::size_t found,
                                      std::size_t size);
[[noreturn]] void refuse_outside_chunk(const char* dimension, std::size_t found, range chunk);
[[noreturn]] void refuse_range(range found, std::size_t extent);
[[noreturn]] void refuse_elements(const char* operation, range found, std::size_t extent);
[[noreturn]] void refuse_part(std::size_t dimension, range found, range allowed);
// Throws shard::error(bad_file_descriptor).
[[noreturn]] void refuse_closed();
// Throws shard::error(invalid_argument).
[[noreturn]] void refuse_length(const char* operation, std::size_t found, std::size_t expected);
[[noreturn]] void refuse_step(std::size_t dimension, std::size_t dimensions, std::size_t step);
[[noreturn]] void refuse_span_of_strided();
[[noreturn]] void refuse_span_of_tile(tile cells, std::size_t columns);
// Throws shard::error(invalid_argument).
[[noreturn]] void refuse_negative_extent(long long found);

template <std::size_t Rank>
constexpr void require_inside(const extents<Rank>& shape, const extents<Rank>& index) {
  for (std::size_t d = 0; d < Rank; ++d) {
    if (index[d] >= shape[d]) refuse_index(d, index[d], shape[d]);
  }
}

// The extents behind the first dimension.
template <std::size_t Rank>
constexpr extents<Rank - 1> row_shape(const extents<Rank>& shape) noexcept {
  extents<Rank - 1> behind{};
  for (std::size_t d = 1; d < Rank; ++d) behind[d - 1] = shape[d];
  return behind;
}

// How far apart neighbours are in each dimension.
template <std::size_t Rank>
constexpr extents<Rank> row_major(const extents<Rank>& shape) noexcept {
  extents<Rank> strides{};
  std::size_t elements = 1;
  for (std::size_t d = Rank; d-- > 0; elements *= shape[d]) strides[d] = elements;
  return strides;
}

// What selects a part of `all`: nothing (which is all), one range for each dimension, or an array
// of these.
template <std::size_t Rank>
constexpr std::array<range, Rank> part_of(const extents<Rank>& shape) noexcept {
  std::array<range, Rank> all{};
  for (std::size_t d = 0; d < Rank; ++d) all[d].last = shape[d];
  return all;
}
template <std::size_t Rank>
constexpr std::array<range, Rank> part_of(const std::array<range, Rank>& all) noexcept {
  return all;
}
template <std::size_t Rank, std::same_as<range>... R>
  requires(sizeof...(R) == Rank)
constexpr std::array<range, Rank> part_of(const std::array<range, Rank>&, const R&... part) {
  return {part...};
}
template <std::size_t Rank>
constexpr std::array<range, Rank> part_of(const std::array<range, Rank>&,
                                          const std::array<range, Rank>& part) noexcept {
  return part;
}
template <std::size_t Rank, class... Part>
concept selects = requires(const std::array<range, Rank>& all, const Part&... part) {
  part_of<Rank>(all, part...);
};

template <std::size_t Rank>
constexpr void require_within(const std::array<range, Rank>& allowed,
                              const std::array<range, Rank>& part) {
  for (std::size_t d = 0; d < Rank; ++d) {
    if (part[d].first > part[d].last || part[d].first < allowed[d].first ||
        part[d].last > allowed[d].last) {
      refuse_part(d, part[d], allowed[d]);
    }
  }
}

// The elements of a part, one range for each dimension, in row-major order and as few stretches as
// there are. Requires: ranges inside the extents.
template <std::size_t Rank>
std::vector<stretch> stretches_of(const extents<Rank>& shape, const std::array<range, Rank>& part) {
  for (const range& each : part) {
    if (each.first == each.last) return {};
  }
  // Dimensions from here on make one stretch.
  std::size_t outer = Rank - 1;
  while (outer > 0 && part[outer].size() == shape[outer]) --outer;
  std::size_t count = 1;
  for (std::size_t d = outer; d < Rank; ++d) count *= part[d].size();

  std::vector<stretch> stretches;
  extents<Rank> at;
  for (std::size_t d = 0; d < Rank; ++d) at[d] = part[d].first;
  for (;;) {
    stretches.push_back({offset<Rank>(shape, at), count});
    std::size_t d = outer;
    while (d > 0 && ++at[d - 1] == part[d - 1].last) {
      at[d - 1] = part[d - 1].first;
      --d;
    }
    if (d == 0) return stretches;
  }
}

}  // namespace shard::detail
