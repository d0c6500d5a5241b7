// The call: maps a kernel over an index space, in supervised worker processes.
//
//   map([options,] space, arguments…, kernel)
//
// The space says which indices are mapped, and with what the kernel is called:
//
//   count, range, chunks,          kernel(range chunk, …) once for each chunk, or
//   chunk_list, weighted,          kernel(std::size_t i, …) once for each index; returns nothing
//   by_memory
//   strided                        kernel(std::size_t i, …) once for each index; returns nothing
//   tiles                          kernel(tile cells, …) once for each tile; returns nothing
//   buffer<T>&                     kernel(std::size_t i, …) -> T, which becomes element i
//   std::tie(buffer<T>&, …)        kernel(std::size_t i, …) -> std::tuple<T, …>, likewise
//   buffer<T, 2>&                  kernel(std::size_t i, std::size_t j, …) -> T, or
//                                  kernel(std::size_t i, std::span<T> row, …) once for each row;
//                                  returns nothing. Write the row's type: shard takes `auto` for j
//
// Each argument gives the kernel one more parameter, in order.
//
// A kernel runs in a worker process. It sees the caller's variables as they were when map was
// called. What it assigns to them is lost. Captured buffers are read-only there. The kernel is
// called as const. When a worker dies, shard runs its chunk again: the output of a kernel may
// therefore depend on nothing but its indices and inputs.
//
// A kernel must not read what the same map writes: not through a capture, not through another
// argument, and not from the slice of an out() before it has written there. A chunk that is run
// again would read what its own first attempt wrote. Read one buffer and write another, or use
// inout(). map refuses an output that is also another argument, through whichever handle. In a
// worker process, reading a captured output faults, and the report says so.
//
// A kernel may call map. It may write to buffers that it made or opened itself. It may read any
// buffer except the outputs of its own map.
//
// When a chunk has failed too often (options::retries), shard looks for the indices that fail. It
// then calls a kernel(range chunk, …) with parts of a chunk, unless the kernel has a chunk_number()
// or an out_per_chunk(). What the kernel adds to ordered reductions goes on from part to part, in
// ascending order.
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

// The kernel receives view<T, Rank>: the whole buffer, read-only. Any number of chunks may read the
// buffer.
template <class T, std::size_t Rank>
auto in(const buffer<T, Rank>& from);

// The kernel receives slice<T, Rank>: the chunk's own rows, to write. What the rows hold before is
// unspecified: the kernel must not read an element before it has written that element, and must not
// read `to` in any other way. If create() made the buffer, its file gets the final name when a map
// that covers the whole buffer completes.
template <class T, std::size_t Rank>
auto out(buffer<T, Rank>& to);
template <class T, std::size_t Rank>
void out(const buffer<T, Rank>&& temporary) = delete;  // its elements would be gone with it

// The kernel receives slice<T, Rank>: the one row that has the chunk's number, to write, for
// results of whole groups. As out() otherwise. Requires: as many rows as the plan has chunks, a
// kernel(range chunk, …) or kernel(tile cells, …). No part of a chunk is run for itself; see
// chunk_number().
template <class T, std::size_t Rank>
auto out_per_chunk(buffer<T, Rank>& to);
template <class T, std::size_t Rank>
void out_per_chunk(const buffer<T, Rank>&& temporary) = delete;

// The kernel receives slice<T, Rank>: the chunk's own rows with their old values, to change in
// place. shard brings the old values back before it runs a chunk again, so each index counts once.
// Rows that are not completed in the end hold their old values. Costs a copy of each chunk's rows.
template <class T, std::size_t Rank>
auto inout(buffer<T, Rank>& both);
template <class T, std::size_t Rank>
void inout(const buffer<T, Rank>&& temporary) = delete;

// The kernel receives shared_view<T, Rank>: atomic operations on any element, from any chunk. They
// happen at least once: a chunk that is run again repeats them.
template <class T, std::size_t Rank>
auto shared(buffer<T, Rank>& both);
template <class T, std::size_t Rank>
void shared(const buffer<T, Rank>&& temporary) = delete;

// The kernel receives R::accumulator& and adds to the accumulator. The additions of each chunk
// count exactly once. The reducer must live until the map returns.
template <reducer R>
auto reduce(R& into);

// The kernel receives const X&.
template <class X>
auto value(X x);

// The kernel receives State&: what make(arguments…) returns. Each worker has a state of its own.
// shard calls make when a worker enters, before its first chunk, and again in each worker that
// replaces another. shard destroys the state when the worker leaves, but not when the worker dies.
// Use worker_state for what is costly to make: scratch memory, a plan of a transform, a connection.
//
// The state is a cache, and must not change results: which chunks a worker runs, and how many,
// differs from run to run. If a kernel throws, the state stays as the kernel left it. shard copies
// make and its arguments, and calls make as const.
//
// A make that throws or crashes blames no chunk. In worker processes shard tries again until more
// than 100 workers have died outside of chunks. The run then ends with map_error, which names the
// cause. In threads and inline, what make throws leaves map.
template <class F, class... V>
auto worker_state(F make, V... arguments);

// The kernel receives std::size_t: the number of the chunk, which is that of the part in a
// chunk_list, of the tile in tiles, and k in the plans of plan.hpp. The number is the same however
// often, by whom and in which way the chunk is run. A report has it in failure::chunk and
// missing_chunks().
//
// A kernel(range chunk, …) that has the number is always called with the whole chunk, even after
// failures: what it writes for the number is then never the result of a part. So shard does not
// look for the indices that fail, and gives up a chunk as a whole. The same holds for
// out_per_chunk().
auto chunk_number();

// The kernel receives unsigned: the number of the worker that it runs in, for names of scratch
// files and for logs. In each way to run a map, the number is less than the number of workers
// (options::workers, default_workers(), or pool::workers() in a pool), and no two kernels of the
// map that run at the same time have the same. The caller's own thread has the number 0 if it is
// the only worker, as on executor::serial. The number is also failure::worker.
//
// A result must not depend on the number: which worker runs a chunk differs from run to run. A
// worker that replaces another has the same number. So a scratch file may hold what an earlier
// chunk left there, and may end in the middle of what a worker wrote when it died: a kernel, or the
// make of a worker_state, must begin the file anew (truncate it). Other maps count from 0, too:
// those that run at the same time, in this program or another, and those that kernels call. They
// need other names.
//
// make of a worker_state may have it, too: worker_state(make, worker_number()) calls make(number).
auto worker_number();

// Runs the kernel on every index, and returns when all outputs and reductions are final. Requires
// an output (a buffer space, out, inout), a reducer, or a shared buffer.
//
// Throws map_error if an index is missing at the end. Throws shard::error, before anything has run,
// if the run can't be started. Throws shard::error at the end if a file that create() made can't
// get its final name: the elements and the reductions are final then.
template <class Space, class... Rest>
report map(const options& how, Space&& space, Rest&&... arguments_then_kernel);
template <class Space, class... Rest>
  requires(!std::same_as<std::remove_cvref_t<Space>, options>)
report map(Space&& space, Rest&&... arguments_then_kernel);

// As map, but throws no map_error: the report says what failed and what is missing.
template <class Space, class... Rest>
[[nodiscard]] report try_map(const options& how, Space&& space, Rest&&... arguments_then_kernel);
template <class Space, class... Rest>
  requires(!std::same_as<std::remove_cvref_t<Space>, options>)
[[nodiscard]] report try_map(Space&& space, Rest&&... arguments_then_kernel);

// As map, for kernels that need no output, since they are called for their effects outside of the
// program, for example on files. Such effects happen at least once for each index.
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
auto out_per_chunk(buffer<T, Rank>& to) {
  static_assert(!std::is_const_v<T>,
                "shard: out_per_chunk() writes, but this buffer is read-only; open it with "
                "open_writable");
  return detail::out_per_chunk_argument<std::remove_const_t<T>, Rank>(detail::array_of(to));
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

inline auto chunk_number() { return detail::chunk_number_argument(); }

inline auto worker_number() { return detail::worker_number_argument(); }

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
  report result =
      detail::start_alone<true>(how, std::forward<Space>(space), std::forward<Rest>(rest)...);
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
  return detail::start_alone<true>(how, std::forward<Space>(space), std::forward<Rest>(rest)...);
}

template <class Space, class... Rest>
  requires(!std::same_as<std::remove_cvref_t<Space>, options>)
report try_map(Space&& space, Rest&&... rest) {
  return try_map(options{}, std::forward<Space>(space), std::forward<Rest>(rest)...);
}

template <class Space, class... Rest>
report for_each(const options& how, Space&& space, Rest&&... rest) {
  report result =
      detail::start_alone<false>(how, std::forward<Space>(space), std::forward<Rest>(rest)...);
  if (!result.complete()) throw map_error(std::move(result));
  return result;
}

template <class Space, class... Rest>
  requires(!std::same_as<std::remove_cvref_t<Space>, options>)
report for_each(Space&& space, Rest&&... rest) {
  return for_each(options{}, std::forward<Space>(space), std::forward<Rest>(rest)...);
}

}  // namespace shard
