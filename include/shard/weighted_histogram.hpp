// Histograms of weights: in each bin the sum of the weights, and of their squares, exactly.
//
//   shard::weighted_histogram energy(shard::axis::logarithmic(60, 1.0, 1e6));
//   shard::map(shard::range{0, n}, shard::in(x), shard::in(w), shard::reduce(energy),
//              [](shard::range chunk, auto x, auto w, auto& energy) {
//                energy.fill(x.span(chunk), shard::weight(w.span(chunk)));
//              });
//   shard::save("energy.npy", energy.sums());
//
// A state holds true sums (see exact.hpp), and each result is rounded once. So its bits depend on
// nothing but the values and their weights: not on chunks, workers, executors or crashes. A worker
// has one state, of 888 bytes for each bin. 64 of them are in use as long as the weights of a bin
// are at most 2^26 times larger and 2^30 times smaller than the first one. A weight beyond is added
// as exactly, and takes some 50 times as long. A map is refused where three such states for each
// worker would not find memory.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "shard/axis.hpp"
#include "shard/buffer.hpp"
#include "shard/detail/moment_histogram.hpp"
#include "shard/reduce.hpp"

namespace shard {

// How to give a weight, or many: bins.add(x, shard::weight(w)). It refers to what it was given, and
// is not to be kept.
template <class W>
struct weight {
  explicit weight(const W& of) noexcept : value(of) {}
  const W& value;
};

// What was added to one bin.
struct weighted_bin {
  std::uint64_t count;  // how often something was added
  double sum;           // of the weights
  double variance;      // of the sum, if each weight counts an event: the sum of the squares
  friend bool operator==(const weighted_bin&, const weighted_bin&) = default;
};

// Which bin is chosen, and what is left out, is as for a histogram. Special values are those of a
// shard::sum: NaNs, and infinities of both signs, make the sum of their bin NaN. A NaN makes the
// variance NaN, else an infinity makes it infinite.
template <class... Axes>
class weighted_histogram : public detail::moment_histogram<weight, Axes...> {
  using base = detail::moment_histogram<weight, Axes...>;

 public:
  class accumulator;
  using base::rank;

  // Throws shard::error if no memory can hold so many bins.
  explicit weighted_histogram(Axes... axes) : base(std::move(axes)...) {}

  // One bin, by its index on each axis, as of a histogram. Throws shard::error for a bin that
  // doesn't exist.
  weighted_bin at(std::integral auto... bins) const {
    const exact::mean_variance_state found = this->state_at(bins...);
    return {found.count(), found.sum(), found.sum_of_squares()};
  }

  // All bins but underflow and overflow, in the shape of the axes.
  buffer<const double, rank> sums() const {
    return this->template all<double>([](const auto& of) { return of.sum(); });
  }
  buffer<const double, rank> variances() const {
    return this->template all<double>([](const auto& of) { return of.sum_of_squares(); });
  }

  // Whether both have equal axes, and the same was added to each bin, as far as any result can
  // tell.
  friend bool operator==(const weighted_histogram& a, const weighted_histogram& b) {
    return a.equals(b);
  }

  static weighted_histogram unpack(detail::unpacker& from)
    requires(detail::packable<Axes> && ...)
  {
    return weighted_histogram(detail::grid<Axes...>::unpack(from));
  }

 private:
  explicit weighted_histogram(detail::grid<Axes...> of) : base(std::move(of)) {}
};

template <class... Axes>
class weighted_histogram<Axes...>::accumulator : public base::accumulator {
 public:
  accumulator(const weighted_histogram& of, std::byte* state) : base::accumulator(of, state) {}

  // Adds the weight 1 to the bin of these values, one for each axis.
  template <class... X>
  void operator()(const X&... x) noexcept {
    this->add_one(1.0, x...);
  }
  // Adds a weight: bins.add(x, y, shard::weight(w)). Doesn't compile if it would be narrowed to
  // double.
  template <class... X>
  void add(const X&... values_and_weight) noexcept {
    this->add_last(values_and_weight...);
  }
  // Adds many: bins.fill(x, y, shard::weight(w)), for spans, vectors, arrays, views, or strided
  // parts of arrays. Throws shard::error if there are not as many of each.
  template <class... Values>
  void fill(const Values&... values_and_weights) {
    this->fill_last(values_and_weights...);
  }
};

}  // namespace shard
