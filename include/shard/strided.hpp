// Parts of arrays. slab() and row() of buffers, views and slices return them. The elements of a
// part need not lie side by side.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <concepts>
#include <cstddef>
#include <iterator>
#include <ranges>
#include <span>
#include <type_traits>

#include "shard/detail/index.hpp"
#include "shard/range.hpp"

namespace shard {

// A handle that may be copied freely, like std::span. It owns nothing: its elements are those of
// the buffer that it was made from. A const strided_view still writes its elements; a
// strided_view<const T> does not. Indices count from the part's own first element. In each
// dimension, neighbours lie one stride apart. A stride is a number of elements.
template <class T, std::size_t Rank = 1>
class SHARD_ACCESS strided_view {
  static_assert(Rank >= 1 && Rank <= detail::most_dimensions);

 public:
  class iterator;
  using element_type = T;
  using value_type = std::remove_const_t<T>;

  constexpr strided_view() noexcept = default;
  // The whole of a row-major array.
  constexpr strided_view(T* first, std::array<std::size_t, Rank> shape) noexcept
      : first_(first), shape_(shape), strides_(detail::row_major<Rank>(shape)) {}

  constexpr strided_view(T* first, std::array<std::size_t, Rank> shape,
                         std::array<std::size_t, Rank> strides) noexcept
      : first_(first), shape_(shape), strides_(strides) {}
  template <class U>
    requires std::same_as<const U, T>
  constexpr strided_view(const strided_view<U, Rank>& writable) noexcept
      : strided_view(writable.data(), writable.shape(), writable.strides()) {}

  // Requires: each index is inside its extent. SHARD_CHECKED checks this.
  constexpr T& operator[](std::size_t i) const noexcept(!detail::checked)
    requires(Rank == 1)
  {
    return first_[place({i})];
  }
  template <std::integral... I>
    requires(sizeof...(I) == Rank)
  constexpr T& operator()(I... indices) const noexcept(!detail::checked) {
    return first_[place({indices...})];
  }

  constexpr std::size_t size() const noexcept { return detail::volume(shape_); }
  constexpr bool empty() const noexcept { return size() == 0; }
  constexpr std::size_t extent(std::size_t dimension) const noexcept { return shape_[dimension]; }
  constexpr std::size_t stride(std::size_t dimension) const noexcept { return strides_[dimension]; }
  constexpr std::array<std::size_t, Rank> shape() const noexcept { return shape_; }
  constexpr std::array<std::size_t, Rank> strides() const noexcept { return strides_; }
  constexpr T* data() const noexcept { return first_; }

  // What has index i in the first dimension. Requires: i < extent(0). SHARD_CHECKED checks this.
  constexpr strided_view<T, Rank - 1> row(std::size_t i) const noexcept(!detail::checked)
    requires(Rank >= 2)
  {
    if (detail::checked && i >= shape_[0]) detail::refuse_index(0, i, shape_[0]);
    return {first_ + i * strides_[0], detail::row_shape<Rank>(shape_),
            detail::row_shape<Rank>(strides_)};
  }

  // A part of this part: one range for each dimension, or no range at all for the whole. Throws
  // shard::error(argument_out_of_domain) if a range is not inside its extent.
  template <class... Part>
    requires detail::selects<Rank, Part...>
  constexpr strided_view sub(const Part&... part) const;

  // Keeps of one dimension only the indices 0, step, 2 * step, … Throws
  // shard::error(invalid_argument) if there is no such dimension, or if step is 0.
  constexpr strided_view every(std::size_t dimension, std::size_t step) const;

  // The dimensions in reverse order: element (i, j, k) here is element (k, j, i) there.
  constexpr strided_view transposed() const noexcept {
    strided_view other = *this;
    std::ranges::reverse(other.shape_);
    std::ranges::reverse(other.strides_);
    return other;
  }

  // contiguous(): whether the elements lie side by side, in row-major order. span(): the elements
  // as contiguous memory. It throws shard::error(invalid_argument) if they are not contiguous.
  constexpr bool contiguous() const noexcept;
  constexpr std::span<T> span() const {
    if (!contiguous()) detail::refuse_span_of_strided();
    return {first_, size()};
  }

  // Random access iterators, in row-major order. Single steps are fast. A jump divides once for
  // each dimension.
  constexpr iterator begin() const noexcept { return iterator(*this, 0); }
  constexpr iterator end() const noexcept { return iterator(*this, size()); }

 private:
  constexpr std::size_t place(const detail::position<Rank>& at) const noexcept(!detail::checked) {
    if constexpr (detail::checked) detail::require_inside<Rank>(shape_, at);
    std::size_t elements = 0;
    for (std::size_t d = 0; d < Rank; ++d) elements += at[d] * strides_[d];
    return elements;
  }

  T* first_ = nullptr;
  std::array<std::size_t, Rank> shape_{};
  std::array<std::size_t, Rank> strides_{};
};

// An iterator may outlive its view, but not the buffer.
template <class T, std::size_t Rank>
class strided_view<T, Rank>::iterator {
 public:
  using iterator_concept = std::random_access_iterator_tag;
  using iterator_category = std::random_access_iterator_tag;
  using value_type = std::remove_const_t<T>;
  using difference_type = std::ptrdiff_t;
  using pointer = T*;
  using reference = T&;

  constexpr iterator() noexcept = default;

  constexpr T& operator*() const noexcept { return *at_; }
  constexpr T* operator->() const noexcept { return at_; }
  constexpr T& operator[](difference_type k) const noexcept { return *(*this + k); }

  constexpr iterator& operator++() noexcept {
    if (--left_ == 0) return go_to(index_ + 1), *this;
    ++index_;
    at_ += of_.strides_[Rank - 1];
    return *this;
  }
  constexpr iterator& operator--() noexcept { return *this -= 1; }
  constexpr iterator operator++(int) noexcept {
    iterator before = *this;
    return ++*this, before;
  }
  constexpr iterator operator--(int) noexcept {
    iterator before = *this;
    return --*this, before;
  }
  constexpr iterator& operator+=(difference_type k) noexcept {
    return go_to(index_ + static_cast<std::size_t>(k)), *this;
  }
  constexpr iterator& operator-=(difference_type k) noexcept { return *this += -k; }

  friend constexpr iterator operator+(iterator it, difference_type k) noexcept { return it += k; }
  friend constexpr iterator operator+(difference_type k, iterator it) noexcept { return it += k; }
  friend constexpr iterator operator-(iterator it, difference_type k) noexcept { return it -= k; }
  friend constexpr difference_type operator-(const iterator& a, const iterator& b) noexcept {
    return static_cast<difference_type>(a.index_ - b.index_);
  }
  friend constexpr bool operator==(const iterator& a, const iterator& b) noexcept {
    return a.index_ == b.index_;
  }
  friend constexpr auto operator<=>(const iterator& a, const iterator& b) noexcept {
    return a.index_ <=> b.index_;
  }

 private:
  friend class strided_view;
  constexpr iterator(const strided_view& of, std::size_t index) noexcept : of_(of) { go_to(index); }

  // The end is found at element 0, where it does no harm.
  constexpr void go_to(std::size_t index) noexcept {
    index_ = index;
    at_ = of_.first_;
    if (of_.empty()) return;
    left_ = of_.shape_[Rank - 1] - index % of_.shape_[Rank - 1];
    for (std::size_t d = Rank; d-- > 0; index /= of_.shape_[d]) {
      at_ += index % of_.shape_[d] * of_.strides_[d];
    }
  }

  strided_view of_;
  std::size_t index_ = 0;
  T* at_ = nullptr;       // the element
  std::size_t left_ = 0;  // of the innermost dimension, this one included
};

template <class T, std::size_t Rank>
template <class... Part>
  requires detail::selects<Rank, Part...>
constexpr strided_view<T, Rank> strided_view<T, Rank>::sub(const Part&... part) const {
  const std::array<range, Rank> all = detail::part_of<Rank>(shape_);
  const std::array<range, Rank> found = detail::part_of<Rank>(all, part...);
  detail::require_within<Rank>(all, found);
  strided_view inner = *this;
  std::size_t skipped = 0;
  for (std::size_t d = 0; d < Rank; ++d) {
    inner.shape_[d] = found[d].size();
    skipped += found[d].first * strides_[d];
  }
  if (!inner.empty()) inner.first_ += skipped;  // or it might be led out of the array
  return inner;
}

template <class T, std::size_t Rank>
constexpr strided_view<T, Rank> strided_view<T, Rank>::every(std::size_t dimension,
                                                             std::size_t step) const {
  if (dimension >= Rank || step == 0) detail::refuse_step(dimension, Rank, step);
  strided_view sparse = *this;
  sparse.shape_[dimension] = shape_[dimension] / step + (shape_[dimension] % step != 0);
  sparse.strides_[dimension] *= step;
  return sparse;
}

template <class T, std::size_t Rank>
constexpr bool strided_view<T, Rank>::contiguous() const noexcept {
  std::size_t expected = 1;
  for (std::size_t d = Rank; d-- > 0; expected *= shape_[d]) {
    if (shape_[d] != 1 && strides_[d] != expected && !empty()) return false;
  }
  return true;
}

namespace detail {

// What row() of a row-major array returns: in rank 2 the row is contiguous memory.
template <class T, std::size_t Rank>
using row_of = std::conditional_t<Rank == 2, std::span<T>, strided_view<T, Rank - 1>>;

// The row whose first element is `first`.
template <class T, std::size_t Rank>
constexpr row_of<T, Rank> row_at(T* first, const extents<Rank>& shape) noexcept {
  if constexpr (Rank == 2) {
    return {first, shape[1]};
  } else {
    return {first, row_shape<Rank>(shape)};
  }
}

}  // namespace detail

}  // namespace shard

template <class T, std::size_t Rank>
inline constexpr bool std::ranges::enable_borrowed_range<shard::strided_view<T, Rank>> = true;
