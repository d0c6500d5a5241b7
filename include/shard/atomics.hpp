// Atomic operations on single elements, between all threads and processes that have them mapped.
// They are members of buffer, where every index is checked, and of shared_view, where SHARD_CHECKED
// checks it. All are lock-free. An index is a number in rank 1, and {i, j, …} in higher ranks.
//
//   load store exchange compare_exchange      integers, bool, std::byte, float, double
//   fetch_add fetch_sub fetch_min fetch_max   integers, float, double
//   fetch_and fetch_or fetch_xor              integers, std::byte
//
// None for complex numbers, text, enums and structs, and load alone for const elements. Every
// fetch_ returns the value before. Integers wrap, signed ones too. To fetch_min and fetch_max a NaN
// loses against any number, as in std::fmin. Unless told otherwise loads acquire, stores release,
// and the rest do both.
#pragma once

#include <atomic>
#include <concepts>
#include <cstddef>
#include <type_traits>

#include "shard/detail/index.hpp"

namespace shard {

// Types whose elements processors can change atomically, and what they can do with them.
template <class T>
concept atomic_element =
    std::same_as<T, std::remove_cv_t<T>> &&
    ((std::is_arithmetic_v<T> && sizeof(T) <= 8) || std::same_as<T, std::byte>);
template <class T>
concept atomic_number = atomic_element<T> && std::is_arithmetic_v<T> && !std::same_as<T, bool>;
template <class T>
concept atomic_integer = atomic_number<T> && std::integral<T>;
template <class T>
concept atomic_bits = atomic_integer<T> || std::same_as<T, std::byte>;

namespace detail {

// What std::atomic_ref does, and what it has no operation for.
template <atomic_element T>
class atomic_cell : public std::atomic_ref<T> {
  using base = std::atomic_ref<T>;
  static_assert(base::is_always_lock_free && base::required_alignment == alignof(T));

 public:
  using base::base;

  T fetch_min(T value, std::memory_order order) const noexcept {
    return replace(order, [value](T old) { return value < old || is_nan(old) ? value : old; });
  }
  T fetch_max(T value, std::memory_order order) const noexcept {
    return replace(order, [value](T old) { return old < value || is_nan(old) ? value : old; });
  }
  T fetch_and(T value, std::memory_order order) const noexcept {
    if constexpr (std::integral<T>) {
      return base::fetch_and(value, order);
    } else {
      return replace(order, [value](T old) { return old & value; });
    }
  }
  T fetch_or(T value, std::memory_order order) const noexcept {
    if constexpr (std::integral<T>) {
      return base::fetch_or(value, order);
    } else {
      return replace(order, [value](T old) { return old | value; });
    }
  }
  T fetch_xor(T value, std::memory_order order) const noexcept {
    if constexpr (std::integral<T>) {
      return base::fetch_xor(value, order);
    } else {
      return replace(order, [value](T old) { return old ^ value; });
    }
  }

 private:
  static constexpr bool is_nan(T value) noexcept { return value != value; }

  // By compare-exchange, which compares bits, so that it ends even where the old value is a NaN.
  template <class Change>
  T replace(std::memory_order order, Change change) const noexcept {
    T old = base::load(std::memory_order_relaxed);
    while (!base::compare_exchange_weak(old, static_cast<T>(change(old)), order,
                                        std::memory_order_relaxed)) {
    }
    return old;
  }
};

// The operations of a handle to elements, which changes them even if it is const itself. Self has
// T& cell(position<Rank>) const.
template <class Self, class T, std::size_t Rank>
class handle_atomics {
  using order = std::memory_order;
  using index = position<Rank>;

 public:
  T load(index i, order o = order::acquire) const noexcept(!checked) { return atomic(i).load(o); }
  void store(index i, T value, order o = order::release) const noexcept(!checked) {
    atomic(i).store(value, o);
  }
  T exchange(index i, T value, order o = order::acq_rel) const noexcept(!checked) {
    return atomic(i).exchange(value, o);
  }
  // Stores `desired` where the bits of `expected` are found, and returns true; otherwise puts what
  // was found into `expected`.
  bool compare_exchange(index i, T& expected, T desired, order o = order::acq_rel) const
      noexcept(!checked) {
    return atomic(i).compare_exchange_strong(expected, desired, o);
  }

  T fetch_add(index i, T value, order o = order::acq_rel) const noexcept(!checked)
    requires atomic_number<T>
  {
    return atomic(i).fetch_add(value, o);
  }
  T fetch_sub(index i, T value, order o = order::acq_rel) const noexcept(!checked)
    requires atomic_number<T>
  {
    return atomic(i).fetch_sub(value, o);
  }
  T fetch_min(index i, T value, order o = order::acq_rel) const noexcept(!checked)
    requires atomic_number<T>
  {
    return atomic(i).fetch_min(value, o);
  }
  T fetch_max(index i, T value, order o = order::acq_rel) const noexcept(!checked)
    requires atomic_number<T>
  {
    return atomic(i).fetch_max(value, o);
  }

  T fetch_and(index i, T value, order o = order::acq_rel) const noexcept(!checked)
    requires atomic_bits<T>
  {
    return atomic(i).fetch_and(value, o);
  }
  T fetch_or(index i, T value, order o = order::acq_rel) const noexcept(!checked)
    requires atomic_bits<T>
  {
    return atomic(i).fetch_or(value, o);
  }
  T fetch_xor(index i, T value, order o = order::acq_rel) const noexcept(!checked)
    requires atomic_bits<T>
  {
    return atomic(i).fetch_xor(value, o);
  }

 private:
  auto atomic(const index& i) const noexcept(!checked) {
    return atomic_cell<T>(static_cast<const Self&>(*this).cell(i));
  }
};

// The same operations of what owns its elements: its const is theirs, and what Self::cell refuses
// is thrown.
template <class Self, class T, std::size_t Rank>
class owner_atomics {
  using plain = std::remove_const_t<T>;
  using order = std::memory_order;
  using index = position<Rank>;

 public:
  plain load(index i, order o = order::acquire) const
    requires atomic_element<plain>
  {
    return atomic(i).load(o);
  }
  void store(index i, T value, order o = order::release)
    requires atomic_element<T>
  {
    atomic(i).store(value, o);
  }
  T exchange(index i, T value, order o = order::acq_rel)
    requires atomic_element<T>
  {
    return atomic(i).exchange(value, o);
  }
  // Stores `desired` where the bits of `expected` are found, and returns true; otherwise puts what
  // was found into `expected`.
  bool compare_exchange(index i, T& expected, T desired, order o = order::acq_rel)
    requires atomic_element<T>
  {
    return atomic(i).compare_exchange_strong(expected, desired, o);
  }

  T fetch_add(index i, T value, order o = order::acq_rel)
    requires atomic_number<T>
  {
    return atomic(i).fetch_add(value, o);
  }
  T fetch_sub(index i, T value, order o = order::acq_rel)
    requires atomic_number<T>
  {
    return atomic(i).fetch_sub(value, o);
  }
  T fetch_min(index i, T value, order o = order::acq_rel)
    requires atomic_number<T>
  {
    return atomic(i).fetch_min(value, o);
  }
  T fetch_max(index i, T value, order o = order::acq_rel)
    requires atomic_number<T>
  {
    return atomic(i).fetch_max(value, o);
  }

  T fetch_and(index i, T value, order o = order::acq_rel)
    requires atomic_bits<T>
  {
    return atomic(i).fetch_and(value, o);
  }
  T fetch_or(index i, T value, order o = order::acq_rel)
    requires atomic_bits<T>
  {
    return atomic(i).fetch_or(value, o);
  }
  T fetch_xor(index i, T value, order o = order::acq_rel)
    requires atomic_bits<T>
  {
    return atomic(i).fetch_xor(value, o);
  }

 private:
  // Through plain, since std::atomic_ref can't load a const object; it writes none for a load.
  auto atomic(const index& i) const {
    return atomic_cell<plain>(const_cast<plain&>(static_cast<const Self&>(*this).cell(i)));
  }
};

}  // namespace detail

}  // namespace shard
