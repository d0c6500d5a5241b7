// The bins of a histogram over several axes: which there are, and which one some values are in.
// Histograms of all kinds share this. Not for users.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

#include "shard/buffer.hpp"
#include "shard/detail/columns.hpp"
#include "shard/detail/lookup.hpp"
#include "shard/detail/packing.hpp"

namespace shard::detail {

[[noreturn]] void refuse_bin(std::size_t dimension, std::int64_t found, int first, int last);
// Throws if no memory can hold so many bins of that size, or if there are more than `most`.
std::size_t count_bins(std::span<const std::size_t> extents, std::size_t bytes_of_each,
                       std::size_t most);

// places[k] = places[k] * extent + own[k]
void join_places(std::uint32_t* places, const std::uint32_t* own, std::uint32_t extent,
                 std::size_t count) noexcept;

// Places are row-major over extents that include underflow and overflow.
template <class... Axes>
class grid {
  static_assert(sizeof...(Axes) > 0, "shard: a histogram needs at least one axis");

 public:
  class finder;
  static constexpr std::size_t rank = sizeof...(Axes);
  static constexpr bool has_every_value = (lookup<Axes>::has_every_value && ...);
  // Of many values, places are found block by block.
  static constexpr std::size_t block_size = 512;
  static constexpr std::uint32_t nowhere = std::numeric_limits<std::uint32_t>::max();

  explicit grid(Axes... axes) : lookups_(std::move(axes)...) {}

  template <std::size_t I>
  const auto& axis() const noexcept {
    return std::get<I>(lookups_).axis();
  }
  bool operator==(const grid& other) const { return lookups_ == other.lookups_; }

  // How many bins there are, underflow and overflow included.
  std::size_t size() const noexcept {
    std::size_t bins = 1;
    for (const std::size_t extent : extents()) bins *= extent;
    return bins;
  }
  // The same. Throws shard::error if no memory can hold so many of that size, or if there are more
  // than `most`.
  std::size_t checked_size(std::size_t bytes_of_each,
                           std::size_t most = std::numeric_limits<std::size_t>::max()) const {
    return count_bins(extents(), bytes_of_each, most);
  }

  // The place of the bin with this index on each axis. Throws shard::error if there is none.
  std::size_t place(std::integral auto... bins) const;

  // What value(place) is for all bins but underflow and overflow, in the shape of the axes.
  template <class T, class Value>
  buffer<const T, rank> inner(const Value& value) const;

  void pack(packer& to) const
    requires(packable<Axes> && ...);
  static grid unpack(unpacker& from)
    requires(packable<Axes> && ...);

 private:
  explicit grid(std::tuple<lookup<Axes>...> lookups) : lookups_(std::move(lookups)) {}

  std::array<std::size_t, rank> extents() const noexcept {
    return std::apply([](const auto&... along) { return std::array{along.extent()...}; }, lookups_);
  }
  template <std::size_t... I>
  std::size_t checked_place(std::index_sequence<I...>, std::array<std::int64_t, rank> at) const;
  template <std::size_t I, class T, class Value>
  void copy_inner(std::size_t place, const Value& value, T*& to) const;

  std::tuple<lookup<Axes>...> lookups_;
};

// What an accumulator has of a grid. The grid outlives it.
template <class... Axes>
class grid<Axes...>::finder {
 public:
  explicit finder(const grid& of) : lookups_(of.lookups_) {}

  // Sets `place` to that of the bin of these values. False: an axis has no bin for one of them.
  template <class... X>
  bool find(std::size_t& place, const X&... x) const noexcept {
    static_assert(sizeof...(X) == rank, "shard: give one value for each axis of the histogram");
    if constexpr (sizeof...(X) == rank) {
      return [&]<std::size_t... I>(std::index_sequence<I...>) {
        place = 0;
        return (step<I>(place, x) && ...);
      }(std::make_index_sequence<rank>());
    } else {
      return false;
    }
  }

  // The same for values `begin` to `begin` + `count` - 1 of each column. A place is `nowhere` if an
  // axis has no bin for one of the values, unless has_every_value.
  // Requires: count <= block_size, and places of 32 bits do.
  template <class... X>
  void find_block(std::uint32_t* places, std::size_t begin, std::size_t count,
                  const column<X>&... columns) const noexcept {
    static_assert(sizeof...(X) == rank, "shard: give values for each axis of the histogram");
    if constexpr (sizeof...(X) == rank) {
      [&]<std::size_t... I>(std::index_sequence<I...>) {
        (step_block<I>(places, begin, count, columns), ...);
      }(std::make_index_sequence<rank>());
    }
  }

 private:
  template <std::size_t I>
  const auto& along() const noexcept {
    return static_cast<const lookup<std::tuple_element_t<I, std::tuple<Axes...>>>&>(
        std::get<I>(lookups_));
  }
  // Moves the place along axis I to the bin of x. False: there is none.
  template <std::size_t I, class X>
  bool step(std::size_t& place, const X& x) const noexcept {
    const int index = along<I>()(x);
    place = place * along<I>().extent() + along<I>().place_of(index);
    return along<I>().has(index);
  }

  template <std::size_t I, class X>
  void step_block(std::uint32_t* places, std::size_t begin, std::size_t count,
                  const column<X>& of) const noexcept;

  std::tuple<lookup_handle<Axes>...> lookups_;
};

template <class... Axes>
template <std::size_t I, class X>
void grid<Axes...>::finder::step_block(std::uint32_t* places, std::size_t begin, std::size_t count,
                                       const column<X>& of) const noexcept {
  const auto& along = this->template along<I>();
  std::uint32_t own[block_size];
  std::uint32_t* const found = I == 0 ? places : own;
  if constexpr (std::is_arithmetic_v<X> &&
                requires(const double* x) { along.places(x, count, found); }) {
    double copied[block_size];
    const double* x = copied;
    if constexpr (std::is_same_v<X, double>) {
      if (of.stride == 1) x = of.first + begin;
    }
    if (x == copied) {
      for (std::size_t k = 0; k < count; ++k) copied[k] = rounded_down<double>(of[begin + k]);
    }
    along.places(x, count, found);
  } else {
    for (std::size_t k = 0; k < count; ++k) {
      const int index = along(of[begin + k]);
      found[k] = along.has(index) ? static_cast<std::uint32_t>(along.place_of(index)) : nowhere;
    }
  }
  if constexpr (I > 0) {
    const auto extent = static_cast<std::uint32_t>(along.extent());
    if constexpr (has_every_value) {
      join_places(places, own, extent, count);
    } else {
      for (std::size_t k = 0; k < count; ++k) {
        const bool found_both = places[k] != nowhere && own[k] != nowhere;
        places[k] = found_both ? places[k] * extent + own[k] : nowhere;
      }
    }
  }
}

template <class... Axes>
std::size_t grid<Axes...>::place(std::integral auto... bins) const {
  static_assert(sizeof...(bins) == rank, "shard: give one index for each axis of the histogram");
  // An index too large for the type is too large for the axis.
  constexpr std::int64_t beyond = std::numeric_limits<std::int64_t>::max();
  const std::array<std::int64_t, rank> at{
      (std::in_range<std::int64_t>(+bins) ? static_cast<std::int64_t>(bins) : beyond)...};
  return checked_place(std::make_index_sequence<rank>(), at);
}

template <class... Axes>
template <std::size_t... I>
std::size_t grid<Axes...>::checked_place(std::index_sequence<I...>,
                                         std::array<std::int64_t, rank> at) const {
  std::size_t place = 0;
  const auto step = [&](std::size_t dimension, const auto& along, std::int64_t index) {
    if (index < along.first() || index > along.last())
      refuse_bin(dimension, index, along.first(), along.last());
    place = place * along.extent() + along.place_of(static_cast<int>(index));
  };
  (step(I, std::get<I>(lookups_), at[I]), ...);
  return place;
}

template <class... Axes>
template <class T, class Value>
buffer<const T, grid<Axes...>::rank> grid<Axes...>::inner(const Value& value) const {
  auto result = std::apply(
      [](const auto&... along) {
        return buffer<T, rank>(static_cast<std::size_t>(along.axis().size())...);
      },
      lookups_);
  T* to = result.span().data();
  copy_inner<0>(0, value, to);
  return result;
}

template <class... Axes>
template <std::size_t I, class T, class Value>
void grid<Axes...>::copy_inner(std::size_t place, const Value& value, T*& to) const {
  const auto& along = std::get<I>(lookups_);
  for (int index = 0; index < along.axis().size(); ++index) {
    const std::size_t next = place * along.extent() + along.place_of(index);
    if constexpr (I + 1 < rank) {
      copy_inner<I + 1>(next, value, to);
    } else {
      *to++ = value(next);
    }
  }
}

template <class... Axes>
void grid<Axes...>::pack(packer& to) const
  requires(packable<Axes> && ...)
{
  std::apply([&](const auto&... along) { (to.put(along.axis()), ...); }, lookups_);
}

template <class... Axes>
grid<Axes...> grid<Axes...>::unpack(unpacker& from)
  requires(packable<Axes> && ...)
{
  // Braces: in their order.
  return grid(std::tuple<lookup<Axes>...>{lookup<Axes>(from.get<Axes>())...});
}

}  // namespace shard::detail
