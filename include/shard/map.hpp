// The call: map a kernel over an index space, in supervised worker processes.
//
//   map([options,] space, arguments…, kernel)
//
// The space says what is mapped, and what the kernel is called with:
//
//   count, range, chunks,          kernel(range chunk, …) once for each chunk, or
//   chunk_list, weighted           kernel(std::size_t i, …) once for each index; returns nothing
//   tiles                          kernel(tile cells, …) once for each tile; returns nothing
//   buffer<T>&                     kernel(std::size_t i, …) -> T, which becomes element i
//   std::tie(buffer<T>&, …)        kernel(std::size_t i, …) -> std::tuple<T, …>, likewise
//   buffer<T, 2>&                  kernel(std::size_t i, std::size_t j, …) -> T, or
//                                  kernel(std::size_t i, std::span<T> row, …) once for each row;
//                                  returns nothing. Write the row's type: an `auto` is taken for j
//
// Each argument gives the kernel one more parameter, in order. A kernel runs in a worker: it sees
// the caller's variables as they were when map was called (captured buffers, too, read-only), and
// what it assigns to them is lost. Its output may depend on nothing but its indices and inputs,
// since a chunk is run again when its worker dies. It is called as const.
//
// A kernel must not read what the same map writes: not through a capture, not through another
// argument, and not from the slice of an out() before writing there. A chunk that is run again
// would read what its own first try wrote. Read one buffer and write another, or use inout(). map
// refuses an output that is also another argument, by whichever of its handles; reading a captured
// output faults in a worker process, and the report says so.
//
// A kernel may call map, with buffers that it has made or opened, and to read, with any but the
// outputs of its own map.
//
// When a chunk has failed too often (options::retries), the indices that fail in it are found by
// running the kernel on ever smaller parts of it: a kernel(range chunk, …) is then called with
// parts of a chunk, in ascending order, and what it adds to ordered reductions goes on from part to
// part.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

#include "shard/buffer.hpp"
#include "shard/detail/arguments.hpp"
#include "shard/detail/call.hpp"
#include "shard/options.hpp"
#include "shard/plan.hpp"
#include "shard/reduce.hpp"
#include "shard/report.hpp"
#include "shard/slice.hpp"

namespace shard {

// The whole buffer, read-only: the kernel receives view<T, Rank>. Any number of chunks may read it.
template <class T, std::size_t Rank>
auto in(const buffer<T, Rank>& from);

// The chunk's own rows, to write: slice<T, Rank>. What is in them before is unspecified: the kernel
// must not read an element that it has not written, nor `to` in any other way. A buffer made by
// create() gets its final name when a map that covers all of it completes.
template <class T, std::size_t Rank>
auto out(buffer<T, Rank>& to);
template <class T, std::size_t Rank>
void out(const buffer<T, Rank>&& temporary) = delete;  // its elements would be gone with it

// The chunk's own rows, to change in place: slice<T, Rank>, holding the old values, which are
// brought back before a chunk is run again: each index counts once. What is not completed in the
// end holds its old values. Costs a copy of each chunk's rows.
template <class T, std::size_t Rank>
auto inout(buffer<T, Rank>& both);
template <class T, std::size_t Rank>
void inout(const buffer<T, Rank>&& temporary) = delete;

// Atomic operations on any element, from any chunk: shared_view<T, Rank>. At least once: a chunk
// that is run again repeats them.
template <class T, std::size_t Rank>
auto shared(buffer<T, Rank>& both);
template <class T, std::size_t Rank>
void shared(const buffer<T, Rank>&& temporary) = delete;

// The kernel receives R::accumulator&, adds to it, and each chunk's additions count exactly once.
// The reducer must live until the map returns.
template <reducer R>
auto reduce(R& into);

// The kernel receives const X&.
template <class X>
auto value(X x);

// The kernel receives State&: what make(arguments…) returns, in each worker a state of its own. It
// is made when the worker enters, before its first chunk, and made anew in one that replaces it;
// destroyed when the worker leaves (not when it dies). For what is costly to make, such as scratch
// memory, a plan of a transform, or a connection. It is a cache, and must not change results: which
// chunks a worker runs, and how many, differs from run to run. What a kernel that threw has left in
// it stays there. make and its arguments are copied; make is called as const.
//
// A make that throws or crashes blames no chunk. In worker processes it is tried again, until more
// than 100 workers have died outside of chunks: the run then ends with map_error, which names it.
// In threads and inline, what it throws leaves map.
template <class F, class... V>
auto worker_state(F make, V... arguments);

// Runs the kernel on every index and returns when all outputs and reductions are final. Throws
// map_error if an index is missing at the end, and shard::error if the run can't be started, before
// anything has run, or if an output that create() has made can't get its name at the end (its
// elements and the reductions are then final). Requires an output (a buffer space, out, inout), a
// reducer, or a shared buffer.
template <class Space, class... Rest>
report map(const options& how, Space&& space, Rest&&... arguments_then_kernel);
template <class Space, class... Rest>
  requires(!std::same_as<std::remove_cvref_t<Space>, options>)
report map(Space&& space, Rest&&... arguments_then_kernel);

// The same, but what failed is only in the report.
template <class Space, class... Rest>
[[nodiscard]] report try_map(const options& how, Space&& space, Rest&&... arguments_then_kernel);
template <class Space, class... Rest>
  requires(!std::same_as<std::remove_cvref_t<Space>, options>)
[[nodiscard]] report try_map(Space&& space, Rest&&... arguments_then_kernel);

// map for kernels that are called for their effects outside the program, on files for example, and
// need no output. Such effects happen at least once for each index.
template <class Space, class... Rest>
report for_each(const options& how, Space&& space, Rest&&... arguments_then_kernel);
template <class Space, class... Rest>
  requires(!std::same_as<std::remove_cvref_t<Space>, options>)
report for_each(Space&& space, Rest&&... arguments_then_kernel);

template <class T, std::size_t Rank>
auto in(const buffer<T, Rank>& from) {
  using value = std::remove_const_t<T>;
  return detail::in_argument<value, Rank>(detail::array_of(from));
}

template <class T, std::size_t Rank>
auto out(buffer<T, Rank>& to) {
  static_assert(!std::is_const_v<T>,
                "shard: out() writes, but this buffer is read-only; open it with open_writable");
  return detail::out_argument<std::remove_const_t<T>, Rank>(detail::array_of(to));
}

template <class T, std::size_t Rank>
auto inout(buffer<T, Rank>& both) {
  static_assert(!std::is_const_v<T>,
                "shard: inout() writes, but this buffer is read-only; open it with open_writable");
  return detail::inout_argument<std::remove_const_t<T>, Rank>(detail::array_of(both));
}

template <class T, std::size_t Rank>
auto shared(buffer<T, Rank>& both) {
  static_assert(!std::is_const_v<T>,
                "shard: shared() writes, but this buffer is read-only; open it with open_writable");
  return detail::shared_argument<std::remove_const_t<T>, Rank>(detail::array_of(both));
}

template <reducer R>
auto reduce(R& into) {
  return detail::reduce_argument<R>(into);
}

template <class X>
auto value(X x) {
  return detail::value_argument<X>(std::move(x));
}

template <class F, class... V>
auto worker_state(F make, V... arguments) {
  if constexpr (detail::check_state<F, V...>()) {
    return detail::state_argument<F, V...>(std::move(make), std::move(arguments)...);
  } else {
    return detail::refused_argument();
  }
}

template <class Space, class... Rest>
report map(const options& how, Space&& space, Rest&&... rest) {
  report result = detail::start<true>(how, std::forward<Space>(space), std::forward<Rest>(rest)...);
  if (!result.complete()) throw map_error(std::move(result));
  return result;
}

template <class Space, class... Rest>
  requires(!std::same_as<std::remove_cvref_t<Space>, options>)
report map(Space&& space, Rest&&... rest) {
  return map(options{}, std::forward<Space>(space), std::forward<Rest>(rest)...);
}

template <class Space, class... Rest>
report try_map(const options& how, Space&& space, Rest&&... rest) {
  return detail::start<true>(how, std::forward<Space>(space), std::forward<Rest>(rest)...);
}

template <class Space, class... Rest>
  requires(!std::same_as<std::remove_cvref_t<Space>, options>)
report try_map(Space&& space, Rest&&... rest) {
  return try_map(options{}, std::forward<Space>(space), std::forward<Rest>(rest)...);
}

template <class Space, class... Rest>
report for_each(const options& how, Space&& space, Rest&&... rest) {
  report result =
      detail::start<false>(how, std::forward<Space>(space), std::forward<Rest>(rest)...);
  if (!result.complete()) throw map_error(std::move(result));
  return result;
}

template <class Space, class... Rest>
  requires(!std::same_as<std::remove_cvref_t<Space>, options>)
report for_each(Space&& space, Rest&&... rest) {
  return for_each(options{}, std::forward<Space>(space), std::forward<Rest>(rest)...);
}

}  // namespace shard
