// What in(), out(), inout(), shared(), reduce(), value() and worker_state() make: how each argument
// of a map is granted to the workers, and what the kernel receives for it. Not for users.
//
// An argument describes itself to a job once, in the caller; then, for each chunk, in a worker,
// bind() makes the kernel's parameter, and done() follows if the kernel returned.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include "shard/buffer.hpp"
#include "shard/detail/job.hpp"
#include "shard/range.hpp"
#include "shard/reduce.hpp"
#include "shard/slice.hpp"

namespace shard::detail {

// A buffer's memory, shared with it, so that an argument may outlive the buffer.
template <class T, std::size_t Rank>
struct typed_array {
  std::shared_ptr<segment> owner;
  std::array<std::size_t, Rank> shape{};

  grant granted(access rights, bool partitioned, bool keeps) const {
    constexpr std::size_t second = Rank == 1 ? 0 : 1;
    return {owner,
            rights,
            partitioned,
            keeps,
            shape[0],
            Rank == 1 ? 1 : shape[second],
            row_volume(shape) * sizeof(T)};
  }
};

template <class T, std::size_t Rank>
auto array_of(const buffer<T, Rank>& of) {
  using value = std::remove_const_t<T>;
  return typed_array<value, Rank>{owner_of(of), of.shape()};
}

template <class>
inline constexpr bool is_argument = false;

// In the place of an argument that was refused when it was made: the error has been told.
struct refused_argument {};

// Base of the arguments that grant a buffer.
template <class T, std::size_t Rank>
class buffer_argument {
 public:
  explicit buffer_argument(typed_array<T, Rank> what) : array_(std::move(what)) {}

  template <class Parameter>
  void done(const Parameter&, const worker_memory&) const noexcept {}

  const std::array<std::size_t, Rank>& shape() const noexcept { return array_.shape; }

 protected:
  void add_to(job& to, access rights, bool partitioned, bool keeps = false) {
    index_ = to.grants.size();
    to.grants.push_back(array_.granted(rights, partitioned, keeps));
  }
  T* first(const worker_memory& memory) const noexcept {
    return reinterpret_cast<T*>(memory.data[index_]);
  }

 private:
  typed_array<T, Rank> array_;
  std::size_t index_ = 0;
};

template <class T, std::size_t Rank>
class in_argument : public buffer_argument<T, Rank> {
 public:
  static constexpr bool has_effect = false;
  using parameter = view<T, Rank>;
  using buffer_argument<T, Rank>::buffer_argument;

  void describe(job& to) { this->add_to(to, access::read, false); }
  template <class Cells>
  parameter bind(const worker_memory& memory, const Cells&) const noexcept {
    return {this->first(memory), this->shape()};
  }
};

template <class T, std::size_t Rank>
class out_argument : public buffer_argument<T, Rank> {
 public:
  static constexpr bool has_effect = true;
  using parameter = slice<T, Rank>;
  using buffer_argument<T, Rank>::buffer_argument;

  void describe(job& to) { this->add_to(to, access::write, true); }
  template <class Cells>
  parameter bind(const worker_memory& memory, const Cells& chunk) const noexcept {
    static_assert(std::is_constructible_v<parameter, T*, std::array<std::size_t, Rank>, Cells>,
                  "shard: a map over tiles writes to buffers of rank 2 or more");
    return {this->first(memory), this->shape(), chunk};
  }
};

template <class T, std::size_t Rank>
class inout_argument : public out_argument<T, Rank> {
 public:
  using out_argument<T, Rank>::out_argument;

  void describe(job& to) { this->add_to(to, access::write, true, true); }
};

template <class T, std::size_t Rank>
class shared_argument : public buffer_argument<T, Rank> {
 public:
  static constexpr bool has_effect = true;
  using parameter = shared_view<T, Rank>;
  using buffer_argument<T, Rank>::buffer_argument;

  void describe(job& to) { this->add_to(to, access::write, false); }
  template <class Cells>
  parameter bind(const worker_memory& memory, const Cells&) const noexcept {
    return {this->first(memory), this->shape()};
  }
};

template <class R>
class reduce_argument {
 public:
  static constexpr bool has_effect = true;
  using parameter = typename R::accumulator;

  explicit reduce_argument(R& into) noexcept : reducer_(&into) {}

  void describe(job& to) {
    index_ = to.reductions.size();
    to.reductions.push_back(
        {reducer_, R::ordered, adds_in_place(), reducer_->state_bytes(), start, merge});
  }
  template <class Cells>
  parameter bind(const worker_memory& memory, const Cells&) const {
    std::byte* const state = memory.states[index_];
    if constexpr (R::ordered) {
      // A partial begins anew, also when an earlier attempt at the chunk has left something in it.
      if (!memory.goes_on) {
        std::memset(state, 0, reducer_->state_bytes());
        reducer_->start(state);
      }
    }
    return parameter(static_cast<const R&>(*reducer_), state);
  }
  void done(const parameter& sum, const worker_memory& memory) const {
    sum.store(memory.states[index_]);
  }

 private:
  static constexpr bool adds_in_place() {
    if constexpr (requires { R::in_place; }) {
      return R::in_place;
    } else {
      return true;  // for all that is known
    }
  }
  static void start(const void* reducer, std::byte* state) {
    static_cast<const R*>(reducer)->start(state);
  }
  static void merge(void* reducer, std::byte* state, std::size_t count, std::size_t stride) {
    R& into = *static_cast<R*>(reducer);
    for (; count != 0; --count, state += stride) {
      const parameter part(static_cast<const R&>(into), state);
      into.merge(part);
    }
  }

  R* reducer_;
  std::size_t index_ = 0;
};

template <class X>
class value_argument {
 public:
  static constexpr bool has_effect = false;
  using parameter = const X;

  explicit value_argument(X x) : value_(std::move(x)) {}

  void describe(job&) const noexcept {}
  template <class Cells>
  const X& bind(const worker_memory&, const Cells&) const noexcept {
    return value_;
  }
  void done(const X&, const worker_memory&) const noexcept {}

 private:
  X value_;
};

template <class F, class... V>
class state_argument {
 public:
  static constexpr bool has_effect = false;
  using parameter = std::remove_cv_t<std::invoke_result_t<const F&, const V&...>>;

  explicit state_argument(F make, V... arguments)
      : make_(std::move(make)), arguments_(std::move(arguments)...) {}

  void describe(job& to) {
    index_ = to.belongings.size();
    to.belongings.push_back({this, make, destroy});
  }
  template <class Cells>
  parameter& bind(const worker_memory& memory, const Cells&) const noexcept {
    return *static_cast<parameter*>(memory.belongings[index_]);
  }
  void done(const parameter&, const worker_memory&) const noexcept {}

 private:
  static void* make(const void* self) {
    const state_argument& what = *static_cast<const state_argument*>(self);
    return std::apply(
        [&](const V&... arguments) { return new parameter(std::invoke(what.make_, arguments...)); },
        what.arguments_);
  }
  static void destroy(void* made) noexcept { delete static_cast<parameter*>(made); }

  F make_;
  std::tuple<V...> arguments_;
  std::size_t index_ = 0;
};

// Says what is wrong with what worker_state() was given.
template <class F, class... V>
constexpr bool check_state() {
  constexpr bool callable = std::is_invocable_v<const F&, const V&...>;
  static_assert(callable,
                "shard: worker_state(make, arguments...) can't call make, as const, with its "
                "arguments, as const");
  if constexpr (callable) {
    using made = std::invoke_result_t<const F&, const V&...>;
    constexpr bool copies =
        std::is_copy_constructible_v<F> && (std::is_copy_constructible_v<V> && ...);
    static_assert(copies,
                  "shard: worker_state copies make and its arguments, but one of them can't be "
                  "copied");
    static_assert(!std::is_void_v<made>,
                  "shard: worker_state's make returns nothing, but what it returns is the state");
    static_assert(
        !std::is_reference_v<made>,
        "shard: worker_state's make returns a reference; it must return the state itself, "
        "of which each worker has its own");
    return copies && !std::is_void_v<made> && !std::is_reference_v<made>;
  } else {
    return false;
  }
}

template <class>
inline constexpr bool is_state = false;
template <class F, class... V>
inline constexpr bool is_state<state_argument<F, V...>> = true;

template <class F, class... V>
inline constexpr bool is_argument<state_argument<F, V...>> = true;
template <class T, std::size_t R>
inline constexpr bool is_argument<in_argument<T, R>> = true;
template <class T, std::size_t R>
inline constexpr bool is_argument<out_argument<T, R>> = true;
template <class T, std::size_t R>
inline constexpr bool is_argument<inout_argument<T, R>> = true;
template <class T, std::size_t R>
inline constexpr bool is_argument<shared_argument<T, R>> = true;
template <class R>
inline constexpr bool is_argument<reduce_argument<R>> = true;
template <class X>
inline constexpr bool is_argument<value_argument<X>> = true;

}  // namespace shard::detail
