// Which conversions of numbers lose nothing: the rule for what kernels return and for what they add
// to accumulators. Not for users, who have shard::widens_to (reduce.hpp).
#pragma once

#include <concepts>
#include <limits>
#include <type_traits>
#include <utility>

namespace shard::detail {

// Overloads for all numbers: which is chosen tells what a class converts to.
template <class... N>
struct number_overloads;
template <class N>
struct number_overloads<N> {
  static N choose(N);
};
template <class N, class... Rest>
struct number_overloads<N, Rest...> : number_overloads<Rest...> {
  using number_overloads<Rest...>::choose;
  static N choose(N);
};
using numbers = number_overloads<bool, char, signed char, unsigned char, short, unsigned short, int,
                                 unsigned, long, unsigned long, long long, unsigned long long,
                                 float, double, long double>;

// The number that an X is: itself, or what a class such as std::reference_wrapper<int> converts to.
template <class X>
struct number_in {
  using type = X;
};
template <class X>
  requires(std::is_class_v<X> && requires(const X& x) { numbers::choose(x); })
struct number_in<X> {
  using type = decltype(numbers::choose(std::declval<const X&>()));
};

// Every value of From is one of To.
template <class From, class To>
constexpr bool widens() {
  using number = typename number_in<From>::type;
  if constexpr (std::same_as<From, To>) {
    return true;
  } else if constexpr (std::is_arithmetic_v<number> && std::is_arithmetic_v<To>) {
    using f = std::numeric_limits<number>;
    using t = std::numeric_limits<To>;
    if constexpr (std::same_as<number, To>) return std::is_convertible_v<From, To>;
    if constexpr (std::is_same_v<To, bool> || (!f::is_integer && t::is_integer)) return false;
    return f::digits <= t::digits && (t::is_signed || !f::is_signed);
  } else {
    return std::is_convertible_v<From, To>;
  }
}

// An X can be added to a T that wraps around, and nothing is lost: integers of T's width or less
// are the same modulo 2 to the power of that width, signed or not.
template <class X, class T>
constexpr bool adds_without_loss() {
  using number = typename number_in<X>::type;
  if constexpr (std::is_integral_v<number> && std::is_integral_v<T>) {
    return std::is_convertible_v<X, T> && sizeof(number) <= sizeof(T);
  } else {
    return widens<X, T>();
  }
}

}  // namespace shard::detail
