// A reducer of your own, made of a state and two functions.
//
//   struct first_and_last { double first = HUGE_VAL, last = -HUGE_VAL; };
//   shard::custom_reducer seen{
//       first_and_last(),
//       [](first_and_last& all, double t) { all.first = std::min(all.first, t); … },
//       [](first_and_last& all, const first_and_last& part) { … }};
//   shard::map(n, shard::in(times), shard::reduce(seen),
//              [](std::size_t i, auto t, auto& seen) { seen(t[i]); });
//
// For what needs more, write a class: see reducer in reduce.hpp.
#pragma once

#include <cstddef>
#include <cstring>
#include <functional>
#include <type_traits>
#include <utility>

#include "shard/detail/packing.hpp"
#include "shard/reduce.hpp"

namespace shard {

enum class merging { in_order, in_any_order };

// Says of a custom_reducer that no order of merging can change a bit of the result.
inline constexpr std::integral_constant<merging, merging::in_any_order> commutative{};

// add(state, x…) adds what a kernel gives: seen(x…). merge(state, part) adds another state, which
// was made in the same way. The argument `nothing` is the state of "nothing added": to merge it
// must change nothing. A kernel that throws loses nothing but its own index, if add doesn't throw.
//
// A state is bytes (trivially copyable, default-constructible, and without pointers). In a pool,
// and where workers are spawned, add and merge capture nothing.
//
// shard merges a state for each chunk, in the order of the chunks. The result has the same bits for
// the same plan, with any number of workers. With `commutative` as another first argument, shard
// merges a state for each worker, in any order: take it for large states, and only if no order can
// change a bit. Sums of floating point are not commutative in that sense.
template <class State, class Add, class Merge, merging Order = merging::in_order>
class custom_reducer : public detail::adds_by_accumulator {
  static_assert(std::is_trivially_copyable_v<State>,
                "shard: the state of a custom_reducer is copied as bytes, from process to process: "
                "it must be trivially copyable, and must not have pointers");
  static_assert(std::is_default_constructible_v<State> && !detail::refers<State>,
                "shard: the state of a custom_reducer is default-constructible, and no pointer");
  static_assert(std::is_invocable_v<const Merge&, State&, const State&>,
                "shard: merge of a custom_reducer is called as merge(State&, const State&)");
  static_assert(alignof(State) <= 64, "shard: states are aligned to 64 bytes");

 public:
  class accumulator;
  using packs_what_it_holds = void;
  static constexpr bool ordered = Order == merging::in_order;
  static constexpr bool in_place = sizeof(State) > 256;  // smaller ones are copied for each call

  custom_reducer(const State& nothing, Add add, Merge merge)
      : nothing_(nothing), value_(nothing), add_(std::move(add)), merge_(std::move(merge)) {}
  custom_reducer(std::integral_constant<merging, Order>, const State& nothing, Add add, Merge merge)
      : custom_reducer(nothing, std::move(add), std::move(merge)) {}

  const State& value() const noexcept { return value_; }

  std::size_t state_bytes() const noexcept { return sizeof(State); }
  void start(std::byte* state) const noexcept { std::memcpy(state, &nothing_, sizeof(State)); }
  void merge(const accumulator& part) { merge_(value_, part.state()); }

  // All but the result. Not for users.
  void pack(detail::packer& to) const
    requires(detail::packable<State> && detail::packable_function<Add> &&
             detail::packable_function<Merge>)
  {
    to.put(nothing_);
    detail::pack_function(add_, to);
    detail::pack_function(merge_, to);
  }
  static custom_reducer unpack(detail::unpacker& from)
    requires(detail::packable<State> && detail::packable_function<Add> &&
             detail::packable_function<Merge>)
  {
    const State nothing = from.get<State>();
    Add add = detail::unpack_function<Add>(from);
    return custom_reducer(nothing, std::move(add), detail::unpack_function<Merge>(from));
  }

 private:
  State nothing_;
  State value_;
  Add add_;
  Merge merge_;
};

template <class State, class Add, class Merge>
custom_reducer(State, Add, Merge) -> custom_reducer<State, Add, Merge, merging::in_order>;
template <merging Order, class State, class Add, class Merge>
custom_reducer(std::integral_constant<merging, Order>, State, Add, Merge)
    -> custom_reducer<State, Add, Merge, Order>;

template <class State, class Add, class Merge, merging Order>
class custom_reducer<State, Add, Merge, Order>::accumulator {
 public:
  accumulator(const custom_reducer& of, std::byte* state) noexcept : of_(of), at_(state) {
    if constexpr (!in_place) std::memcpy(&own_, state, sizeof(State));
  }
  accumulator(const accumulator&) = delete;  // take it by reference: auto& seen
  accumulator& operator=(const accumulator&) = delete;

  template <class... X>
  void operator()(X&&... x) {
    static_assert(std::is_invocable_v<const Add&, State&, X...>,
                  "shard: add of this custom_reducer can't be called with these values");
    std::invoke(of_.add_, here(), std::forward<X>(x)...);
  }

  void store(std::byte* state) const noexcept {
    if constexpr (!in_place) std::memcpy(state, &own_, sizeof(State));
  }

 private:
  friend custom_reducer;
  struct nothing {};

  const State& state() const noexcept { return const_cast<accumulator*>(this)->here(); }
  State& here() noexcept {
    if constexpr (in_place) {
      return *reinterpret_cast<State*>(at_);
    } else {
      return own_;
    }
  }

  const custom_reducer& of_;
  std::byte* at_;
  std::conditional_t<in_place, nothing, State> own_;
};

}  // namespace shard
