// Reductions: results that every chunk of a map adds to, each chunk exactly once.
//
// A reducer holds the result, in the caller. A kernel never sees the reducer. The kernel receives
// an accumulator, which shard makes for its worker, and adds to the accumulator. shard keeps what
// accumulators hold in shared memory, as plain bytes (states). When the map is over, shard merges
// the states into the reducer. A map adds to what the reducer already holds.
//
//   shard::sum<double> total;
//   shard::map(shard::range{0, n}, shard::in(x), shard::reduce(total),
//              [](shard::range chunk, auto x, auto& total) { total.add(x.span(chunk)); });
//   std::cout << total.value();
#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>

#include "shard/detail/adding.hpp"
#include "shard/detail/exact_reducer.hpp"
#include "shard/detail/narrowing.hpp"
#include "shard/exact.hpp"

namespace shard {

// Every value of From is a value of To: the conversion loses nothing. shard's accumulators take
// only such values. Sums and counts of integers wrap around, so they also take any integer of the
// same width. Use the concept in your own accumulators: void operator()(shard::widens_to<double>
// auto x).
template <class From, class To>
concept widens_to = detail::widens<From, To>();

// What a class must have so that a map can reduce with it. To write one of your own:
//
//   R::accumulator      adds what the kernel gives it. It can't be copied, because all kernel calls
//                       of a worker must add to the same accumulator.
//   R::ordered          true: one state for each chunk. shard merges the states in the order of the
//                       chunks. For small states, and where the order of merging could change a bit
//                       of the result, as in floating point. false: one state for each worker.
//                       shard merges the states in any order. For states, small or large, where no
//                       order can change a bit of the result.
//   R::in_place         false: accumulators touch the state only when they are made and in
//                       store(). An exception then costs nothing but its own index. true, or left
//                       out: after an exception shard adds again what was added since the last
//                       commit.
//   state_bytes()       size of a state. The size doesn't change while the reducer lives. At first
//                       a state is a block of zeros of that size. Other processes read the state,
//                       so it must not have pointers. A state is aligned to 64 bytes. An ordered
//                       state of less than 64 bytes is aligned to the power of two that is not
//                       below its size.
//   live_bytes(state)   static, optional, for states that have more room than they mostly need: how
//                       many of a state's first bytes count. What is behind them may be
//                       anything. Of a zero-filled state it must be right, too. Then shard copies
//                       no more.
//   start(state)        makes a zero-filled state the state of "nothing added". If zeros already
//                       say so, start() does nothing, and no page of the state is touched.
//   accumulator(r, state)
//                       goes on from a state. A small accumulator copies the value into a member,
//                       which the kernel's loop can keep in a register. A large accumulator adds to
//                       the state in place. The reducer and the state outlive the accumulator.
//   store(state)        writes back what the accumulator holds. An accumulator that adds in place
//                       has nothing to do here. shard calls store() only after a kernel call that
//                       returned.
//   merge(accumulator)  adds what an accumulator holds to the result. shard calls merge() in the
//                       caller, once for each state.
//   compares_bits       a type, optional: R can be copied, and its operator== says whether two
//                       reducers hold the same bits. SHARD_CHECK_POOL compares only such reducers.
template <class R>
concept reducer =
    requires(R& result, const R& r, std::byte* state, const typename R::accumulator& part) {
      typename std::bool_constant<R::ordered>;
      { r.state_bytes() } -> std::same_as<std::size_t>;
      r.start(state);
      part.store(state);
      result.merge(part);
    } && std::constructible_from<typename R::accumulator, const R&, std::byte*> &&
    !std::is_copy_constructible_v<typename R::accumulator>;

namespace detail {

// T's addition, wrapping around for integers (where signed overflow would be undefined).
template <class T>
constexpr T wrapping_add(T a, T b) noexcept {
  if constexpr (std::is_floating_point_v<T>) {
    return a + b;
  } else {
    using bits = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<bits>(static_cast<bits>(a) + static_cast<bits>(b)));
  }
}

// Whether both are the same number, or both no number: 0.0 and -0.0 are not the same.
template <class T>
constexpr bool same_number(T a, T b) noexcept {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
    return a == b && std::signbit(a) == std::signbit(b);
  } else {
    return a == b;
  }
}

enum class side { lowest, highest };

// A total order of all numbers, except that nothing comes before or after a NaN.
template <side First, class T>
bool before(T a, T b) noexcept {
  const T low = First == side::lowest ? a : b;
  const T high = First == side::lowest ? b : a;
  if constexpr (std::is_floating_point_v<T>) {
    return low < high || (low == high && std::signbit(low) && !std::signbit(high));
  } else {
    return low < high;
  }
}

template <class T, side Which>
class extreme;

}  // namespace detail

// The sum of what a map adds.
//
// Of floating point, exactly: value() is the true sum, correctly rounded: to the nearest T, halfway
// cases to even. It is rounded once, at the end. So its bits depend on nothing but the numbers. A
// NaN, or infinities of both signs, make it NaN. What overflows in between and comes back is no
// overflow. Of nothing the sum is +0.0; of zeros it is -0.0 only if all of them are. At most 2^63
// numbers. exact.hpp and docs/exact_sums.md say more.
//
// Sums of integers wrap around; checked_sum tells of it.
template <class T>
class sum;

// The sum in T's own arithmetic, rounded after each addition, as a serial loop has it. It is added
// from left to right within a chunk, and the sums of the chunks are added in the order of the
// chunks. So only the same plan gives the same bits, with any number of workers. It is cheaper than
// `sum` where a chunk adds few numbers, and the only one for long double.
template <std::floating_point T>
class ordered_sum;

namespace detail {

__extension__ using int128 = __int128;

[[noreturn]] void refuse_overflow(std::size_t bits, bool is_signed);

// A sum in T's own arithmetic.
template <class T>
class plain_sum : public adds_by_accumulator {
 public:
  class accumulator;
  using compares_bits = void;
  static constexpr bool ordered = std::is_floating_point_v<T>;
  static constexpr bool in_place = false;

  plain_sum() = default;
  template <class X>
  explicit plain_sum(const X& initial) noexcept {
    if constexpr (check_initial<X, T>()) value_ = static_cast<T>(initial);
  }

  T value() const noexcept { return value_; }
  friend bool operator==(const plain_sum& a, const plain_sum& b) noexcept {
    return same_number(a.value_, b.value_);
  }

  std::size_t state_bytes() const noexcept { return sizeof(T); }
  void start(std::byte*) const noexcept {}
  void merge(const accumulator& part) noexcept;

 private:
  T value_{};
};

}  // namespace detail

template <std::integral T>
class sum<T> : public detail::plain_sum<T> {
  static_assert(!std::is_same_v<T, bool>,
                "shard: sum<T> adds integers or floating point; count bools with shard::counter");

 public:
  sum() = default;
  template <class X>
    requires(!std::same_as<X, sum>)
  explicit sum(const X& initial) noexcept : detail::plain_sum<T>(initial) {}
};

template <std::floating_point T>
class sum<T> : public detail::exact_reducer<exact::sum_state, T, detail::takes::terms> {
 public:
  sum() = default;
  template <class X>
    requires(!std::same_as<X, sum>)
  explicit sum(const X& initial) noexcept {
    if constexpr (detail::check_initial<X, T>()) this->hold(static_cast<T>(initial));
  }

  T value() const noexcept {
    if constexpr (std::is_same_v<T, float>) {
      return this->held().value_as_float();
    } else {
      return this->held().value();
    }
  }
};

template <std::floating_point T>
class ordered_sum : public detail::plain_sum<T> {
 public:
  ordered_sum() = default;
  template <class X>
    requires(!std::same_as<X, ordered_sum>)
  explicit ordered_sum(const X& initial) noexcept : detail::plain_sum<T>(initial) {}
};

// The sum of integers that says whether T can hold it. What overflows in between and comes back is
// no overflow: states have 128 bits, enough for 2^63 numbers.
template <std::integral T>
class checked_sum : public detail::adds_by_accumulator {
  static_assert(!std::is_same_v<T, bool>, "shard: count bools with shard::counter");

 public:
  class accumulator;
  using compares_bits = void;
  static constexpr bool ordered = false;
  static constexpr bool in_place = false;

  checked_sum() = default;
  template <class X>
    requires(!std::same_as<X, checked_sum>)
  explicit checked_sum(const X& initial) noexcept {
    if constexpr (detail::check_initial<X, T>()) value_ = static_cast<T>(initial);
  }

  bool overflows() const noexcept { return value_ != static_cast<T>(value_); }
  // Throws shard::error if it overflows.
  T value() const {
    if (overflows()) detail::refuse_overflow(sizeof(T) * 8, std::is_signed_v<T>);
    return static_cast<T>(value_);
  }
  friend bool operator==(const checked_sum& a, const checked_sum& b) noexcept {
    return a.value_ == b.value_;
  }

  std::size_t state_bytes() const noexcept { return sizeof value_; }
  void start(std::byte*) const noexcept {}
  void merge(const accumulator& part) noexcept;

 private:
  detail::int128 value_ = 0;
};

// Counts how often something happened. The count wraps around beyond 63 bits.
class counter : public detail::adds_by_accumulator {
 public:
  class accumulator;
  using compares_bits = void;
  static constexpr bool ordered = false;
  static constexpr bool in_place = false;

  counter() = default;
  template <class X>
    requires(!std::same_as<X, counter>)
  explicit counter(const X& initial) noexcept : count_(initial) {}

  std::int64_t value() const noexcept { return count_.value(); }
  friend bool operator==(const counter& a, const counter& b) noexcept {
    return a.count_ == b.count_;
  }

  std::size_t state_bytes() const noexcept { return count_.state_bytes(); }
  void start(std::byte*) const noexcept {}
  void merge(const accumulator& part) noexcept;

 private:
  sum<std::int64_t> count_;
};

// The smallest of the values that a map offers to the accumulator: smallest(x). NaNs are ignored.
// -0.0 counts as smaller than +0.0, so the bits of the result don't depend on the order.
template <class T>
class minimum : public detail::extreme<T, detail::side::lowest> {
 public:
  minimum() = default;
  template <class X>
    requires(!std::same_as<X, minimum>)
  explicit minimum(const X& initial) noexcept : detail::extreme<T, detail::side::lowest>(initial) {}
};

// The largest of the values that a map offers to the accumulator: largest(x). NaNs are ignored;
// +0.0 counts as larger than -0.0.
template <class T>
class maximum : public detail::extreme<T, detail::side::highest> {
 public:
  maximum() = default;
  template <class X>
    requires(!std::same_as<X, maximum>)
  explicit maximum(const X& initial) noexcept
      : detail::extreme<T, detail::side::highest>(initial) {}
};

template <class T>
sum(T) -> sum<T>;
template <class T>
checked_sum(T) -> checked_sum<T>;
template <class T>
ordered_sum(T) -> ordered_sum<T>;
template <class T>
minimum(T) -> minimum<T>;
template <class T>
maximum(T) -> maximum<T>;

namespace detail {

template <class T>
class plain_sum<T>::accumulator {
 public:
  accumulator(const plain_sum&, const std::byte* state) noexcept {
    std::memcpy(&value_, state, sizeof(T));
  }
  accumulator(const accumulator&) = delete;  // take it by reference: auto& total
  accumulator& operator=(const accumulator&) = delete;

  // Doesn't compile if x would be narrowed. Takes x by value: x may be a field of a packed struct.
  template <class X>
  accumulator& operator+=(X x) noexcept {
    if constexpr (check_added<X, T>()) value_ = wrapping_add(value_, static_cast<T>(x));
    return *this;
  }
  // Adds the elements one after the other, as a loop over += would.
  void add(std::span<const T> values) noexcept { add_each(values); }
  // The same for numbers of another type, contiguous ones.
  template <class Values>
    requires(!std::is_convertible_v<const Values&, std::span<const T>>)
  void add(const Values& values) noexcept;

  void store(std::byte* state) const noexcept { std::memcpy(state, &value_, sizeof(T)); }

 private:
  friend plain_sum;

  template <class X>
  void add_each(std::span<const X> values) noexcept;

  T value_;
};

}  // namespace detail

template <std::integral T>
class checked_sum<T>::accumulator {
 public:
  accumulator(const checked_sum&, const std::byte* state) noexcept {
    std::memcpy(&value_, state, sizeof value_);
  }
  accumulator(const accumulator&) = delete;  // take it by reference: auto& total
  accumulator& operator=(const accumulator&) = delete;

  // Doesn't compile if x would be narrowed.
  template <class X>
  accumulator& operator+=(X x) noexcept {
    if constexpr (detail::check_offered<X, T>()) value_ += static_cast<T>(x);
    return *this;
  }
  void add(std::span<const T> values) noexcept {
    detail::int128 total = 0;
    for (const T x : values) total += x;
    value_ += total;
  }

  void store(std::byte* state) const noexcept { std::memcpy(state, &value_, sizeof value_); }

 private:
  friend checked_sum;
  detail::int128 value_;
};

class counter::accumulator {
 public:
  accumulator(const counter& of, const std::byte* state) noexcept : count_(of.count_, state) {}
  accumulator(const accumulator&) = delete;  // take it by reference: auto& hits
  accumulator& operator=(const accumulator&) = delete;

  accumulator& operator++() noexcept { return *this += 1; }
  void operator++(int) noexcept { *this += 1; }
  // Doesn't compile if n would be narrowed.
  template <class N>
  accumulator& operator+=(N n) noexcept {
    if constexpr (detail::check_count<N>()) count_ += static_cast<std::int64_t>(n);
    return *this;
  }

  void store(std::byte* state) const noexcept { count_.store(state); }

 private:
  friend counter;
  sum<std::int64_t>::accumulator count_;
};

inline void counter::merge(const accumulator& part) noexcept { count_.merge(part.count_); }

namespace detail {

// What minimum and maximum have in common.
template <class T, side Which>
class extreme : public adds_by_accumulator {
  static_assert(std::is_arithmetic_v<T>, "shard: minimum<T> and maximum<T> compare numbers");

 public:
  class accumulator;
  using compares_bits = void;
  static constexpr bool ordered = false;
  static constexpr bool in_place = false;

  // Whether there is no value yet: nothing was offered, or only NaNs.
  bool empty() const noexcept { return !best_.found; }
  // Throws shard::error if empty().
  T value() const;
  friend bool operator==(const extreme& a, const extreme& b) noexcept {
    return a.best_.found == b.best_.found && same_number(a.best_.value, b.best_.value);
  }

  std::size_t state_bytes() const noexcept { return sizeof(T) + 1; }
  void start(std::byte*) const noexcept {}
  void merge(const accumulator& part) noexcept;

 protected:
  extreme() = default;
  template <class X>
  explicit extreme(const X& initial) noexcept {
    if constexpr (check_initial<X, T>()) best_.offer(static_cast<T>(initial));
  }

 private:
  using limits = std::numeric_limits<T>;

  // The value of "nothing offered": every other one comes before it, so that a loop need not ask.
  static constexpr T farthest() noexcept;

  struct candidate {
    void offer(T x) noexcept;
    T value = farthest();
    bool found = false;
  };

  candidate best_;
};

[[noreturn]] void refuse_no_value(bool lowest);

template <class T, side Which>
class extreme<T, Which>::accumulator {
 public:
  accumulator(const extreme&, const std::byte* state) noexcept;
  accumulator(const accumulator&) = delete;  // take it by reference: auto& smallest
  accumulator& operator=(const accumulator&) = delete;

  // Doesn't compile if x would be narrowed.
  template <class X>
  void operator()(X x) noexcept {
    if constexpr (check_offered<X, T>()) best_.offer(static_cast<T>(x));
  }

  // A state is the value's bytes, then one that says whether there is a value.
  void store(std::byte* state) const noexcept;

 private:
  friend extreme;
  candidate best_;
};

template <class T, side Which>
constexpr T extreme<T, Which>::farthest() noexcept {
  if constexpr (limits::has_infinity) {
    return Which == side::lowest ? limits::infinity() : -limits::infinity();
  } else {
    return Which == side::lowest ? limits::max() : limits::lowest();
  }
}

template <class T, side Which>
void extreme<T, Which>::candidate::offer(T x) noexcept {
  if (before<Which>(x, value)) value = x;
  if constexpr (std::is_floating_point_v<T>) {
    found |= !std::isnan(x);
  } else {
    found = true;
  }
}

template <class T, side Which>
T extreme<T, Which>::value() const {
  if (empty()) refuse_no_value(Which == side::lowest);
  return best_.value;
}

template <class T, side Which>
void extreme<T, Which>::merge(const accumulator& part) noexcept {
  if (part.best_.found) best_.offer(part.best_.value);
}

template <class T, side Which>
extreme<T, Which>::accumulator::accumulator(const extreme&, const std::byte* state) noexcept {
  best_.found = state[sizeof(T)] != std::byte{0};
  if (best_.found) std::memcpy(&best_.value, state, sizeof(T));
}

template <class T, side Which>
void extreme<T, Which>::accumulator::store(std::byte* state) const noexcept {
  std::memcpy(state, &best_.value, sizeof(T));
  state[sizeof(T)] = std::byte{best_.found};
}

template <class T>
template <class Values>
  requires(!std::is_convertible_v<const Values&, std::span<const T>>)
void plain_sum<T>::accumulator::add(const Values& values) noexcept {
  constexpr bool contiguous = requires { std::span(std::as_const(values)); };
  static_assert(contiguous,
                "shard: add() takes contiguous numbers: a span, a view, a vector or an array; add "
                "one number with +=");
  if constexpr (contiguous) {
    const std::span each(std::as_const(values));
    using number = typename decltype(each)::value_type;
    if constexpr (check_added<number, T>()) add_each<number>(each);
  }
}

template <class T>
template <class X>
void plain_sum<T>::accumulator::add_each(std::span<const X> values) noexcept {
  T total = value_;  // a local: values may be of the same type as value_ and so alias it
  for (const X x : values) total = wrapping_add(total, static_cast<T>(x));
  value_ = total;
}

template <class T>
void plain_sum<T>::merge(const accumulator& part) noexcept {
  value_ = wrapping_add(value_, part.value_);
}

}  // namespace detail

template <std::integral T>
void checked_sum<T>::merge(const accumulator& part) noexcept {
  value_ += part.value_;
}

}  // namespace shard
