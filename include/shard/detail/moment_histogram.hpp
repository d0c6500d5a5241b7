// What weighted_histogram and profile have in common. Not for users.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include "shard/detail/adding.hpp"
#include "shard/detail/columns.hpp"
#include "shard/detail/grid.hpp"
#include "shard/detail/moment_bins.hpp"
#include "shard/detail/packing.hpp"
#include "shard/exact.hpp"

namespace shard::detail {

// A reducer with the exact sums of a number, and of its square, in each bin. Kernels give the
// number as `Given`, behind the values that choose the bin.
template <template <class> class Given, class... Axes>
class moment_histogram : public adds_by_accumulator {
 public:
  class accumulator;
  using compares_bits = void;
  static constexpr bool ordered = false;
  static constexpr std::size_t rank = sizeof...(Axes);

  template <std::size_t I = 0>
  const auto& axis() const noexcept {
    return grid_.template axis<I>();
  }

  std::size_t state_bytes() const noexcept { return moment_bins::state_bytes(grid_.size()); }
  static std::size_t live_bytes(const std::byte* state) noexcept {
    return moment_bins::live_bytes(state);
  }
  void start(std::byte* state) const noexcept { moment_bins::start(state, grid_.size()); }
  // Requires: part was made for this histogram, or one with equal axes.
  void merge(const accumulator& part) { totals_.merge(part.bins_); }

  // The axes alone: all that an accumulator needs. Not for users.
  void pack(packer& to) const
    requires(packable<Axes> && ...)
  {
    grid_.pack(to);
  }

 protected:
  using grid = detail::grid<Axes...>;

  explicit moment_histogram(Axes... axes)
      : grid_(std::move(axes)...),
        totals_(grid_.checked_size(sizeof(moment_window), grid::nowhere - 1)) {}
  // Without results, for an accumulator.
  explicit moment_histogram(grid of) : grid_(std::move(of)) {}

  exact::mean_variance_state state_at(std::integral auto... bins) const {
    return totals_.at(grid_.place(bins...));
  }
  // A result of all bins but underflow and overflow.
  template <class T, class Result>
  buffer<const T, rank> all(const Result& result) const {
    return grid_.template inner<T>([&](std::size_t place) { return result(totals_.at(place)); });
  }
  bool equals(const moment_histogram& other) const {
    return grid_ == other.grid_ && totals_ == other.totals_;
  }

 private:
  grid grid_;
  moment_totals totals_;
};

// Numbers wait in it until there are many.
template <template <class> class Given, class... Axes>
class moment_histogram<Given, Axes...>::accumulator {
 public:
  accumulator(const moment_histogram& of, std::byte* state) : finder_(of.grid_), bins_(state) {}
  accumulator(const accumulator&) = delete;  // take it by reference: auto& bins
  accumulator& operator=(const accumulator&) = delete;

  void store(std::byte*) const noexcept { flush(); }

 protected:
  // The number is the last argument, the values are those before it.
  template <class... X>
  void add_last(const X&... values_and_number) noexcept {
    with_last(
        [&]<class Y>(const Given<Y>& number, const auto&... x) {
          if constexpr (check_added<Y, double>()) add_one(static_cast<double>(number.value), x...);
        },
        values_and_number...);
  }
  template <class... Values>
  void fill_last(const Values&... values_and_numbers) {
    with_last(
        [&]<class Y>(const Given<Y>& many, const auto&... x) {
          if constexpr ((check_values<std::remove_cvref_t<decltype(x)>>() && ...) &&
                        check_values<Y>()) {
            add_many(column_of(many.value), column_of(x)...);
          }
        },
        values_and_numbers...);
  }
  template <class... X>
  void add_one(double number, const X&... x) noexcept {
    std::size_t place;
    if (!finder_.find(place, x...)) return;
    places_[used_] = static_cast<std::uint32_t>(place);
    numbers_[used_] = number;
    if (++used_ == capacity) flush();
  }

 private:
  friend moment_histogram;
  using grid = detail::grid<Axes...>;
  static constexpr std::size_t capacity = grid::block_size;

  template <class Work, class... X>
  static void with_last(const Work& work, const X&... all) {
    static_assert(sizeof...(X) == rank + 1,
                  "shard: give one value for each axis of the histogram, and behind them "
                  "shard::weight(w) to a weighted_histogram, shard::sample(y) to a profile");
    if constexpr (sizeof...(X) == rank + 1) {
      const auto each = std::tie(all...);
      constexpr bool given = requires { []<class Y>(const Given<Y>&) {}(std::get<rank>(each)); };
      static_assert(given,
                    "shard: the last argument is shard::weight(w) for a weighted_histogram, and "
                    "shard::sample(y) for a profile");
      if constexpr (given) {
        [&]<std::size_t... I>(std::index_sequence<I...>) {
          work(std::get<rank>(each), std::get<I>(each)...);
        }(std::make_index_sequence<rank>());
      }
    }
  }

  template <class Y, class... X>
  void add_many(const column<Y>& many, const column<X>&... columns) {
    if constexpr (check_added<Y, double>()) {
      const std::size_t count = common_size(columns..., many);
      std::uint32_t places[grid::block_size];
      double block[grid::block_size];
      for (std::size_t begin = 0; begin < count; begin += grid::block_size) {
        const std::size_t size = std::min(grid::block_size, count - begin);
        finder_.find_block(places, begin, size, columns...);
        if constexpr (grid::has_every_value && std::is_same_v<Y, double>) {
          if (many.stride == 1) {
            bins_.add(places, many.first + begin, size);
            continue;
          }
        }
        std::size_t found = 0;
        for (std::size_t k = 0; k < size; ++k) {
          block[found] = static_cast<double>(many[begin + k]);
          places[found] = places[k];
          found += grid::has_every_value || places[k] != grid::nowhere ? 1 : 0;
        }
        bins_.add(places, block, found);
      }
    }
  }

  void flush() const noexcept {
    bins_.add(places_, numbers_, used_);
    used_ = 0;
  }

  typename grid::finder finder_;
  mutable moment_bins bins_;
  mutable std::size_t used_ = 0;
  std::uint32_t places_[capacity];  // beyond used_: anything
  double numbers_[capacity];
};

}  // namespace shard::detail
