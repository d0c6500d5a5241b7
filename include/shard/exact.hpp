// Exact sums: the correctly rounded result of what was added, in any order.
//
// A state holds the true sum as a whole number, so nothing is rounded before value(). So the bits
// of a result don't depend on the order of adding or merging. They don't depend on the processor,
// or on the compiler and its flags (-ffast-math). Nor do they depend on the modes of the thread
// (rounding, flush-to-zero).
//
//   shard::exact::sum_state total;
//   total.add(values);  // a vector, a span, a view, a strided part of an array
//   std::cout << total.value();
//
// A state is plain bytes, and all zeros are the state of "nothing added". It can be copied to
// another process. Only the first live_bytes() of a state count: with ordinary data, one or two
// cache lines. No function here throws, allocates memory or takes a lock. A state belongs to one
// thread at a time. docs/exact_sums.md says more.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "shard/detail/exact_numbers.hpp"

namespace shard::exact {

// Where numbers to be added lie: an array, or every stride-th element of an array.
template <class T>
struct numbers {
  const T* first = nullptr;
  std::size_t count = 0;
  std::ptrdiff_t stride = 1;

  numbers(const T* begin, std::size_t size, std::ptrdiff_t apart = 1) noexcept
      : first(begin), count(size), stride(apart) {}
  // A span, a vector, a std::array.
  template <class Values>
    requires std::convertible_to<const Values&, std::span<const T>>
  numbers(const Values& values) noexcept {
    const std::span<const T> all(values);
    first = all.data();
    count = all.size();
  }
  // A strided_view of one dimension.
  template <class Values>
    requires(!std::convertible_to<const Values&, std::span<const T>>) && requires(const Values& v) {
      { v.data() } -> std::convertible_to<const T*>;
      { v.strides()[0] } -> std::convertible_to<std::size_t>;
      requires std::tuple_size_v<std::remove_cvref_t<decltype(v.strides())>> == 1;
    }
  numbers(const Values& values) noexcept
      : numbers(values.data(), values.size(), static_cast<std::ptrdiff_t>(values.strides()[0])) {}
};

// The sum. All results are correctly rounded: to the nearest double, halfway cases to even.
//
// A NaN, or infinities of both signs, make the result NaN (the positive quiet one, without
// payload). Infinities of one sign make it that infinity. A sum that is zero is +0.0, unless only
// -0.0 was added, at least once. What overflows in between and comes back is no overflow. Requires:
// at most 2^63 numbers are added in all.
class sum_state {
 public:
  void add(numbers<double> values) noexcept;
  void add(numbers<float> values) noexcept;
  void add(double x) noexcept { add(numbers<double>(&x, 1)); }
  void add(float x) noexcept { add(numbers<float>(&x, 1)); }
  // The same state, whatever is merged first.
  void merge(const sum_state& part) noexcept;

  double value() const noexcept;
  float value_as_float() const noexcept;  // rounded once, from the true sum

  std::size_t live_bytes() const noexcept { return held_.live_bytes(); }
  // Whether the same was added, as far as any result can tell.
  bool operator==(const sum_state&) const noexcept = default;

 private:
  detail::packed_numbers<1, detail::words_of_sum> held_;
};

// The sum of products x y, none of which is rounded, overflows or underflows. Correctly rounded.
// Special values are those of a sum of the products: inf times 0 is NaN, -1.0 times 0.0 is -0.0.
class dot_state {
 public:
  // Requires: as many numbers in x as in y.
  void add(numbers<double> x, numbers<double> y) noexcept;
  void add(numbers<float> x, numbers<float> y) noexcept;
  void add(double x, double y) noexcept { add(numbers<double>(&x, 1), numbers<double>(&y, 1)); }
  void add(float x, float y) noexcept { add(numbers<float>(&x, 1), numbers<float>(&y, 1)); }
  void merge(const dot_state& part) noexcept;

  double value() const noexcept;
  float value_as_float() const noexcept;
  // The square root of value() before that is rounded, itself rounded once. Of what was added as
  // add(x, x) it is the Euclidean norm of x. NaN if the sum is below zero.
  double root() const noexcept;

  std::size_t live_bytes() const noexcept { return held_.live_bytes(); }
  bool operator==(const dot_state&) const noexcept = default;

 private:
  detail::packed_numbers<1, detail::words_of_products> held_;
};

// Mean and variance. Every result is correctly rounded: it is computed from the true sums of x and
// of x^2 as one fraction of whole numbers, and rounded once.
class mean_variance_state {
 public:
  void add(numbers<double> values) noexcept;
  void add(numbers<float> values) noexcept;
  void add(double x) noexcept { add(numbers<double>(&x, 1)); }
  void add(float x) noexcept { add(numbers<float>(&x, 1)); }
  void merge(const mean_variance_state& part) noexcept;
  void merge(const detail::moment_window& part) noexcept;  // of a histogram's bin

  std::uint64_t count() const noexcept { return count_; }
  // Special values are those of a sum: of x, and of x^2.
  double sum() const noexcept;
  double sum_of_squares() const noexcept;
  // NaN of nothing. Special values are those of a sum.
  double mean() const noexcept;
  // The rest is NaN if a NaN or an infinity was added.
  //
  // With the divisor n - 1: NaN if n < 2.
  double variance() const noexcept;
  double deviation() const noexcept;  // the square root of the variance before that is rounded
  double error() const noexcept;      // of the mean: the square root of variance / n, rounded once
  // With the divisor n: NaN of nothing.
  double population_variance() const noexcept;
  double population_deviation() const noexcept;

  std::size_t live_bytes() const noexcept { return sizeof count_ + held_.live_bytes(); }
  bool operator==(const mean_variance_state&) const noexcept = default;

 private:
  std::uint64_t count_ = 0;
  detail::packed_numbers<2, detail::words_of_sum + detail::words_of_products> held_;
};

// How two variables vary together. Correctly rounded, as mean_variance_state is.
class covariance_state {
 public:
  // Requires: as many numbers in x as in y.
  void add(numbers<double> x, numbers<double> y) noexcept;
  void add(numbers<float> x, numbers<float> y) noexcept;
  void add(double x, double y) noexcept { add(numbers<double>(&x, 1), numbers<double>(&y, 1)); }
  void add(float x, float y) noexcept { add(numbers<float>(&x, 1), numbers<float>(&y, 1)); }
  void merge(const covariance_state& part) noexcept;

  std::uint64_t count() const noexcept { return count_; }
  // Each result is NaN if a NaN or an infinity was added, or n < 2.
  //
  // With the divisor n - 1.
  double covariance() const noexcept;
  // Pearson's, from -1 to 1. NaN also if all x, or all y, are the same.
  double correlation() const noexcept;

  std::size_t live_bytes() const noexcept { return sizeof count_ + held_.live_bytes(); }
  bool operator==(const covariance_state&) const noexcept = default;

 private:
  std::uint64_t count_ = 0;
  detail::packed_numbers<5, 2 * detail::words_of_sum + 3 * detail::words_of_products> held_;
};

// Adds to a state element by element. To add one number to a state costs ten times as much as to
// add one of many, so they are collected here. Nothing in add() is arithmetic: a program that is
// compiled with -ffast-math can't break it.
template <class State, class T = double>
  requires std::same_as<T, double> || std::same_as<T, float>
class collector {
 public:
  explicit collector(const State& before = {}) noexcept : state_(before) {}

  void add(T x) noexcept
    requires requires(State& s, numbers<T> n) { s.add(n); }
  {
    waiting_[0][used_] = x;
    if (++used_ == capacity) flush();
  }
  void add(T x, T y) noexcept
    requires requires(State& s, numbers<T> n) { s.add(n, n); }
  {
    waiting_[0][used_] = x;
    waiting_[1][used_] = y;
    if (++used_ == capacity) flush();
  }
  // Many at once: these don't wait.
  template <class... Values>
    requires(!std::is_arithmetic_v<Values> && ...)
  void add(const Values&... values) noexcept {
    state_.add(numbers<T>(values)...);
  }

  // The state with all that was added.
  const State& state() noexcept {
    if (used_ != 0) flush();
    return state_;
  }

 private:
  static constexpr bool in_pairs = requires(State& s, numbers<T> n) { s.add(n, n); };
  static constexpr std::size_t capacity = 512;

  [[gnu::noinline]] void flush() noexcept {
    const std::size_t count = used_;
    used_ = 0;
    if constexpr (in_pairs) {
      state_.add(numbers<T>(waiting_[0], count), numbers<T>(waiting_[1], count));
    } else {
      state_.add(numbers<T>(waiting_[0], count));
    }
  }

  std::size_t used_ = 0;
  T waiting_[in_pairs ? 2 : 1][capacity];  // beyond used_: anything
  State state_;
};

// At once, for who needs no state.
double sum(numbers<double> values) noexcept;
double dot(numbers<double> x, numbers<double> y) noexcept;
double norm2(numbers<double> values) noexcept;

}  // namespace shard::exact
