// Workers that are started once, for many maps.
//
//   shard::pool workers;
//   for (int step = 0; step < 2000; ++step) {
//     workers.queue(b, shard::in(a), [](std::size_t i, shard::view<double> a) { … });
//     std::swap(a, b);
//   }
//   workers.wait();
//
// A map outside of a pool starts its worker processes, and has them map its buffers: about 1.5 ms,
// and much more for large buffers. A pool has done both before. What a map promises about its
// results, about crashes and about exceptions holds in a pool, too. Three things differ:
//
//  - A kernel captures nothing. It gets what it needs as parameters: value(x), in(buffer), …. The
//    same holds for what makes a worker_state. Plain functions are kernels, too.
//  - Workers see global variables and the environment as they were when the pool was made; if they
//    are spawned, see spawn.hpp, as the program begins with them. refresh() starts new workers that
//    see what is there now. Kernels may be in libraries that were loaded later.
//  - Workers have only the buffers that a map grants. Elements of any other buffer of the program,
//    for example of a global one, can't be read in a kernel: such an access is a crash.
//
// What a kernel leaves in variables of the program, for example in a static cache, is still there
// when the same worker runs a kernel of a later map. It must not change results, since it differs
// from run to run which worker runs what. A worker_state may live on from a map to the next one
// that has the same kernel and arguments.
//
// The pool's processes hold what descriptors the program had open when the pool was made, unless
// they are spawned: the other end of a pipe or a socket hears of its end only when the pool has
// gone, too. And workers open
// buffers by /proc: a program that has made itself undumpable, as setuid() does, can't use a pool.
//
// In a pool that runs on executor::threads or executor::serial, maps are carried out as without a
// pool; a queued one, too, by queue(). So they are in a pool that a kernel makes. A kernel that
// runs in a thread may use a pool of the program's that has processes: they do the work.
//
// Any thread may call any member. The maps of one pool are carried out one after the other, in the
// order of the calls. A call from on_progress or on_failure of a map of the same pool throws
// shard::error; so does a call in a forked child. A kernel must not use the pool that runs it: with
// executor::threads, it would wait for itself.
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

#include "shard/detail/call.hpp"
#include "shard/detail/job.hpp"
#include "shard/map.hpp"
#include "shard/options.hpp"
#include "shard/report.hpp"
#include "shard/run.hpp"

namespace shard {

class pool {
 public:
  // Starts the workers. These options hold for all maps of the pool. Throws shard::error if workers
  // can't be started.
  explicit pool(const options& how = {});
  // What was moved from can only be assigned to, or destroyed.
  pool(pool&&) noexcept = default;
  pool& operator=(pool&&) noexcept = default;
  // Ends the workers. They destroy their worker_states; who takes longer than 0.04 s for that is
  // killed. Queued runs that are not over are called off, and their outputs are unspecified then.
  // In a forked child, does nothing.
  ~pool() = default;

  // How many there are, or are to be once the next map has started them.
  unsigned workers() const noexcept { return detail::workers_of(*state_); }

  // As the functions of the same names. Options of one map come first, if there are any: those that
  // are set there replace the pool's. workers, threads_per_worker, run_on, start, pin,
  // environment, working_directory, allow_threads and prefix_output belong to the pool: to set them
  // for one map is an error. All of these first wait for queued runs, as wait() does.
  template <class Space, class... Rest>
    requires(!std::same_as<std::remove_cvref_t<Space>, options>)
  report map(Space&& space, Rest&&... arguments_then_kernel);
  template <class Space, class... Rest>
  report map(const options& how, Space&& space, Rest&&... arguments_then_kernel);
  template <class Space, class... Rest>
    requires(!std::same_as<std::remove_cvref_t<Space>, options>)
  [[nodiscard]] report try_map(Space&& space, Rest&&... arguments_then_kernel);
  template <class Space, class... Rest>
  [[nodiscard]] report try_map(const options& how, Space&& space, Rest&&... arguments_then_kernel);
  template <class Space, class... Rest>
    requires(!std::same_as<std::remove_cvref_t<Space>, options>)
  report for_each(Space&& space, Rest&&... arguments_then_kernel);
  template <class Space, class... Rest>
  report for_each(const options& how, Space&& space, Rest&&... arguments_then_kernel);

  // As map, but returns at once: the run waits for its turn. Runs are carried out in the order of
  // the calls, and each sees what the one before has written. The workers go from one to the next
  // without the caller: that makes many short runs fast. About 60 runs can wait; then queue waits
  // until half of them are over. Buffers stay until the run is over, also if the program drops
  // them. Reducers must live until wait() has returned.
  //
  // If a run is not complete, those behind it are not begun.
  template <class Space, class... Rest>
    requires(!std::same_as<std::remove_cvref_t<Space>, options>)
  void queue(Space&& space, Rest&&... arguments_then_kernel);
  template <class Space, class... Rest>
  void queue(const options& how, Space&& space, Rest&&... arguments_then_kernel);

  // A handle on one run, behind those that were handed over before; see run.hpp. Whether they are
  // complete makes no difference to it. The pool must outlive it.
  template <class Space, class... Rest>
    requires(!std::same_as<std::remove_cvref_t<Space>, options>)
  [[nodiscard]] shard::run start(Space&& space, Rest&&... arguments_then_kernel);
  template <class Space, class... Rest>
  [[nodiscard]] shard::run start(const options& how, Space&& space,
                                 Rest&&... arguments_then_kernel);

  // Returns when all queued runs are over. Throws what map would have thrown for the first of them
  // that failed. After that the pool can be used again.
  void wait() { detail::wait_for(*state_); }

  // Waits for queued runs, ends the workers, and starts so many new ones. 0: as many as there are
  // CPUs, see options::workers.
  void resize(unsigned workers) { detail::resize(*state_, workers); }
  // The same with as many workers as before. They see the program as it is now.
  void refresh() { detail::refresh(*state_); }
  // Calls queued runs off, and ends the workers. What was queued is forgotten, also what failed of
  // it. The next map starts new workers.
  void stop() { detail::stop(*state_); }

 private:
  template <bool NeedsEffect, class Space, class... Rest>
  report carry_out(const options* how, Space&& space, Rest&&... rest) {
    return detail::start<NeedsEffect, detail::sent::yes>(
        [&](const detail::job& what) { return detail::execute_in(*state_, what, how); },
        std::forward<Space>(space), std::forward<Rest>(rest)...);
  }
  template <class Space, class... Rest>
  void enqueue(const options* how, Space&& space, Rest&&... rest) {
    detail::start<true, detail::sent::yes>(
        [&](detail::job&& what) {
          detail::queue_in(*state_, std::move(what), how);
          return report();
        },
        std::forward<Space>(space), std::forward<Rest>(rest)...);
  }
  template <class Space, class... Rest>
  shard::run begin(const options* how, Space&& space, Rest&&... rest) {
    std::shared_ptr<detail::run_state> made;
    detail::start<true, detail::sent::yes>(
        [&](detail::job&& what) {
          made = detail::begin_in(state_, std::move(what), how);
          return report();
        },
        std::forward<Space>(space), std::forward<Rest>(rest)...);
    return shard::run(std::move(made));
  }
  static report complete(report result) {
    if (!result.complete()) throw map_error(std::move(result));
    return result;
  }

  std::shared_ptr<detail::pool_state> state_;
};

inline pool::pool(const options& how) : state_(detail::make_pool(how)) {}

template <class Space, class... Rest>
  requires(!std::same_as<std::remove_cvref_t<Space>, options>)
report pool::map(Space&& space, Rest&&... rest) {
  return complete(
      carry_out<true>(nullptr, std::forward<Space>(space), std::forward<Rest>(rest)...));
}
template <class Space, class... Rest>
report pool::map(const options& how, Space&& space, Rest&&... rest) {
  return complete(carry_out<true>(&how, std::forward<Space>(space), std::forward<Rest>(rest)...));
}
template <class Space, class... Rest>
  requires(!std::same_as<std::remove_cvref_t<Space>, options>)
report pool::try_map(Space&& space, Rest&&... rest) {
  return carry_out<true>(nullptr, std::forward<Space>(space), std::forward<Rest>(rest)...);
}
template <class Space, class... Rest>
report pool::try_map(const options& how, Space&& space, Rest&&... rest) {
  return carry_out<true>(&how, std::forward<Space>(space), std::forward<Rest>(rest)...);
}
template <class Space, class... Rest>
  requires(!std::same_as<std::remove_cvref_t<Space>, options>)
report pool::for_each(Space&& space, Rest&&... rest) {
  return complete(
      carry_out<false>(nullptr, std::forward<Space>(space), std::forward<Rest>(rest)...));
}
template <class Space, class... Rest>
report pool::for_each(const options& how, Space&& space, Rest&&... rest) {
  return complete(carry_out<false>(&how, std::forward<Space>(space), std::forward<Rest>(rest)...));
}
template <class Space, class... Rest>
  requires(!std::same_as<std::remove_cvref_t<Space>, options>)
shard::run pool::start(Space&& space, Rest&&... rest) {
  return begin(nullptr, std::forward<Space>(space), std::forward<Rest>(rest)...);
}
template <class Space, class... Rest>
shard::run pool::start(const options& how, Space&& space, Rest&&... rest) {
  return begin(&how, std::forward<Space>(space), std::forward<Rest>(rest)...);
}
template <class Space, class... Rest>
  requires(!std::same_as<std::remove_cvref_t<Space>, options>)
void pool::queue(Space&& space, Rest&&... rest) {
  enqueue(nullptr, std::forward<Space>(space), std::forward<Rest>(rest)...);
}
template <class Space, class... Rest>
void pool::queue(const options& how, Space&& space, Rest&&... rest) {
  enqueue(&how, std::forward<Space>(space), std::forward<Rest>(rest)...);
}

}  // namespace shard
