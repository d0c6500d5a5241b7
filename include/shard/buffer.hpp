// Typed arrays of fixed shape in shared memory: what a map reads and writes.
//
// A buffer owns its memory together with the arguments of the maps it was handed to. Any thread may
// read one; writing follows the rules of any array. Elements are row-major, and the first dimension
// is the one that a map partitions.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <memory>
#include <ranges>
#include <span>
#include <type_traits>
#include <utility>

#include "shard/detail/index.hpp"
#include "shard/detail/segment.hpp"
#include "shard/element.hpp"

namespace shard {

namespace detail {

// What T and Rank of a buffer must be. (A name: requires-clauses out of the class must repeat it.)
template <class T, std::size_t Rank>
concept fits_buffer = element<std::remove_const_t<T>> && (Rank > 0);

}  // namespace detail

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
class buffer;

namespace detail {

struct buffer_access;

template <class R>
inline constexpr bool is_buffer = false;
template <class T, std::size_t Rank>
inline constexpr bool is_buffer<buffer<T, Rank>> = true;

// Ranges whose elements a new buffer<T> copies. Not buffers: those never copy by accident.
template <class R, class T>
concept copied_into =
    std::same_as<std::ranges::range_value_t<R>, std::remove_const_t<T>> && !is_buffer<R>;

}  // namespace detail

// buffer<T> can be written, buffer<const T> can't; both move and never copy. const is deep: a const
// buffer<T> gives const elements. Buffers are made here (in memory), or by open() and create() of
// npy.hpp (in files). One that was moved from is empty: size 0, and no memory.
template <class T, std::size_t Rank = 1>
  requires detail::fits_buffer<T, Rank>
class buffer {
 public:
  using element_type = T;
  using value_type = std::remove_const_t<T>;

  // Zeros, in memory that processes can share. No page of it is touched until it is used, but that
  // there is enough memory is checked now. Throws shard::error if there is not, if an extent is
  // negative, or if the size in bytes overflows.
  template <std::integral... N>
    requires(sizeof...(N) == Rank && !std::is_const_v<T>)
  explicit buffer(N... extents);

  // A copy of the elements of `copied`: a vector, for example, or the span() of another buffer.
  template <std::ranges::contiguous_range R>
    requires(Rank == 1 && detail::copied_into<R, T>)
  explicit buffer(const R& copied);

  // The same memory, from now on read-only.
  template <class U>
    requires std::same_as<const U, T>
  buffer(buffer<U, Rank>&& writable) noexcept;

  buffer(buffer&& from) noexcept;
  buffer& operator=(buffer&& from) noexcept;
  ~buffer() = default;

  // The array behind a descriptor that another buffer's descriptor() gave, in this process or in
  // the one that sent it. The descriptor stays the caller's. Throws shard::error unless it holds an
  // array of this type and rank, and memory that can't be shrunk.
  static buffer reopen(int descriptor);

  std::size_t size() const noexcept { return detail::volume(shape_); }
  bool empty() const noexcept { return size() == 0; }
  std::size_t extent(std::size_t dimension) const noexcept { return shape_[dimension]; }
  std::array<std::size_t, Rank> shape() const noexcept { return shape_; }

  // Requires: indices inside the extents. Compile the program with -DSHARD_CHECKED to check every
  // index into a buffer, view or slice: then it throws shard::error(argument_out_of_domain).
  T& operator[](std::size_t i) noexcept(!detail::checked)
    requires(Rank == 1)
  {
    return data_[place(i)];
  }
  const T& operator[](std::size_t i) const noexcept(!detail::checked)
    requires(Rank == 1)
  {
    return data_[place(i)];
  }
  template <std::integral... I>
    requires(sizeof...(I) == Rank)
  T& operator()(I... indices) noexcept(!detail::checked) {
    return data_[place(static_cast<std::size_t>(indices)...)];
  }
  template <std::integral... I>
    requires(sizeof...(I) == Rank)
  const T& operator()(I... indices) const noexcept(!detail::checked) {
    return data_[place(static_cast<std::size_t>(indices)...)];
  }

  // As operator(), but always checked: throws shard::error(argument_out_of_domain).
  template <std::integral... I>
    requires(sizeof...(I) == Rank)
  T& at(I... indices) {
    return data_[checked_place(indices...)];
  }
  template <std::integral... I>
    requires(sizeof...(I) == Rank)
  const T& at(I... indices) const {
    return data_[checked_place(indices...)];
  }

  std::span<T> row(std::size_t i) noexcept(!detail::checked)
    requires(Rank == 2)
  {
    return {data_ + row_place(i), shape_[1]};
  }
  std::span<const T> row(std::size_t i) const noexcept(!detail::checked)
    requires(Rank == 2)
  {
    return {data_ + row_place(i), shape_[1]};
  }

  // All elements, in row-major order.
  std::span<T> span() noexcept { return {data_, size()}; }
  std::span<const T> span() const noexcept { return {data_, size()}; }
  T* begin() noexcept { return data_; }
  T* end() noexcept { return data_ + size(); }
  const T* begin() const noexcept { return data_; }
  const T* end() const noexcept { return data_ + size(); }

  // For reopen(), here or in a process it is sent to; closed with the buffer. -1 after a move.
  int descriptor() const noexcept { return owner_ ? detail::descriptor_of(*owner_) : -1; }

  // Gives a file made by create() its final name, at once and complete; a map that fills it does
  // this by itself. For any other buffer, and the second time, it does nothing.
  void finish() {
    if (owner_) detail::finish(*owner_);
  }

 private:
  friend struct detail::buffer_access;
  template <class U, std::size_t R>
    requires detail::fits_buffer<U, R>
  friend class buffer;

  explicit buffer(detail::array made) noexcept;

  template <class... I>
  std::size_t place(I... indices) const noexcept(!detail::checked) {
    if constexpr (detail::checked) detail::require_inside<Rank>(shape_, {indices...});
    return detail::offset<Rank>(shape_, {indices...});
  }
  std::size_t row_place(std::size_t i) const noexcept(!detail::checked) {
    if (detail::checked && i >= shape_[0]) detail::refuse_index(0, i, shape_[0]);
    return i * shape_[1];
  }
  template <class... I>
  std::size_t checked_place(I... indices) const;

  // Cached, so that an access is one addition.
  T* data_ = nullptr;
  std::array<std::size_t, Rank> shape_{};
  std::shared_ptr<detail::segment> owner_;
};

template <std::ranges::contiguous_range R>
buffer(const R&) -> buffer<std::ranges::range_value_t<R>>;

namespace detail {

// The one way into a buffer for the rest of shard.
struct buffer_access {
  template <class T, std::size_t Rank>
  static buffer<T, Rank> make(array made) {
    return buffer<T, Rank>(std::move(made));
  }
  template <class T, std::size_t Rank>
  static const std::shared_ptr<segment>& owner(const buffer<T, Rank>& of) noexcept {
    return of.owner_;
  }
};

// The segment that a buffer shares; null after a move.
template <class T, std::size_t Rank>
const std::shared_ptr<segment>& owner_of(const buffer<T, Rank>& of) noexcept {
  return buffer_access::owner(of);
}

template <std::integral N>
std::size_t checked_extent(N extent) {
  if constexpr (std::is_signed_v<N>) {
    if (extent < 0) refuse_negative_extent(extent);
  }
  return static_cast<std::size_t>(extent);
}

template <std::integral I>
std::size_t checked_index(std::size_t dimension, I index) {
  if constexpr (std::is_signed_v<I>) {
    if (index < 0) refuse_negative_index(dimension, index);
  }
  return static_cast<std::size_t>(index);
}

}  // namespace detail

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
template <std::integral... N>
  requires(sizeof...(N) == Rank && !std::is_const_v<T>)
buffer<T, Rank>::buffer(N... extents)
    : buffer(detail::create_memory(
          detail::type_of<value_type>(),
          std::array<std::size_t, Rank>{detail::checked_extent(extents)...})) {}

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
template <std::ranges::contiguous_range R>
  requires(Rank == 1 && detail::copied_into<R, T>)
buffer<T, Rank>::buffer(const R& copied)
    : buffer(detail::create_memory(
          detail::type_of<value_type>(),
          std::array<std::size_t, 1>{static_cast<std::size_t>(std::ranges::size(copied))})) {
  // Through value_type, since the elements of a buffer<const T> are written only here.
  std::ranges::copy(copied, const_cast<value_type*>(data_));
}

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
template <class U>
  requires std::same_as<const U, T>
buffer<T, Rank>::buffer(buffer<U, Rank>&& writable) noexcept
    : data_(std::exchange(writable.data_, nullptr)),
      shape_(std::exchange(writable.shape_, {})),
      owner_(std::move(writable.owner_)) {}

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
buffer<T, Rank>::buffer(buffer&& from) noexcept
    : data_(std::exchange(from.data_, nullptr)),
      shape_(std::exchange(from.shape_, {})),
      owner_(std::move(from.owner_)) {}

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
buffer<T, Rank>& buffer<T, Rank>::operator=(buffer&& from) noexcept {
  if (this == &from) return *this;
  data_ = std::exchange(from.data_, nullptr);
  shape_ = std::exchange(from.shape_, {});
  owner_ = std::move(from.owner_);
  return *this;
}

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
buffer<T, Rank>::buffer(detail::array made) noexcept
    : data_(reinterpret_cast<T*>(made.data)), owner_(std::move(made.owner)) {
  std::ranges::copy(made.shape, shape_.begin());
}

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
buffer<T, Rank> buffer<T, Rank>::reopen(int descriptor) {
  constexpr auto rights = std::is_const_v<T> ? detail::access::read : detail::access::write;
  return buffer(detail::reopen(descriptor, detail::type_of<value_type>(), Rank, rights));
}

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
template <class... I>
std::size_t buffer<T, Rank>::checked_place(I... indices) const {
  std::size_t dimension = 0;
  const std::array<std::size_t, Rank> index{detail::checked_index(dimension++, indices)...};
  detail::require_inside<Rank>(shape_, index);
  return detail::offset<Rank>(shape_, index);
}

}  // namespace shard
