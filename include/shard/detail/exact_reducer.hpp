// Reducers that are exact sums. Not for users.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>

#include "shard/detail/adding.hpp"
#include "shard/exact.hpp"

namespace shard::detail {

// How a kernel gives numbers: total += x, total(x), to be squared, or total(x, y).
enum class takes { terms, values, squares, pairs };

// A reducer whose result is a state of exact.hpp. Kernels add numbers of type T.
template <class State, class T, takes Given>
class exact_reducer : public adds_by_accumulator {
  static_assert(std::is_same_v<T, double> || std::is_same_v<T, float>,
                "shard: exact sums add double or float; ordered_sum adds long double");
  static_assert(std::is_trivially_copyable_v<State>);

 public:
  class accumulator;
  using compares_bits = void;
  static constexpr bool ordered = false;
  static constexpr bool in_place = false;

  // Whether the same was added, as far as any result can tell.
  friend bool operator==(const exact_reducer& a, const exact_reducer& b) noexcept {
    return a.held_ == b.held_;
  }

  std::size_t state_bytes() const noexcept { return sizeof(State); }
  static std::size_t live_bytes(const std::byte* state) noexcept {
    return reinterpret_cast<const State*>(state)->live_bytes();
  }
  void start(std::byte*) const noexcept {}
  void merge(const accumulator& part) noexcept { held_.merge(part.state()); }

 protected:
  const State& held() const noexcept { return held_; }
  template <class... X>
  void hold(const X&... x) noexcept {
    held_.add(x...);
  }

 private:
  State held_{};
};

// Numbers wait in it until there are many.
template <class State, class T, takes Given>
class exact_reducer<State, T, Given>::accumulator {
 public:
  accumulator(const exact_reducer&, const std::byte* state) noexcept : waiting_(in(state)) {}
  accumulator(const accumulator&) = delete;  // take it by reference: auto& total
  accumulator& operator=(const accumulator&) = delete;

  // None of these compiles if a number would be narrowed. They take x by value: x may be a field of
  // a packed struct.
  template <class X>
    requires(Given == takes::terms)
  accumulator& operator+=(X x) noexcept {
    take(x);
    return *this;
  }
  template <class X>
    requires(Given == takes::values || Given == takes::squares)
  void operator()(X x) noexcept {
    take(x);
  }
  template <class X, class Y>
    requires(Given == takes::pairs)
  void operator()(X x, Y y) noexcept {
    if constexpr (check_added<X, T>() && check_added<Y, T>()) {
      waiting_.add(static_cast<T>(x), static_cast<T>(y));
    }
  }

  // Many numbers: a span, a vector, an array, a view, or a strided part of an array. They are added
  // fastest if they are of type T.
  template <class Values>
    requires(Given != takes::pairs)
  void add(const Values& values) noexcept {
    constexpr bool spans = requires { std::span(std::as_const(values)); };
    static_assert(
        spans || is_array_of_numbers<Values>,
        "shard: add() takes contiguous numbers: a span, a view, a vector or an array, or a "
        "strided part of one; add one number with += or ()");
    if constexpr (is_array_of_numbers<Values> && Given == takes::squares) {
      waiting_.add(values, values);
    } else if constexpr (is_array_of_numbers<Values>) {
      waiting_.add(values);
    } else if constexpr (spans) {
      for (const auto& x : std::span(std::as_const(values))) take(x);
    }
  }
  // Requires: as many in x as in y.
  template <class Values, class Others>
    requires(Given == takes::pairs)
  void add(const Values& x, const Others& y) noexcept {
    constexpr bool of_numbers = is_array_of_numbers<Values> && is_array_of_numbers<Others>;
    static_assert(of_numbers,
                  "shard: add() takes numbers of the reducer's type that lie in spans, views, "
                  "vectors, arrays or strided parts of arrays");
    if constexpr (of_numbers) waiting_.add(x, y);
  }

  void store(std::byte* state) const noexcept {
    const State& all = waiting_.state();
    std::memcpy(state, &all, all.live_bytes());
  }

 private:
  friend exact_reducer;

  template <class Values>
  static constexpr bool is_array_of_numbers = std::convertible_to<const Values&, exact::numbers<T>>;

  template <class X>
  void take(X x) noexcept {
    if constexpr (check_added<X, T>()) {
      if constexpr (Given == takes::squares) {
        waiting_.add(static_cast<T>(x), static_cast<T>(x));
      } else {
        waiting_.add(static_cast<T>(x));
      }
    }
  }

  // What counts of a state: what is behind it may be anything.
  static State in(const std::byte* state) noexcept {
    State found{};
    std::memcpy(&found, state, reinterpret_cast<const State*>(state)->live_bytes());
    return found;
  }
  const State& state() const noexcept { return waiting_.state(); }

  mutable exact::collector<State, T> waiting_;
};

}  // namespace shard::detail
