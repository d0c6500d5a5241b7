// Reductions of many numbers to few, exactly: dot, norm2, mean_variance, covariance.
//
//   shard::mean_variance<float> delay;
//   shard::map(shard::range{0, n}, shard::in(minutes), shard::reduce(delay),
//              [](shard::range chunk, auto x, auto& delay) { delay.add(x.span(chunk)); });
//   std::cout << delay.mean() << " ± " << delay.error();
//
// A state holds true sums (see exact.hpp), and each result is rounded once. So its bits depend on
// nothing but the numbers: not on chunks, workers, executors, crashes, compilers or flags. All are
// commutative: each worker has one state. Of ordinary numbers a state takes one or two cache lines.
#pragma once

#include <cstdint>
#include <type_traits>

#include "shard/exact.hpp"
#include "shard/reduce.hpp"

namespace shard {

// The sum of products, x(a, b): each product and the sum are exact, and value() rounds once.
template <class T>
class dot : public detail::exact_reducer<exact::dot_state, T, detail::takes::pairs> {
 public:
  T value() const noexcept {
    if constexpr (std::is_same_v<T, float>) {
      return this->held().value_as_float();
    } else {
      return this->held().value();
    }
  }
};

// The Euclidean norm, x(a): the square root of the exact sum of squares, rounded once. 0 of
// nothing.
template <class T>
class norm2 : public detail::exact_reducer<exact::dot_state, T, detail::takes::squares> {
 public:
  double value() const noexcept { return this->held().root(); }
};

// Mean and variance, x(a). Every result is correctly rounded.
template <class T>
class mean_variance
    : public detail::exact_reducer<exact::mean_variance_state, T, detail::takes::values> {
 public:
  std::uint64_t count() const noexcept { return this->held().count(); }
  // NaN of nothing. A NaN, or infinities of both signs, make it NaN.
  double mean() const noexcept { return this->held().mean(); }
  // The others are NaN if a NaN or an infinity was added.
  //
  // With the divisor n - 1: NaN if n < 2.
  double variance() const noexcept { return this->held().variance(); }
  double deviation() const noexcept { return this->held().deviation(); }
  // Of the mean: the square root of variance / n, rounded once.
  double error() const noexcept { return this->held().error(); }
  // With the divisor n: NaN of nothing.
  double population_variance() const noexcept { return this->held().population_variance(); }
  double population_deviation() const noexcept { return this->held().population_deviation(); }
};

// How two variables vary together, x(a, b). Every result is correctly rounded. NaN if a NaN or an
// infinity was added, or n < 2.
template <class T>
class covariance : public detail::exact_reducer<exact::covariance_state, T, detail::takes::pairs> {
 public:
  std::uint64_t count() const noexcept { return this->held().count(); }
  // With the divisor n - 1.
  double value() const noexcept { return this->held().covariance(); }
  // Pearson's, from -1 to 1. NaN also if all x, or all y, are the same.
  double correlation() const noexcept { return this->held().correlation(); }
};

}  // namespace shard
