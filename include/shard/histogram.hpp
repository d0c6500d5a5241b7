// Histograms: a reduction into integer bins over the axes of Boost.Histogram.
//
//   shard::histogram hours(shard::axis::integer(0, 24));
//   shard::map(shard::range{0, n}, shard::in(hour), shard::reduce(hours),
//              [](std::size_t i, auto hour, auto& hours) { hours(hour[i]); });
//   shard::save("by_hour.npy", hours.counts());
#pragma once

#include <algorithm>
#include <boost/histogram/indexed.hpp>
#include <boost/histogram/make_histogram.hpp>
#include <boost/histogram/storage_adaptor.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "shard/axis.hpp"
#include "shard/buffer.hpp"
#include "shard/detail/grid.hpp"
#include "shard/detail/packing.hpp"
#include "shard/detail/tally.hpp"
#include "shard/reduce.hpp"

namespace shard {

// Counts in bins. A value beyond an axis goes to the underflow or overflow bin of the axis. If the
// axis has no such bin, the histogram leaves the value out. Bins are 64-bit integers and wrap
// around.
template <class... Axes>
class histogram : public detail::adds_by_accumulator {
 public:
  class accumulator;
  using compares_bits = void;
  static constexpr bool ordered = false;
  static constexpr std::size_t rank = sizeof...(Axes);

  explicit histogram(Axes... axes);

  // One bin, by its index on each axis. If an axis has an underflow bin, its index is -1. If an
  // axis has an overflow bin, its index is the axis' size. Throws shard::error for a bin that
  // doesn't exist.
  std::int64_t at(std::integral auto... bins) const { return bins_[grid_.place(bins...)]; }

  // All bins but underflow and overflow, in the shape of the axes.
  buffer<const std::int64_t, rank> counts() const {
    return grid_.template inner<std::int64_t>([&](std::size_t place) { return bins_[place]; });
  }

  // Whether both have equal axes and equal counts.
  friend bool operator==(const histogram& a, const histogram& b) {
    return a.grid_ == b.grid_ && a.bins_ == b.bins_;
  }

  // The same histogram, underflow and overflow included, for Boost's algorithms.
  auto to_boost() const;
  // from_boost.hpp
  template <class... A, class Storage>
  friend histogram<A...> from_boost(
      const boost::histogram::histogram<std::tuple<A...>, Storage>& from);

  template <std::size_t I = 0>
  const auto& axis() const noexcept {
    return grid_.template axis<I>();
  }

  std::size_t state_bytes() const noexcept { return bins_.size() * sizeof(std::int64_t); }
  void start(std::byte*) const noexcept {}
  // Requires: part was made for this histogram, or one with equal axes.
  void merge(const accumulator& part) noexcept;

  // The axes alone: all that an accumulator needs. Not for users.
  void pack(detail::packer& to) const
    requires(detail::packable<Axes> && ...)
  {
    grid_.pack(to);
  }
  static histogram unpack(detail::unpacker& from)
    requires(detail::packable<Axes> && ...)
  {
    return histogram(detail::grid<Axes...>::unpack(from));
  }

 private:
  explicit histogram(detail::grid<Axes...> grid) : grid_(std::move(grid)) {}

  detail::grid<Axes...> grid_;
  std::vector<std::int64_t> bins_;
};

template <class... Axes>
class histogram<Axes...>::accumulator {
 public:
  accumulator(const histogram& of, std::byte* state)
      : finder_(of.grid_), bins_(reinterpret_cast<std::int64_t*>(state)), size_(of.grid_.size()) {}
  accumulator(const accumulator&) = delete;  // take it by reference: auto& bins
  accumulator& operator=(const accumulator&) = delete;

  // Adds 1 to the bin of these values, one for each axis.
  template <class... X>
  void operator()(const X&... x) noexcept {
    add(1, x...);
  }

  // Adds count instead. Doesn't compile if count would be narrowed to 64 bits of an integer.
  template <class N, class... X>
  void add(const N& count, const X&... x) noexcept;

  // Adds 1 for each of many values: a span of them for each axis, or a vector, an array, a view, a
  // strided part of an array. The same bins as one by one, and faster. Throws shard::error if there
  // are more values for one axis than for another one.
  template <class... Values>
  void fill(const Values&... values);

  void store(std::byte*) const noexcept {}  // the bins are in the state already

 private:
  friend histogram;

  typename detail::grid<Axes...>::finder finder_;
  std::int64_t* bins_;
  std::size_t size_;
};

template <class... Axes>
template <class N, class... X>
void histogram<Axes...>::accumulator::add(const N& count, const X&... x) noexcept {
  if constexpr (detail::check_count<N>()) {
    std::size_t place;
    if (finder_.find(place, x...)) {
      std::int64_t& bin = bins_[place];
      bin = detail::wrapping_add(bin, static_cast<std::int64_t>(count));
    }
  }
}

template <class... Axes>
template <class... Values>
void histogram<Axes...>::accumulator::fill(const Values&... values) {
  static_assert(sizeof...(Values) == rank, "shard: give values for each axis of the histogram");
  if constexpr (sizeof...(Values) == rank && (detail::check_values<Values>() && ...)) {
    const auto add_all = [&](const auto&... columns) {
      using grid = detail::grid<Axes...>;
      const std::size_t count = detail::common_size(columns...);
      if (size_ >= grid::nowhere) {
        for (std::size_t i = 0; i < count; ++i) (*this)(columns[i]...);
        return;
      }
      detail::tally bins({bins_, size_}, count);
      std::uint32_t places[grid::block_size];
      for (std::size_t begin = 0; begin < count; begin += grid::block_size) {
        std::size_t found = std::min(grid::block_size, count - begin);
        finder_.find_block(places, begin, found, columns...);
        if constexpr (!grid::has_every_value)
          found =
              static_cast<std::size_t>(std::remove(places, places + found, grid::nowhere) - places);
        bins.add({places, found});
      }
    };
    add_all(detail::column_of(values)...);
  }
}

template <class... Axes>
histogram<Axes...>::histogram(Axes... axes) : grid_(std::move(axes)...) {
  bins_.resize(grid_.checked_size(sizeof(std::int64_t)));
}

template <class... Axes>
void histogram<Axes...>::merge(const accumulator& part) noexcept {
  for (std::size_t i = 0; i < bins_.size(); ++i)
    bins_[i] = detail::wrapping_add(bins_[i], part.bins_[i]);
}

template <class... Axes>
auto histogram<Axes...>::to_boost() const {
  return [this]<std::size_t... I>(std::index_sequence<I...>) {
    auto result = boost::histogram::make_histogram_with(
        boost::histogram::dense_storage<std::int64_t>(), this->template axis<I>()...);
    for (auto&& cell : boost::histogram::indexed(result, boost::histogram::coverage::all))
      *cell = at(cell.index(I)...);
    return result;
  }(std::make_index_sequence<rank>());
}

}  // namespace shard
