// What accumulators check at compile time. Not for users.
#pragma once

#include <cstdint>
#include <type_traits>

#include "shard/detail/narrowing.hpp"

namespace shard::detail {

template <class...>
inline constexpr bool never = false;

// Base of the reducers: turns adding to the reducer itself into an error that says what to do.
class adds_by_accumulator {
 public:
  template <class X>
  void operator+=(const X&) const {
    refuse<X>();
  }
  template <class... X>
  void operator()(const X&...) const {
    refuse<X...>();
  }
  template <class... X>
  void add(const X&...) const {
    refuse<X...>();
  }
  template <class X = void>
  void operator++() const {
    refuse<X>();
  }
  template <class X = void>
  void operator++(int) const {
    refuse<X>();
  }

 private:
  template <class... X>
  static void refuse() {
    static_assert(never<X...>,
                  "shard: add to the accumulator that the kernel receives, not to the reducer");
  }
};

// One sentence for each way in which a number that an accumulator is given could lose its value.
template <class X, class T>
constexpr bool check_added() {
  constexpr bool converts = std::is_convertible_v<const X&, T>;
  static_assert(converts, "shard: what is added to the accumulator doesn't convert to its type");
  static_assert(!converts || adds_without_loss<X, T>(),
                "shard: what is added would be narrowed to the accumulator's type; cast it in the "
                "kernel, or give the reducer a wider type");
  return converts && adds_without_loss<X, T>();
}
template <class X, class T>
constexpr bool check_offered() {
  constexpr bool converts = std::is_convertible_v<const X&, T>;
  static_assert(converts, "shard: what is offered to the accumulator doesn't convert to its type");
  static_assert(!converts || widens<X, T>(),
                "shard: what is offered would be narrowed to the accumulator's type; cast it in "
                "the kernel, or give the reducer a wider type");
  return converts && widens<X, T>();
}
template <class X>
constexpr bool check_count() {
  constexpr bool converts = std::is_convertible_v<const X&, std::int64_t>;
  static_assert(converts, "shard: a count must be an integer");
  static_assert(!converts || adds_without_loss<X, std::int64_t>(),
                "shard: this count would be narrowed to the 64-bit integer that counts; cast it in "
                "the kernel, or add fractions to a shard::sum<double>");
  return converts && adds_without_loss<X, std::int64_t>();
}
template <class X, class T>
constexpr bool check_initial() {
  constexpr bool converts = std::is_convertible_v<const X&, T>;
  static_assert(converts, "shard: the reducer's initial value doesn't convert to its type");
  static_assert(!converts || adds_without_loss<X, T>(),
                "shard: the reducer's initial value would be narrowed to its type; cast it");
  return converts && adds_without_loss<X, T>();
}

}  // namespace shard::detail
