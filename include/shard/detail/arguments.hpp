// What in(), out(), out_per_chunk(), inout(), shared(), reduce(), value(), worker_state(),
// chunk_number() and worker_number() make: how each argument of a map is granted to the workers,
// and what the kernel receives for it. Not for users.
//
// An argument belongs to the caller, and owns what it grants. It describes itself to a job once:
// the job's grants own the memory from then on. What a worker needs is the argument's binding,
// which owns nothing: shapes, and places in the job. For each chunk its bind() makes the kernel's
// parameter, and done() follows if the kernel returned.
#pragma once

#include <algorithm>
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
#include "shard/detail/packing.hpp"
#include "shard/detail/spill.hpp"
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

// A binding of a buffer: its shape, and which of the job's grants it is. Parameter is a handle.
template <class T, std::size_t Rank>
class buffer_binding {
 public:
  template <class Parameter>
  void done(const Parameter&, const worker_memory&) const noexcept {}

  const std::array<std::size_t, Rank>& shape() const noexcept { return shape_; }
  T* first(const worker_memory& memory) const noexcept {
    return reinterpret_cast<T*>(memory.data[grant_]);
  }

 protected:
  buffer_binding(const std::array<std::size_t, Rank>& shape, std::size_t grant) noexcept
      : shape_(shape), grant_(grant) {}

 private:
  std::array<std::size_t, Rank> shape_;
  std::size_t grant_;
};

// Of the whole buffer: view, shared_view.
template <template <class, std::size_t> class Handle, class T, std::size_t Rank>
struct whole_binding : buffer_binding<T, Rank> {
  whole_binding(const std::array<std::size_t, Rank>& shape, std::size_t grant) noexcept
      : buffer_binding<T, Rank>(shape, grant) {}

  template <class Cells>
  Handle<T, Rank> bind(const worker_memory& memory, const Cells&) const noexcept {
    return {this->first(memory), this->shape()};
  }
};

// Indices of a chunk of a strided space.
struct index_row {
  std::size_t first = 0;
  std::size_t stride = 0;
  std::size_t count = 0;
};

// Of the chunk's own rows or cells; of an index_row, the row of the first index.
template <class T, std::size_t Rank>
struct slice_binding : buffer_binding<T, Rank> {
  slice_binding(const std::array<std::size_t, Rank>& shape, std::size_t grant) noexcept
      : buffer_binding<T, Rank>(shape, grant) {}

  template <class Cells>
  slice<T, Rank> bind(const worker_memory& memory, const Cells& chunk) const noexcept {
    static_assert(std::is_constructible_v<slice<T, Rank>, T*, std::array<std::size_t, Rank>, Cells>,
                  "shard: a map over tiles writes to buffers of rank 2 or more");
    return {this->first(memory), this->shape(), chunk};
  }
  slice<T, Rank> bind(const worker_memory& memory, const index_row& chunk) const noexcept {
    return {this->first(memory), this->shape(), range{chunk.first, chunk.first + 1}};
  }
};

// Of the row that has the chunk's number.
template <class T, std::size_t Rank>
struct chunk_row_binding : buffer_binding<T, Rank> {
  chunk_row_binding(const std::array<std::size_t, Rank>& shape, std::size_t grant) noexcept
      : buffer_binding<T, Rank>(shape, grant) {}

  template <class Cells>
  slice<T, Rank> bind(const worker_memory& memory, const Cells&) const noexcept {
    return {this->first(memory), this->shape(), range{memory.chunk, memory.chunk + 1}};
  }
};

// Base of the arguments that grant a buffer.
template <class T, std::size_t Rank>
class buffer_argument {
 public:
  explicit buffer_argument(typed_array<T, Rank> what) : array_(std::move(what)) {}

  const std::array<std::size_t, Rank>& shape() const noexcept { return array_.shape; }

 protected:
  template <class Binding>
  Binding described(job& to, access rights, bool partitioned, bool keeps = false) const {
    to.grants.push_back(array_.granted(rights, partitioned, keeps));
    return {array_.shape, to.grants.size() - 1};
  }

 private:
  typed_array<T, Rank> array_;
};

template <class T, std::size_t Rank>
class in_argument : public buffer_argument<T, Rank> {
 public:
  static constexpr bool has_effect = false;
  static constexpr bool shows_chunks = false;
  using binding = whole_binding<view, T, Rank>;
  using buffer_argument<T, Rank>::buffer_argument;

  binding describe(job& to) const {
    return this->template described<binding>(to, access::read, false);
  }
};

template <class T, std::size_t Rank>
class out_argument : public buffer_argument<T, Rank> {
 public:
  static constexpr bool has_effect = true;
  static constexpr bool shows_chunks = true;
  using binding = slice_binding<T, Rank>;
  using buffer_argument<T, Rank>::buffer_argument;

  binding describe(job& to) const {
    return this->template described<binding>(to, access::write, true);
  }
};

template <class T, std::size_t Rank>
class out_per_chunk_argument : public buffer_argument<T, Rank> {
 public:
  static constexpr bool has_effect = true;
  static constexpr bool shows_chunks = true;
  using binding = chunk_row_binding<T, Rank>;
  using buffer_argument<T, Rank>::buffer_argument;

  binding describe(job& to) const {
    const binding made = this->template described<binding>(to, access::write, true);
    to.grants.back().by_chunk = true;
    return made;
  }
};

template <class T, std::size_t Rank>
class inout_argument : public buffer_argument<T, Rank> {
 public:
  static constexpr bool has_effect = true;
  static constexpr bool shows_chunks = true;
  using binding = slice_binding<T, Rank>;
  using buffer_argument<T, Rank>::buffer_argument;

  binding describe(job& to) const {
    return this->template described<binding>(to, access::write, true, true);
  }
};

template <class T, std::size_t Rank>
class shared_argument : public buffer_argument<T, Rank> {
 public:
  static constexpr bool has_effect = true;
  static constexpr bool shows_chunks = false;
  using binding = whole_binding<shared_view, T, Rank>;
  using buffer_argument<T, Rank>::buffer_argument;

  binding describe(job& to) const {
    return this->template described<binding>(to, access::write, false);
  }
};

// Reducers whose states name places in a spill (spill.hpp). Beyond what reducers have:
//
//   R::accumulator(r, state, spill, indices)   of a chunk
//   expect(space)           before a map. May throw shard::error
//   settle(range, complete) behind the last merge(), while the spill is there
//   finish()                of a complete map, when its files get their names
template <class R>
concept spills = requires { typename R::spills; };
[[noreturn]] void refuse_collecting_twice();

// Accumulators are made of the reducer: workers have it as it was when the map began. Where the
// binding was unpacked, it has a reducer of its own, which may lack what only the result needs.
template <class R>
class reduce_binding {
 public:
  using packs_what_it_holds = void;
  using parameter = typename R::accumulator;

  // spill: which of the job's grants, if it has one.
  reduce_binding(const R& from, std::size_t reduction, std::size_t spill) noexcept
      : reducer_(std::shared_ptr<const R>(), &from),
        state_bytes_(from.state_bytes()),
        reduction_(reduction),
        spill_(spill) {}

  // What the job knows of it, but for the call's part.
  reduction described() const noexcept {
    reduction what{.ordered = R::ordered, .in_place = adds_in_place(), .state_bytes = state_bytes_};
    if constexpr (requires(const std::byte* state) { R::live_bytes(state); }) {
      what.live_bytes = [](const std::byte* state) noexcept { return R::live_bytes(state); };
    }
    return what;
  }
  // Which of the job's reductions.
  std::size_t place() const noexcept { return reduction_; }
  // Into a zero-filled state.
  void start(std::byte* state) const { reducer_->start(state); }

  template <class Cells>
  parameter bind(const worker_memory& memory, [[maybe_unused]] const Cells& cells) const {
    std::byte* const state = memory.states[reduction_];
    if constexpr (R::ordered) {
      // A partial begins anew, also when an earlier attempt at the chunk has left something in it.
      if (!memory.goes_on) {
        std::memset(state, 0, state_bytes_);
        start(state);
      }
    }
    if constexpr (!spills<R>) {
      return parameter(*reducer_, state);
    } else if constexpr (std::is_same_v<Cells, range>) {
      return parameter(*reducer_, state, memory.data[spill_], cells);
    } else {
      return parameter(*reducer_, state, memory.data[spill_]);
    }
  }
  void done(const parameter& sum, const worker_memory& memory) const {
    sum.store(memory.states[reduction_]);
  }

  void pack(packer& to) const
    requires packable<R>
  {
    to.put(*reducer_);
    to.put(state_bytes_);
    to.put(reduction_);
    to.put(spill_);
  }
  static reduce_binding unpack(unpacker& from)
    requires packable<R>
  {
    auto reducer = std::make_shared<const R>(from.get<R>());
    const auto state_bytes = from.get<std::size_t>();
    const auto reduction = from.get<std::size_t>();
    return reduce_binding(std::move(reducer), state_bytes, reduction, from.get<std::size_t>());
  }

 private:
  reduce_binding(std::shared_ptr<const R> from, std::size_t state_bytes, std::size_t reduction,
                 std::size_t spill) noexcept
      : reducer_(std::move(from)),
        state_bytes_(state_bytes),
        reduction_(reduction),
        spill_(spill) {}

  static constexpr bool adds_in_place() {
    if constexpr (requires { R::in_place; }) {
      return R::in_place;
    } else {
      return true;  // for all that is known
    }
  }

  std::shared_ptr<const R> reducer_;  // owns nothing where the caller's reducer is
  std::size_t state_bytes_;
  std::size_t reduction_;
  std::size_t spill_;
};

template <class R>
class reduce_argument {
 public:
  static constexpr bool has_effect = true;
  static constexpr bool shows_chunks = R::ordered;
  using binding = reduce_binding<R>;

  explicit reduce_argument(R& into) noexcept : reducer_(&into) {}

  binding describe(job& to) const {
    binding made(*reducer_, to.reductions.size(), to.grants.size());
    reduction& described = to.reductions.emplace_back(made.described());
    described.reducer = reducer_;
    described.merge = merge;
    if constexpr (requires { typename R::compares_bits; }) {
      described.copy = copy;
      described.equal = equal;
    }
    if constexpr (spills<R>) {
      const auto is_this = [this](const reduction& one) { return one.reducer == reducer_; };
      if (std::ranges::count_if(to.reductions, is_this) > 1) refuse_collecting_twice();
      reducer_->expect(to.where);
      array memory = make_spill();
      described.spill = memory.data;
      described.settle = settle;
      described.finish = finish;
      to.grants.push_back(
          {.owner = std::move(memory.owner), .rights = access::write, .is_spill = true});
    }
    return made;
  }

 private:
  static void merge([[maybe_unused]] const reduction& of, void* reducer, std::byte* state,
                    std::size_t count, std::size_t stride) {
    R& into = *static_cast<R*>(reducer);
    for (; count != 0; --count, state += stride) {
      if constexpr (spills<R>) {
        const typename R::accumulator part(static_cast<const R&>(into), state, of.spill);
        into.merge(part);
      } else {
        const typename R::accumulator part(static_cast<const R&>(into), state);
        into.merge(part);
      }
    }
  }
  static void settle(void* reducer, const space& where, bool complete)
    requires spills<R>
  {
    static_cast<R*>(reducer)->settle(where.all, complete);
  }
  static void finish(void* reducer)
    requires spills<R>
  {
    static_cast<R*>(reducer)->finish();
  }
  static std::shared_ptr<void> copy(const void* reducer) {
    return std::make_shared<R>(*static_cast<const R*>(reducer));
  }
  static bool equal(const void* reducer, const void* other) {
    return *static_cast<const R*>(reducer) == *static_cast<const R*>(other);
  }

  R* reducer_;
};

// An argument that grants nothing is its own binding.
template <class X>
class value_argument {
 public:
  using packs_what_it_holds = void;
  static constexpr bool has_effect = false;
  static constexpr bool shows_chunks = false;
  using binding = value_argument;

  explicit value_argument(X x) : value_(std::move(x)) {}

  binding describe(job&) const { return *this; }
  template <class Cells>
  const X& bind(const worker_memory&, const Cells&) const noexcept {
    return value_;
  }
  void done(const X&, const worker_memory&) const noexcept {}

  void pack(packer& to) const
    requires packable<X>
  {
    to.put(value_);
  }
  static value_argument unpack(unpacker& from)
    requires packable<X>
  {
    return value_argument(from.get<X>());
  }

 private:
  X value_;
};

// Nothing but a number that the worker has. It grants nothing, so it is its own binding.
template <class Number, Number worker_memory::*Where, bool OfTheChunk>
class number_argument {
 public:
  static constexpr bool has_effect = false;
  static constexpr bool shows_chunks = OfTheChunk;
  using binding = number_argument;

  binding describe(job&) const noexcept { return *this; }
  template <class Cells>
  Number bind(const worker_memory& memory, const Cells&) const noexcept {
    return memory.*Where;
  }
  void done(const Number&, const worker_memory&) const noexcept {}

  void pack(packer&) const noexcept {}
  static number_argument unpack(unpacker&) noexcept { return {}; }
};
using chunk_number_argument = number_argument<std::size_t, &worker_memory::chunk, true>;
using worker_number_argument = number_argument<unsigned, &worker_memory::worker, false>;

// What make of a worker_state gets for one of the arguments, in worker number `worker`.
template <class V>
const V& given_to_make(const V& argument, unsigned) noexcept {
  return argument;
}
inline unsigned given_to_make(const worker_number_argument&, unsigned worker) noexcept {
  return worker;
}
template <class V>
using given_for = decltype(given_to_make(std::declval<const V&>(), 0U));

template <class F, class... V>
class state_binding {
 public:
  using packs_what_it_holds = void;
  using parameter = std::remove_cv_t<std::invoke_result_t<const F&, given_for<V>...>>;

  state_binding(F maker, std::tuple<V...> arguments, std::size_t belonging)
      : make_(std::move(maker)), arguments_(std::move(arguments)), belonging_(belonging) {}

  // What the job knows of it, but for the call's part.
  static belonging described() noexcept { return {.make = nullptr, .destroy = destroy}; }
  // Which of the job's belongings.
  std::size_t place() const noexcept { return belonging_; }
  void* make(unsigned worker) const {
    return std::apply(
        [&](const V&... arguments) {
          return new parameter(std::invoke(make_, given_to_make(arguments, worker)...));
        },
        arguments_);
  }
  static void destroy(void* made) noexcept { delete static_cast<parameter*>(made); }

  template <class Cells>
  parameter& bind(const worker_memory& memory, const Cells&) const noexcept {
    return *static_cast<parameter*>(memory.belongings[belonging_]);
  }
  void done(const parameter&, const worker_memory&) const noexcept {}

  void pack(packer& to) const
    requires(packable_function<F> && (packable<V> && ...))
  {
    pack_function(make_, to);
    std::apply([&](const V&... arguments) { (to.put(arguments), ...); }, arguments_);
    to.put(belonging_);
  }
  static state_binding unpack(unpacker& from)
    requires(packable_function<F> && (packable<V> && ...))
  {
    const auto maker = unpack_function<F>(from);
    std::tuple<V...> arguments{from.get<V>()...};  // braces: in their order
    return {maker, std::move(arguments), from.get<std::size_t>()};
  }

 private:
  F make_;
  std::tuple<V...> arguments_;
  std::size_t belonging_;
};

template <class F, class... V>
class state_argument {
 public:
  static constexpr bool has_effect = false;
  static constexpr bool shows_chunks = false;
  using binding = state_binding<F, V...>;

  explicit state_argument(F make, V... arguments)
      : make_(std::move(make)), arguments_(std::move(arguments)...) {}

  binding describe(job& to) const {
    to.belongings.push_back(binding::described());
    return {make_, arguments_, to.belongings.size() - 1};
  }

 private:
  F make_;
  std::tuple<V...> arguments_;
};

// Says what is wrong with what worker_state() was given.
template <class F, class... V>
constexpr bool check_state() {
  constexpr bool callable = std::is_invocable_v<const F&, given_for<V>...>;
  static_assert(callable,
                "shard: worker_state(make, arguments...) can't call make, as const, with its "
                "arguments, as const");
  if constexpr (callable) {
    using made = std::invoke_result_t<const F&, given_for<V>...>;
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
inline constexpr bool is_out_per_chunk = false;
template <class T, std::size_t R>
inline constexpr bool is_out_per_chunk<out_per_chunk_argument<T, R>> = true;

// What a kernel would get wrong if it were called with parts of a chunk.
template <class A>
inline constexpr bool wants_whole_chunks =
    is_out_per_chunk<A> || std::is_same_v<A, chunk_number_argument>;

template <class>
inline constexpr bool is_state = false;
template <class F, class... V>
inline constexpr bool is_state<state_argument<F, V...>> = true;

template <class>
inline constexpr bool is_reduction = false;
template <class R>
inline constexpr bool is_reduction<reduce_argument<R>> = true;

template <class F, class... V>
inline constexpr bool is_argument<state_argument<F, V...>> = true;
template <class T, std::size_t R>
inline constexpr bool is_argument<in_argument<T, R>> = true;
template <class T, std::size_t R>
inline constexpr bool is_argument<out_argument<T, R>> = true;
template <class T, std::size_t R>
inline constexpr bool is_argument<out_per_chunk_argument<T, R>> = true;
template <class T, std::size_t R>
inline constexpr bool is_argument<inout_argument<T, R>> = true;
template <class T, std::size_t R>
inline constexpr bool is_argument<shared_argument<T, R>> = true;
template <class R>
inline constexpr bool is_argument<reduce_argument<R>> = true;
template <class X>
inline constexpr bool is_argument<value_argument<X>> = true;
template <>
inline constexpr bool is_argument<chunk_number_argument> = true;
template <>
inline constexpr bool is_argument<worker_number_argument> = true;

}  // namespace shard::detail
