// A run under way: it goes on by itself while the program watches it, reads what is done, or stops
// it.
//
//   shard::run run = shard::start(out, [&](std::size_t i) { return simulate(i); });
//   for (shard::range done : run.chunks()) plot(out, done);
//   std::cout << run.wait();
//
// start takes what map takes: shard::start starts processes of its own, pool::start hands the run
// to a pool, behind the runs that were handed to it before. With executor::threads and
// executor::serial the run is over when start returns.
//
// Reducers must live until wait() has returned, or the run is gone. Buffers stay as long as the
// run. The kernel and what it captures are as they were when start was called.
//
// One thread at a time uses a run. A run in a pool must end before the pool does.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "shard/detail/call.hpp"
#include "shard/detail/job.hpp"
#include "shard/options.hpp"
#include "shard/range.hpp"
#include "shard/reduce.hpp"
#include "shard/report.hpp"

namespace shard {

// What a worker is at.
struct worker_status {
  unsigned worker = 0;          // its number, from 0
  range indices = {};           // of the chunk that it runs; if they have strides, all between, too
  seconds since{};              // how long it has been at it
  std::string processors = {};  // that it keeps to: "0-1,8"; empty: it is not pinned
};

// In which order run::chunks() tells of chunks.
enum class chunk_order {
  as_they_come,
  ascending  // a chunk is told of when all before it are completed, or will not be
};

class run {
 public:
  class chunk_stream;

  run(run&&) noexcept = default;
  run& operator=(run&&) noexcept = default;
  // Cancels the run, and waits for its end: no kernel works any more.
  ~run() = default;

  // Waits for the end, and completes the reductions. Returns the report, as try_map does: it says
  // what failed and what is missing. A second call returns the same. on_progress and on_failure are
  // called meanwhile. Throws what they throw, and then the run is cancelled.
  report wait() { return detail::wait_for(*state_); }

  // Waits until the run is over, but not longer than that. Returns whether it is over. Completes
  // nothing: wait() does.
  bool wait_for(seconds limit) { return detail::wait_for(*state_, limit); }

  // Ends the run at once: workers in the middle of a chunk are killed. What was completed before
  // stays so. Returns when no kernel works any more.
  void cancel() { detail::cancel(*state_); }

  // How far it is.
  progress status() const { return detail::status_of(*state_); }
  // The workers that run a kernel now.
  std::vector<worker_status> workers() const { return detail::workers_in(*state_); }

  // The indices that are final so far: ranges that are ascending, disjoint and not adjacent. Their
  // elements may be read.
  std::vector<range> completed() const { return detail::completed_in(*state_); }
  // Whether all of these are.
  bool ready(range indices) const;

  // Each completed part of a chunk, once, but no empty one: for (range done : run.chunks()). Waits
  // for the next one, and ends with the run.
  chunk_stream chunks(chunk_order order = chunk_order::as_they_come);

  // A copy of a reducer of this run, with what completed() has added so far. Workers publish what
  // they have added every 10 ms, or more seldom where it is large.
  template <reducer R>
  R snapshot(const R& of) const {
    R copy(of);
    detail::merge_now(*state_, &of, &copy);
    return copy;
  }

  // For start().
  explicit run(std::shared_ptr<detail::run_state> state) noexcept : state_(std::move(state)) {}

 private:
  std::shared_ptr<detail::run_state> state_;
};

// An input range. One loop at a time.
class run::chunk_stream {
 public:
  class iterator {
   public:
    using value_type = range;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    explicit iterator(chunk_stream* of) : of_(of) {}
    range operator*() const noexcept { return of_->now_; }
    iterator& operator++() {
      of_->advance();
      return *this;
    }
    void operator++(int) { of_->advance(); }
    bool operator==(std::default_sentinel_t) const noexcept { return of_->ended_; }

   private:
    chunk_stream* of_;
  };

  iterator begin() {
    advance();
    return iterator(this);
  }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  friend class run;
  chunk_stream(std::shared_ptr<detail::run_state> state, chunk_order order)
      : reader_(detail::read_chunks(std::move(state), order == chunk_order::ascending)) {}
  void advance() { ended_ = !detail::next_chunk(*reader_, now_); }

  std::shared_ptr<detail::chunk_reader> reader_;
  range now_;
  bool ended_ = false;
};

inline run::chunk_stream run::chunks(chunk_order order) { return {state_, order}; }

inline bool run::ready(range indices) const {
  for (const range part : completed()) {
    if (part.first <= indices.first && indices.last <= part.last) return true;
  }
  return indices.empty();
}

// Starts a map in processes of its own. What a map throws before anything has run, this throws.
template <class Space, class... Rest>
[[nodiscard]] run start(const options& how, Space&& space, Rest&&... arguments_then_kernel) {
  std::shared_ptr<detail::run_state> made;
  detail::start<true, detail::sent::if_possible>(
      [&](detail::job&& what) {
        made = detail::begin_alone(std::move(what), how);
        return report();
      },
      std::forward<Space>(space), std::forward<Rest>(arguments_then_kernel)...);
  return run(std::move(made));
}
template <class Space, class... Rest>
  requires(!std::same_as<std::remove_cvref_t<Space>, options>)
[[nodiscard]] run start(Space&& space, Rest&&... arguments_then_kernel) {
  return start(options{}, std::forward<Space>(space), std::forward<Rest>(arguments_then_kernel)...);
}

}  // namespace shard
