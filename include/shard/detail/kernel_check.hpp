// Which form a kernel has, and one readable error for each mistake. Not for users.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

#include "shard/detail/narrowing.hpp"
#include "shard/range.hpp"

namespace shard::detail {

enum class kernel_form { none, chunk, index, tile, cell, row };

// ---- Probes for a kernel's declared parameters. ----
// A braced argument can't deduce an `auto` parameter, so that a call with one compiles only if the
// parameter is declared with a type; the body of a generic kernel is never instantiated for a
// probe.

struct index_probe {  // becomes std::size_t and nothing else
  template <std::same_as<std::size_t> T>
  operator T() const noexcept;
};
struct other_number_probe {  // becomes any arithmetic type but std::size_t
  template <class T>
    requires(std::is_arithmetic_v<T> && !std::same_as<T, std::size_t>)
  operator T() const noexcept;
};

template <class K, class... P>
concept declares_index = requires(const K& k, P&... p) { k({index_probe{}}, p...); };
template <class K, class... P>
concept declares_other_number = requires(const K& k, P&... p) { k({other_number_probe{}}, p...); };
template <class K, class... P>
concept declares_range = requires(const K& k, P&... p) { k({range{}}, p...); };
template <class K, class T, class... P>
concept declares_row =
    requires(const K& k, P&... p) { k({index_probe{}}, {std::span<T>{}}, p...); };
template <class K, class... P>
concept declares_cell =
    requires(const K& k, P&... p) { k({index_probe{}}, {index_probe{}}, p...); };
template <class K, class... P>
concept declares_other_cell =
    requires(const K& k, P&... p) { k({other_number_probe{}}, {index_probe{}}, p...); } ||
    requires(const K& k, P&... p) { k({index_probe{}}, {other_number_probe{}}, p...); } ||
    requires(const K& k, P&... p) { k({other_number_probe{}}, {other_number_probe{}}, p...); };

// ---- Kernels without `auto` parameters: their parameter types, one by one. ----

template <class>
struct signature_of_member;
template <class R, class C, class... D>
struct signature_of_member<R (C::*)(D...) const> {
  using parameters = std::tuple<D...>;
};
template <class R, class C, class... D>
struct signature_of_member<R (C::*)(D...) const noexcept> {
  using parameters = std::tuple<D...>;
};
template <class R, class C, class... D>
struct signature_of_member<R (C::*)(D...)> {
  using parameters = std::tuple<D...>;
};
template <class R, class C, class... D>
struct signature_of_member<R (C::*)(D...) noexcept> {
  using parameters = std::tuple<D...>;
};

template <class K>
struct signature {};
template <class K>
  requires requires { &K::operator(); }
struct signature<K> : signature_of_member<decltype(&K::operator())> {};
template <class R, class... D>
struct signature<R (*)(D...)> {
  using parameters = std::tuple<D...>;
};
template <class R, class... D>
struct signature<R (*)(D...) noexcept> {
  using parameters = std::tuple<D...>;
};
template <class R, class... D>
struct signature<R(D...)> : signature<R (*)(D...)> {};

template <class K>
concept has_signature = requires { typename signature<K>::parameters; };

// What a mismatch shows: at Position (counted from 1), the kernel declares one type and is handed
// an lvalue of another.
template <class T>
struct declared;
template <class T>
struct received;

template <std::size_t Position, class Declared, class Received>
struct parameter;
template <std::size_t Position, class D, class R>
struct parameter<Position, declared<D>, received<R>> {
  static constexpr bool fits = std::is_convertible_v<R&, D>;
};

template <std::size_t Position, class Declared, class Received>
constexpr bool check_parameter() {
  constexpr bool fits = parameter<Position, Declared, Received>::fits;
  static_assert(Position != 1 || fits,
                "shard: the kernel's parameter 1 doesn't fit the space: compare 'declared<>' and "
                "'received<>'");
  static_assert(Position != 2 || fits,
                "shard: the kernel's parameter 2 doesn't fit its argument: compare 'declared<>' "
                "and 'received<>'; out() gives a slice<T>, in() a view<T>");
  static_assert(Position != 3 || fits,
                "shard: the kernel's parameter 3 doesn't fit its argument: compare 'declared<>' "
                "and 'received<>'; out() gives a slice<T>, in() a view<T>");
  static_assert(Position != 4 || fits,
                "shard: the kernel's parameter 4 doesn't fit its argument: compare 'declared<>' "
                "and 'received<>'; out() gives a slice<T>, in() a view<T>");
  static_assert(Position != 5 || fits,
                "shard: the kernel's parameter 5 doesn't fit its argument: compare 'declared<>' "
                "and 'received<>'; out() gives a slice<T>, in() a view<T>");
  static_assert(Position <= 5 || fits,
                "shard: one of the kernel's parameters from the 6th on doesn't fit its argument: "
                "compare 'declared<>' and 'received<>'; out() gives a slice<T>, in() a view<T>");
  return fits;
}

// The kernel's parameters after its first Leading ones, against what it will be handed.
template <class K, std::size_t Leading, class... P>
constexpr bool check_parameters() {
  using all = typename signature<K>::parameters;
  constexpr bool enough = std::tuple_size_v<all> == Leading + sizeof...(P);
  static_assert(enough,
                "shard: the kernel must take what its space gives, then one parameter for each "
                "argument, in their order");
  if constexpr (enough) {
    return []<std::size_t... I>(std::index_sequence<I...>) {
      return (check_parameter<Leading + I + 1, declared<std::tuple_element_t<Leading + I, all>>,
                              received<std::tuple_element_t<I, std::tuple<P...>>>>() &&
              ...);
    }(std::index_sequence_for<P...>());
  } else {
    return false;
  }
}

// ---- Kernels with `auto` parameters: which of the others does not fit. ----

struct any_probe {  // becomes an lvalue of any type
  template <class T>
  operator T&() const noexcept;
};
// Becomes the same, and says that it does not fit in the place of an argument that is a Received.
template <std::size_t Position, class Received>
struct misfit_probe {
  template <class T>
    requires(check_parameter<Position, declared<std::remove_cv_t<T>>, received<Received>>())
  operator T&() const noexcept;
};

template <class K, class First, class... P>
struct called_after {
  using arguments = std::tuple<P...>;

  // With argument Wrong replaced by what fits any parameter that is declared with a type.
  template <std::size_t Wrong, std::size_t... Before, std::size_t... After>
  static constexpr bool fits_but_for(std::index_sequence<Before...>,
                                     std::index_sequence<After...>) {
    return requires(const K& k, First first, std::tuple_element_t<Before, arguments>&... before,
                    std::tuple_element_t<Wrong + 1 + After, arguments>&... after) {
      k(first, before..., {any_probe{}}, after...);
    };
  }
  template <std::size_t Wrong, std::size_t... Before, std::size_t... After>
  static constexpr void tell(std::index_sequence<Before...>, std::index_sequence<After...>) {
    using probe = misfit_probe<Wrong + 2, std::tuple_element_t<Wrong, arguments>>;
    static_cast<void>(requires(const K& k, First first,
                               std::tuple_element_t<Before, arguments>&... before,
                               std::tuple_element_t<Wrong + 1 + After, arguments>&... after) {
      k(first, before..., {probe{}}, after...);
    });
  }
  // Whether argument Wrong alone doesn't fit; then the error has been told.
  template <std::size_t Wrong>
  static constexpr bool told() {
    using before = std::make_index_sequence<Wrong>;
    using after = std::make_index_sequence<sizeof...(P) - Wrong - 1>;
    if constexpr (fits_but_for<Wrong>(before(), after())) {
      tell<Wrong>(before(), after());
      return true;
    } else {
      return false;
    }
  }
  static constexpr bool told_any() {
    return []<std::size_t... I>(std::index_sequence<I...>) {
      return (told<I>() || ...);
    }(std::index_sequence_for<P...>());
  }
};

// Says why a kernel fits no form of its space; always "none". Leading: how many parameters the
// space gives.
template <class K, std::size_t Leading, bool WrongIndex, bool Mutable, class... P>
constexpr kernel_form explain() {
  static_assert(
      !WrongIndex,
      "shard: the kernel's index must be std::size_t: other types can't count all of them");
  static_assert(
      !Mutable,
      "shard: the kernel is mutable, but what it changes in itself would be lost in a worker");
  if constexpr (!WrongIndex && !Mutable) {
    if constexpr (!has_signature<K> && Leading == 1 &&
                  (called_after<K, std::size_t, P...>::told_any() ||
                   called_after<K, range, P...>::told_any())) {
    } else if constexpr (!has_signature<K>) {
      constexpr bool copies = (std::is_copy_constructible_v<P> && ...);
      static_assert(copies,
                    "shard: the kernel can't be called with what its space gives and then one "
                    "parameter for each argument, in their order; an accumulator is taken by "
                    "reference: auto&");
      static_assert(!copies,
                    "shard: the kernel can't be called with what its space gives and then one "
                    "parameter for each argument, in their order, all as lvalues");
    } else if constexpr (check_parameters<K, Leading, P...>()) {
      static_assert(Leading == 0,
                    "shard: the kernel's first parameter doesn't fit the space: std::size_t for an "
                    "index, shard::range for a chunk, shard::tile for a tile, std::size_t and "
                    "std::span<T> for a row");
    }
  }
  return kernel_form::none;
}

// A copy of a worker's state would be made for each call, and forgotten after it. Position counts
// from 0.
template <class K, std::size_t Position, class State>
constexpr bool check_state_parameter() {
  if constexpr (has_signature<K>) {
    using taken = std::tuple_element_t<Position, typename signature<K>::parameters>;
    constexpr bool referred = !std::is_same_v<std::remove_cv_t<taken>, State>;
    static_assert(referred,
                  "shard: the kernel takes a worker_state by value; take it by reference, State&");
    return referred;
  } else {
    return true;
  }
}

// ---- Return values. ----

template <class Result, class T>
constexpr bool check_result() {
  static_assert(!std::is_void_v<Result>,
                "shard: the kernel returns nothing, but what it returns becomes the element");
  if constexpr (!std::is_void_v<Result>) {
    using plain = std::remove_cvref_t<Result>;
    static_assert(std::is_convertible_v<plain, T>,
                  "shard: what the kernel returns doesn't convert to the output's element type");
    static_assert(!std::is_convertible_v<plain, T> || widens<plain, T>(),
                  "shard: what the kernel returns would be narrowed to the output's element type; "
                  "cast it in the kernel");
  }
  return true;
}

template <class Result, class... T>
constexpr bool check_results(std::type_identity<std::tuple<T...>>) {
  if constexpr (sizeof...(T) == 1) {
    return (check_result<Result, T>() && ...);
  } else {
    constexpr bool fits =
        requires { requires std::tuple_size<std::remove_cvref_t<Result>>::value == sizeof...(T); };
    static_assert(fits,
                  "shard: the kernel must return a std::tuple with one value for each output");
    if constexpr (fits) {
      return []<std::size_t... I>(std::index_sequence<I...>) {
        return (check_result<std::tuple_element_t<I, std::remove_cvref_t<Result>>, T>() && ...);
      }(std::index_sequence_for<T...>());
    } else {
      return false;
    }
  }
}

template <class Result>
constexpr void check_no_result() {
  static_assert(
      std::is_void_v<Result>,
      "shard: the kernel's return value would be lost: outputs are written through out(), "
      "or returned by a kernel that is mapped over a buffer");
}

// ---- The forms. ----

template <class K, class... Called>
inline constexpr bool is_mutable =
    !std::is_invocable_v<const K&, Called...> && std::is_invocable_v<K&, Called...>;

template <class K, class... P>
constexpr kernel_form form_of_chunk_kernel() {
  constexpr bool wrong_index = declares_other_number<K, P...>;
  if constexpr (declares_range<K, P...>) {
    check_no_result<std::invoke_result_t<const K&, range, P&...>>();
    return kernel_form::chunk;
  } else if constexpr (!wrong_index && std::is_invocable_v<const K&, std::size_t, P&...>) {
    check_no_result<std::invoke_result_t<const K&, std::size_t, P&...>>();
    return kernel_form::index;
  } else {
    return explain < K, 1, wrong_index,
           is_mutable<K, std::size_t, P&...> || is_mutable<K, range, P&...>, P... > ();
  }
}

// Of a space whose chunks are no ranges.
template <class K, class... P>
constexpr kernel_form form_of_index_kernel() {
  constexpr bool wrong_index = declares_other_number<K, P...>;
  constexpr bool takes_range = declares_range<K, P...>;
  static_assert(!takes_range,
                "shard: a chunk of a strided space is no range: the kernel is called for one index "
                "at a time, and takes a std::size_t");
  if constexpr (takes_range) {
    return kernel_form::none;
  } else if constexpr (!wrong_index && std::is_invocable_v<const K&, std::size_t, P&...>) {
    check_no_result<std::invoke_result_t<const K&, std::size_t, P&...>>();
    return kernel_form::index;
  } else {
    return explain<K, 1, wrong_index, is_mutable<K, std::size_t, P&...>, P...>();
  }
}

template <class K, class... P>
constexpr kernel_form form_of_tile_kernel() {
  if constexpr (std::is_invocable_v<const K&, const tile&, P&...>) {
    check_no_result<std::invoke_result_t<const K&, const tile&, P&...>>();
    return kernel_form::tile;
  } else {
    return explain<K, 1, false, is_mutable<K, const tile&, P&...>, P...>();
  }
}

template <class K, class Elements, class... P>
constexpr kernel_form form_of_element_kernel() {
  constexpr bool wrong_index = declares_other_number<K, P...>;
  if constexpr (!wrong_index && std::is_invocable_v<const K&, std::size_t, P&...>) {
    using result = std::invoke_result_t<const K&, std::size_t, P&...>;
    return check_results<result>(std::type_identity<Elements>()) ? kernel_form::index
                                                                 : kernel_form::none;
  } else {
    return explain<K, 1, wrong_index, is_mutable<K, std::size_t, P&...>, P...>();
  }
}

template <class K, class T, class... P>
constexpr kernel_form form_of_grid_kernel() {
  constexpr bool wrong_index = declares_other_cell<K, P...>;
  if constexpr (declares_row<K, T, P...>) {
    check_no_result<std::invoke_result_t<const K&, std::size_t, std::span<T>, P&...>>();
    return kernel_form::row;
  } else if constexpr (!wrong_index &&
                       std::is_invocable_v<const K&, std::size_t, std::size_t, P&...>) {
    using result = std::invoke_result_t<const K&, std::size_t, std::size_t, P&...>;
    return check_result<result, T>() ? kernel_form::cell : kernel_form::none;
  } else {
    return explain<K, 2, wrong_index, is_mutable<K, std::size_t, std::size_t, P&...>, P...>();
  }
}

}  // namespace shard::detail
