// Atomic operations on single elements. They are atomic between all threads and processes that
// share the elements, and all are lock-free. They are members of buffer, which checks every index,
// and of shared_view, which checks indices only with SHARD_CHECKED. An index is a number in rank 1,
// and {i, j, …} in higher ranks.
//
//   load store exchange compare_exchange      integers, bool, std::byte, float, double
//   fetch_add fetch_sub fetch_min fetch_max   integers, float, double
//   fetch_and fetch_or fetch_xor              integers, std::byte
//   wait wait_for notify_one notify_all       those of 4 or 8 bytes
//
// Complex numbers, text, enums and structs have no atomic operations. Const elements have only
// load. Every fetch_ function returns the value before the operation. Integers wrap, also signed
// ones. In fetch_min and fetch_max a NaN loses against any number, as in std::fmin. The default
// memory order is acquire for loads, release for stores, and acq_rel for all others.
//
// Waiting works as in std::atomic, between all processes that have the elements, by whatever way
// they got them (fork, path, name, descriptor), and through handles that can only read:
//
//   state.wait(0, idle);                              // one process
//   state.store(0, ready), state.notify_all(0);       // another one
//
// wait returns as soon as it sees that the element has other bits than `old`, and returns what it
// has seen. Who changes an element calls notify_one or notify_all afterwards: without that, a
// waiting thread may sleep on. wait_for returns nothing if `limit` is over first. That is the way
// to live with a notifier that was killed before it could notify. Signals don't end a wait. A value
// that changes and changes back may go unseen. notify_one wakes one of the threads that wait for
// this element, notify_all all of them; a thread that is not needed goes on sleeping. The wait and
// notify of std::atomic_ref itself reach no other process.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "shard/detail/index.hpp"
#include "shard/detail/sharing.hpp"

namespace shard {

// The types that have atomic operations, by the operations that they have.
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
template <class T>
concept waitable_element = atomic_element<T> && (sizeof(T) == 4 || sizeof(T) == 8);

namespace detail {

// std::atomic_ref, with the operations that std::atomic_ref lacks.
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

  // Uses compare-exchange, which compares bits: so the loop also ends if the old value is a NaN.
  template <class Change>
  T replace(std::memory_order order, Change change) const noexcept {
    T old = base::load(std::memory_order_relaxed);
    while (!base::compare_exchange_weak(old, static_cast<T>(change(old)), order,
                                        std::memory_order_relaxed)) {
    }
    return old;
  }
};

// Nothing: the deadline has passed, and the element has the bits of `old` still. Memory order: that
// of the load that sees the change.
template <waitable_element T>
std::optional<T> wait_at(T& element, T old, deadline until, std::memory_order order) {
  using words = std::array<std::uint32_t, sizeof(T) / sizeof(std::uint32_t)>;
  const auto before = std::bit_cast<words>(old);
  for (;;) {
    const T now = atomic_cell<T>(element).load(order);
    if (std::bit_cast<words>(now) != before) return now;
    if (until && *until <= std::chrono::steady_clock::now()) return std::nullopt;
    sleep_at(&element, before, until);
  }
}

// The operations of a handle that does not own its elements: a const handle can change them, too.
// Self has T& cell(position<Rank>) const.
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
  // If the element has the bits of `expected`, stores `desired` and returns true. Otherwise copies
  // the element to `expected` and returns false.
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

  T wait(index i, T old, order o = order::acquire) const
    requires waitable_element<T>
  {
    return *wait_at(static_cast<const Self&>(*this).cell(i), old, {}, o);
  }
  template <class Rep, class Period>
  std::optional<T> wait_for(index i, T old, std::chrono::duration<Rep, Period> limit,
                            order o = order::acquire) const
    requires waitable_element<T>
  {
    return wait_at(static_cast<const Self&>(*this).cell(i), old, deadline_in(limit), o);
  }
  void notify_one(index i) const noexcept(!checked)
    requires waitable_element<T>
  {
    wake_at(&static_cast<const Self&>(*this).cell(i), wakes::one);
  }
  void notify_all(index i) const noexcept(!checked)
    requires waitable_element<T>
  {
    wake_at(&static_cast<const Self&>(*this).cell(i), wakes::all);
  }

 private:
  auto atomic(const index& i) const noexcept(!checked) {
    return atomic_cell<T>(static_cast<const Self&>(*this).cell(i));
  }
};

// The same operations for an owner of elements: a const owner has const elements. They are declared
// again because no C++20 template can make a member function const for some Selfs only. Self::cell
// may throw.
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
  // If the element has the bits of `expected`, stores `desired` and returns true. Otherwise copies
  // the element to `expected` and returns false.
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

  plain wait(index i, plain old, order o = order::acquire) const
    requires waitable_element<plain>
  {
    return *wait_at(element(i), old, {}, o);
  }
  template <class Rep, class Period>
  std::optional<plain> wait_for(index i, plain old, std::chrono::duration<Rep, Period> limit,
                                order o = order::acquire) const
    requires waitable_element<plain>
  {
    return wait_at(element(i), old, deadline_in(limit), o);
  }
  void notify_one(index i)
    requires waitable_element<T>
  {
    wake_at(&element(i), wakes::one);
  }
  void notify_all(index i)
    requires waitable_element<T>
  {
    wake_at(&element(i), wakes::all);
  }

 private:
  // The const is cast away because std::atomic_ref cannot refer to a const object. A load writes
  // nothing.
  plain& element(const index& i) const {
    return const_cast<plain&>(static_cast<const Self&>(*this).cell(i));
  }
  auto atomic(const index& i) const { return atomic_cell<plain>(element(i)); }
};

}  // namespace detail

}  // namespace shard
