// Profiles: count, mean and variance of a number in each bin, exactly.
//
//   shard::profile delay(shard::axis::integer(0, 24));  // by hour
//   shard::map(shard::range{0, n}, shard::in(hour), shard::in(minutes), shard::reduce(delay),
//              [](std::size_t i, auto hour, auto minutes, auto& delay) {
//                delay(hour[i], shard::sample(minutes[i]));
//              });
//   std::cout << delay.at(17).mean() << " ± " << delay.at(17).error();
//
// Every result is correctly rounded, as those of shard::mean_variance, and does not depend on
// chunks, workers, executors or crashes. A worker has one state, as large as that of a
// weighted_histogram.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "shard/axis.hpp"
#include "shard/buffer.hpp"
#include "shard/detail/moment_histogram.hpp"
#include "shard/exact.hpp"
#include "shard/reduce.hpp"

namespace shard {

// How to give a number to a profile, or many: bins(x, shard::sample(y)). It refers to what it was
// given, and is not to be kept.
template <class Y>
struct sample {
  explicit sample(const Y& of) noexcept : value(of) {}
  const Y& value;
};

// Which bin is chosen, and what is left out, is as for a histogram. NaNs and infinities, and too
// few numbers, are as for a mean_variance: the mean is NaN of nothing, and the variance is NaN if n
// < 2.
template <class... Axes>
class profile : public detail::moment_histogram<sample, Axes...> {
  using base = detail::moment_histogram<sample, Axes...>;

 public:
  class accumulator;
  using base::rank;

  // Throws shard::error if no memory can hold so many bins.
  explicit profile(Axes... axes) : base(std::move(axes)...) {}

  // All results of one bin: count(), mean(), variance(), error() and more. By its index on each
  // axis, as of a histogram. Throws shard::error for a bin that doesn't exist.
  exact::mean_variance_state at(std::integral auto... bins) const {
    return this->state_at(bins...);
  }

  // All bins but underflow and overflow, in the shape of the axes.
  buffer<const std::uint64_t, rank> counts() const {
    return this->template all<std::uint64_t>([](const auto& of) { return of.count(); });
  }
  buffer<const double, rank> means() const {
    return this->template all<double>([](const auto& of) { return of.mean(); });
  }
  // With the divisor n - 1.
  buffer<const double, rank> variances() const {
    return this->template all<double>([](const auto& of) { return of.variance(); });
  }
  // Of the means: the square root of variance / n, rounded once.
  buffer<const double, rank> errors() const {
    return this->template all<double>([](const auto& of) { return of.error(); });
  }

  // Whether both have equal axes, and the same was added to each bin, as far as any result can
  // tell.
  friend bool operator==(const profile& a, const profile& b) { return a.equals(b); }

  static profile unpack(detail::unpacker& from)
    requires(detail::packable<Axes> && ...)
  {
    return profile(detail::grid<Axes...>::unpack(from));
  }

 private:
  explicit profile(detail::grid<Axes...> of) : base(std::move(of)) {}
};

template <class... Axes>
class profile<Axes...>::accumulator : public base::accumulator {
 public:
  accumulator(const profile& of, std::byte* state) : base::accumulator(of, state) {}

  // Adds a number to the bin of the values: bins(x, y, shard::sample(z)). Doesn't compile if it
  // would be narrowed to double.
  template <class... X>
  void operator()(const X&... values_and_number) noexcept {
    this->add_last(values_and_number...);
  }
  // Adds many: bins.fill(x, y, shard::sample(z)), for spans, vectors, arrays, views, or strided
  // parts of arrays. Throws shard::error if there are not as many of each.
  template <class... Values>
  void fill(const Values&... values_and_numbers) {
    this->fill_last(values_and_numbers...);
  }
};

}  // namespace shard
