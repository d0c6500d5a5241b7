// What a kernel receives for a buffer: view, slice or shared_view. map makes them. Each is a small
// handle that may be copied freely. It is valid only inside the kernel call that received it.
// Indices are global: out[i] is element i of the buffer, in every chunk.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>

#include "shard/atomics.hpp"
#include "shard/detail/index.hpp"
#include "shard/range.hpp"
#include "shard/strided.hpp"

namespace shard {

namespace detail {
struct slice_mover;
}

// The whole buffer, for reading. The kernel receives it for in(buffer).
template <class T, std::size_t Rank = 1>
class SHARD_ACCESS view {
  static_assert(!std::is_const_v<T>, "shard: write view<T>; its elements are const already");

 public:
  constexpr view() noexcept = default;
  // Made by map. `first` is element 0 of the buffer.
  constexpr view(const T* first, std::array<std::size_t, Rank> shape) noexcept
      : first_(first), shape_(shape) {}

  // Requires: each index is inside its extent. SHARD_CHECKED checks this.
  constexpr const T& operator[](std::size_t i) const noexcept(!detail::checked)
    requires(Rank == 1)
  {
    return first_[place(i)];
  }
  template <std::integral... I>
    requires(sizeof...(I) == Rank)
  constexpr const T& operator()(I... indices) const noexcept(!detail::checked) {
    return first_[place(static_cast<std::size_t>(indices)...)];
  }
  // What has index i in the first dimension: contiguous memory in rank 2, a strided_view in higher
  // ranks.
  constexpr detail::row_of<const T, Rank> row(std::size_t i) const noexcept(!detail::checked)
    requires(Rank >= 2)
  {
    if (detail::checked && i >= shape_[0]) detail::refuse_index(0, i, shape_[0]);
    return detail::row_at<const T, Rank>(first_ + i * detail::row_volume<Rank>(shape_), shape_);
  }

  // A part of the elements: one range for each dimension, or no range at all for the whole. Throws
  // shard::error(argument_out_of_domain) if a range is not inside its extent.
  template <class... Part>
    requires detail::selects<Rank, Part...>
  constexpr strided_view<const T, Rank> slab(const Part&... part) const {
    return strided_view<const T, Rank>(first_, shape_).sub(part...);
  }

  // The elements of these rows as contiguous memory. In rank 1 a row is an element.
  constexpr std::span<const T> span(range rows) const noexcept(!detail::checked) {
    if (detail::checked && (rows.first > rows.last || rows.last > shape_[0])) {
      detail::refuse_range(rows, shape_[0]);
    }
    const std::size_t width = detail::row_volume(shape_);
    return {first_ + rows.first * width, rows.size() * width};
  }
  constexpr operator std::span<const T>() const noexcept
    requires(Rank == 1)
  {
    return {first_, shape_[0]};
  }

  constexpr std::size_t size() const noexcept { return detail::volume(shape_); }
  constexpr std::size_t extent(std::size_t dimension) const noexcept { return shape_[dimension]; }
  constexpr std::array<std::size_t, Rank> shape() const noexcept { return shape_; }
  constexpr const T* begin() const noexcept { return first_; }
  constexpr const T* end() const noexcept { return first_ + size(); }

 private:
  template <class... I>
  constexpr std::size_t place(I... indices) const noexcept(!detail::checked) {
    if constexpr (detail::checked) detail::require_inside<Rank>(shape_, {indices...});
    return detail::offset<Rank>(shape_, {indices...});
  }

  const T* first_ = nullptr;
  std::array<std::size_t, Rank> shape_{};
};

// The rows that a chunk owns, for writing. In a map over tiles, the chunk owns only some columns of
// these rows. In a map over a strided space, each call of the kernel owns the row of its index. The
// kernel receives a slice for out(buffer) and for inout(buffer).
//
// With out(), write an element before you read it. At first its value is unspecified. After a crash
// it may be what an earlier attempt wrote. With inout(), an element has its old value at first.
template <class T, std::size_t Rank = 1>
class SHARD_ACCESS slice {
  static_assert(!std::is_const_v<T>, "shard: a slice is written to; for reading there is view<T>");

 public:
  constexpr slice() noexcept = default;
  // Made by map. `first` is element 0 of the buffer, not of the chunk.
  constexpr slice(T* first, std::array<std::size_t, Rank> shape, range chunk) noexcept
      : first_(first), shape_(shape), rows_(chunk) {
    if constexpr (Rank >= 2) columns_ = {0, shape[1]};
  }
  constexpr slice(T* first, std::array<std::size_t, Rank> shape, tile cells) noexcept
    requires(Rank >= 2)
      : first_(first), shape_(shape), rows_(cells.rows), columns_(cells.cols) {}

  // Requires: the chunk (or tile) owns the element. SHARD_CHECKED checks this.
  constexpr T& operator[](std::size_t i) const noexcept(!detail::checked)
    requires(Rank == 1)
  {
    return first_[place(i)];
  }
  template <std::integral... I>
    requires(sizeof...(I) == Rank)
  constexpr T& operator()(I... indices) const noexcept(!detail::checked) {
    return first_[place(static_cast<std::size_t>(indices)...)];
  }

  // Row i of the buffer, if the chunk owns it. A tile gives its part of row i: row(i)[0] is element
  // (i, cells().cols.first).
  constexpr detail::row_of<T, Rank> row(std::size_t i) const noexcept(!detail::checked)
    requires(Rank >= 2)
  {
    if constexpr (detail::checked) require_row(i);
    if constexpr (Rank == 2) {
      return {first_ + i * shape_[1] + columns_.first, columns_.size()};
    } else {
      return slab().row(i - rows_.first);
    }
  }

  // A part of what the chunk owns: one range of global indices for each dimension, or no range at
  // all for the whole. Throws shard::error(argument_out_of_domain) if the chunk does not own it.
  template <class... Part>
    requires detail::selects<Rank, Part...>
  constexpr strided_view<T, Rank> slab(const Part&... part) const {
    std::array<range, Rank> owned = detail::part_of<Rank>(shape_);
    owned[0] = rows_;
    if constexpr (Rank >= 2) owned[1] = columns_;
    const std::array<range, Rank> found = detail::part_of<Rank>(owned, part...);
    detail::require_within<Rank>(owned, found);
    return strided_view<T, Rank>(first_, shape_).sub(found);
  }

  // The chunk's elements as contiguous memory. span()[0] is the first element of row chunk().first.
  // Requires: this is no tile, since the rows of a tile lie apart (use row() there). SHARD_CHECKED
  // checks this.
  constexpr std::span<T> span() const noexcept(!detail::checked) {
    if constexpr (detail::checked && Rank >= 2) {
      if (columns_.size() != shape_[1]) detail::refuse_span_of_tile({rows_, columns_}, shape_[1]);
    }
    const std::size_t width = detail::row_volume(shape_);
    return {first_ + rows_.first * width, rows_.size() * width};
  }

  // The rows that the chunk owns.
  constexpr range chunk() const noexcept { return rows_; }
  // The rows and columns that the chunk owns.
  constexpr tile cells() const noexcept
    requires(Rank >= 2)
  {
    return {rows_, columns_};
  }
  // Of the whole buffer.
  constexpr std::size_t extent(std::size_t dimension) const noexcept { return shape_[dimension]; }
  constexpr std::array<std::size_t, Rank> shape() const noexcept { return shape_; }

 private:
  friend struct detail::slice_mover;
  struct no_columns {};

  constexpr void require_row(std::size_t i) const {
    if (!rows_.contains(i)) detail::refuse_outside_chunk("row", i, rows_);
  }
  template <class... I>
  constexpr std::size_t place(I... indices) const noexcept(!detail::checked) {
    const detail::extents<Rank> index{indices...};
    if constexpr (detail::checked) {
      detail::require_inside<Rank>(shape_, index);
      if constexpr (Rank == 1) {
        if (!rows_.contains(index[0])) detail::refuse_outside_chunk("element", index[0], rows_);
      } else {
        require_row(index[0]);
        if (!columns_.contains(index[1])) {
          detail::refuse_outside_chunk("column", index[1], columns_);
        }
      }
    }
    return detail::offset<Rank>(shape_, index);
  }

  T* first_ = nullptr;
  std::array<std::size_t, Rank> shape_{};
  range rows_;
  [[no_unique_address]] std::conditional_t<Rank == 1, no_columns, range> columns_{};
};

namespace detail {

// From one call of a kernel to the next.
struct slice_mover {
  template <class T, std::size_t Rank>
  static constexpr void move(slice<T, Rank>& which, std::size_t row) noexcept {
    which.rows_ = {row, row + 1};
  }
};

}  // namespace detail

// All elements of the buffer, for the atomic operations of atomics.hpp. The kernel receives it for
// shared(buffer). If a chunk is run again after a crash, its operations happen again: each happens
// at least once. Use reduce() where each addition must count exactly once. Requires: each index is
// inside its extent. SHARD_CHECKED checks this.
template <class T, std::size_t Rank = 1>
class SHARD_ACCESS shared_view : public detail::handle_atomics<shared_view<T, Rank>, T, Rank> {
  static_assert(atomic_element<T>,
                "shard: shared() needs integers, bool, std::byte, float or double");

 public:
  using index = detail::position<Rank>;

  constexpr shared_view() noexcept = default;
  // Made by map. `first` is element 0 of the buffer.
  constexpr shared_view(T* first, std::array<std::size_t, Rank> shape) noexcept
      : first_(first), shape_(shape) {}

  constexpr std::size_t size() const noexcept { return detail::volume(shape_); }
  constexpr std::size_t extent(std::size_t dimension) const noexcept { return shape_[dimension]; }
  constexpr std::array<std::size_t, Rank> shape() const noexcept { return shape_; }

 private:
  friend class detail::handle_atomics<shared_view, T, Rank>;

  T& cell(const index& i) const noexcept(!detail::checked) {
    if constexpr (detail::checked) detail::require_inside<Rank>(shape_, i);
    return first_[detail::offset<Rank>(shape_, i)];
  }

  T* first_ = nullptr;
  std::array<std::size_t, Rank> shape_{};
};

}  // namespace shard
