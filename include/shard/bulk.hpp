// Bulk transfers: they read or write many elements of a buffer at once. They are members of buffer.
// docs/buffers.md says how they work.
//
//   read write fill add     consecutive elements
//   gather scatter          elements in a list of indices
//   read_slab write_slab    a part of an array
//   try_read try_write      consecutive elements, without waiting
//   torn clear_torn         what writers that died left half written
//
// Each call is one transfer between all processes that have the buffer: no other transfer sees half
// of it. Transfers of other elements do not wait for it, unless the elements are neighbours
// (docs/buffers.md). Elements are numbered in row-major order. Single accesses to elements are not
// transfers. They wait for no transfer.
//
// Errors, after which nothing was transferred: shard::error if the buffer is closed, if an index is
// outside the buffer, if a length differs, or if the values lie in the same elements that are read,
// written or added to; torn_error if a writer died half-way in these elements;
// shard::error(device_or_resource_busy) if others were writing at every try. Only read-only handles
// get the last: a handle that can write waits.
// Requires: the values do not lie in these elements through another handle either. All processes
// that write in bulk or lock are in one PID namespace (a container may have its own); otherwise
// shard can take a living process for dead.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "shard/atomics.hpp"
#include "shard/detail/index.hpp"
#include "shard/detail/segment.hpp"
#include "shard/detail/sharing.hpp"
#include "shard/error.hpp"
#include "shard/range.hpp"

namespace shard {

// done   all elements were transferred, as one: this transfer saw no other bulk transfer half-way,
//        and no other one saw this transfer half-way.
// busy   nothing was transferred: others were writing these elements at every try.
// torn   nothing was transferred: a writer died half-way in these elements. They stay torn until
//        somebody calls buffer::clear_torn().
enum class transfer_state { done, busy, torn };

struct [[nodiscard]] transfer {
  transfer_state state = transfer_state::done;
  range torn = {};  // the elements that may be half written, in row-major order; else empty

  constexpr explicit operator bool() const noexcept { return state == transfer_state::done; }
};

// Thrown by the operations that do not return a transfer, and by save() and load(), if a writer
// died half-way in the elements.
class torn_error : public error {
 public:
  torn_error(const std::string& verb, range elements, const std::string& of);

  range elements() const noexcept { return elements_; }

 private:
  range elements_;
};

namespace detail {

inline void require_done(const transfer& what, const segment& of) {
  if (!what) refuse_transfer(what, of);
}

// The operations of an owner of elements. Self has shape(), size(), begin(), and
// segment& open_owner() const, which throws if Self is closed.
template <class Self, class T, std::size_t Rank>
class bulk_transfers {
  using plain = std::remove_const_t<T>;

 public:
  void read(range elements, std::span<plain> to) const {
    const segment& of = owner();
    const stretch all = stretch_of(elements, to.size(), "read");
    read_bytes(of, all.first * sizeof(T), all.count * sizeof(T), bytes(to));
  }
  void write(range elements, std::span<const plain> from)
    requires(!std::is_const_v<T>)
  {
    segment& of = owner();
    const stretch all = stretch_of(elements, from.size(), "write");
    write_bytes(of, all.first * sizeof(T), all.count * sizeof(T), bytes(from));
  }
  void fill(range elements, const plain& value)
    requires(!std::is_const_v<T>)
  {
    segment& of = owner();
    const stretch all = stretch_of(elements, elements.size(), "fill");
    require_done(fill_stretch(of, all, bytes(std::span(&value, 1))), of);
  }
  // Adds deltas[k] to element elements.first + k. Integers wrap. No fetch_add of others is lost.
  void add(range elements, std::span<const plain> deltas)
    requires(!std::is_const_v<T> && atomic_number<plain>)
  {
    segment& of = owner();
    const stretch all = stretch_of(elements, deltas.size(), "add");
    auto each = [&] {
      T* const first = self().begin() + elements.first;
      for (std::size_t k = 0; k < deltas.size(); ++k) {
        atomic_cell<plain>(first[k]).fetch_add(deltas[k], std::memory_order_relaxed);
      }
    };
    const auto apply = [](void* context) { (*static_cast<decltype(each)*>(context))(); };
    require_done(add_stretch(of, all, bytes(deltas), apply, &each), of);
  }

  // to[k] = element indices[k]
  void gather(std::span<const std::size_t> indices, std::span<plain> to) const {
    const segment& of = owner();
    const std::vector<stretch> all = stretches_of_indices(indices, to.size(), "gather");
    require_done(read_stretches(of, all, bytes(to), patience::waits), of);
  }
  // Element indices[k] = from[k], in this order: if an index is there twice, the last value stays.
  void scatter(std::span<const std::size_t> indices, std::span<const plain> from)
    requires(!std::is_const_v<T>)
  {
    segment& of = owner();
    const std::vector<stretch> all = stretches_of_indices(indices, from.size(), "scatter");
    require_done(write_stretches(of, all, bytes(from), patience::waits), of);
  }

  // The elements of a part, which has one range for each dimension.
  void read_slab(const std::array<range, Rank>& part, std::span<plain> to) const {
    const segment& of = owner();
    const std::vector<stretch> all = stretches_of_part(part, to.size(), "read");
    require_done(read_stretches(of, all, bytes(to), patience::waits), of);
  }
  void write_slab(const std::array<range, Rank>& part, std::span<const plain> from)
    requires(!std::is_const_v<T>)
  {
    segment& of = owner();
    const std::vector<stretch> all = stretches_of_part(part, from.size(), "write");
    require_done(write_stretches(of, all, bytes(from), patience::waits), of);
  }

  // Like read and write, but they do not wait. They return what happened.
  transfer try_read(range elements, std::span<plain> to) const {
    const segment& of = owner();
    const stretch all = stretch_of(elements, to.size(), "read");
    return read_stretches(of, {&all, 1}, bytes(to), patience::tries);
  }
  transfer try_write(range elements, std::span<const plain> from)
    requires(!std::is_const_v<T>)
  {
    segment& of = owner();
    const stretch all = stretch_of(elements, from.size(), "write");
    return write_stretches(of, {&all, 1}, bytes(from), patience::tries);
  }

  // The elements that dead writers may have left half written, and that nobody has cleared since.
  std::vector<range> torn() const { return torn_ranges(owner()); }
  // Declares the values that are in these elements now to be right. (If a torn range extends beyond
  // these elements on both sides, the whole range stays torn.)
  void clear_torn(range elements)
    requires(!std::is_const_v<T>)
  {
    segment& of = owner();
    const stretch all = stretch_of(elements, elements.size(), "clear");
    if (all.count > 0) detail::clear_torn(of, elements);
  }

 private:
  Self& self() noexcept { return static_cast<Self&>(*this); }
  const Self& self() const noexcept { return static_cast<const Self&>(*this); }
  segment& owner() const { return self().open_owner(); }

  static std::byte* bytes(std::span<plain> of) noexcept {
    return reinterpret_cast<std::byte*>(of.data());
  }
  static const std::byte* bytes(std::span<const plain> of) noexcept {
    return reinterpret_cast<const std::byte*>(of.data());
  }

  // The elements in the form that a transfer takes. Each throws unless the elements are inside, and
  // there are `length` of them.
  stretch stretch_of(range elements, std::size_t length, const char* operation) const;
  std::vector<stretch> stretches_of_indices(std::span<const std::size_t> indices,
                                            std::size_t length, const char* operation) const;
  std::vector<stretch> stretches_of_part(const std::array<range, Rank>& part, std::size_t length,
                                         const char* operation) const;
};

template <class Self, class T, std::size_t Rank>
stretch bulk_transfers<Self, T, Rank>::stretch_of(range elements, std::size_t length,
                                                  const char* operation) const {
  const std::size_t size = self().size();
  if (elements.first > elements.last || elements.last > size) {
    refuse_elements(operation, elements, size);
  }
  if (elements.size() != length) refuse_length(operation, length, elements.size());
  return {elements.first, length};
}

template <class Self, class T, std::size_t Rank>
std::vector<stretch> bulk_transfers<Self, T, Rank>::stretches_of_indices(
    std::span<const std::size_t> indices, std::size_t length, const char* operation) const {
  if (indices.size() != length) refuse_length(operation, length, indices.size());
  const std::size_t size = self().size();
  std::vector<stretch> stretches;
  stretches.reserve(indices.size());
  for (std::size_t k = 0; k < indices.size(); ++k) {
    if (indices[k] >= size) refuse_listed_index(operation, k, indices[k], size);
    stretches.push_back({indices[k], 1});
  }
  return stretches;
}

template <class Self, class T, std::size_t Rank>
std::vector<stretch> bulk_transfers<Self, T, Rank>::stretches_of_part(
    const std::array<range, Rank>& part, std::size_t length, const char* operation) const {
  const extents<Rank> shape = self().shape();
  require_within<Rank>(part_of<Rank>(shape), part);
  std::vector<stretch> stretches = stretches_of<Rank>(shape, part);
  std::size_t elements = 0;
  for (const stretch& each : stretches) elements += each.count;
  if (elements != length) refuse_length(operation, length, elements);
  return stretches;
}

}  // namespace detail

}  // namespace shard
