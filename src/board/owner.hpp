// A worker's side of the board: claim chunks, run them, publish what they gave.
// One owner at a time for each slot; used by the one thread that owns it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "board/board.hpp"

namespace shard::board {

using description = char[sizeof(failure_record::what)];

// What a run does with a chunk. Functions and a context instead of virtual calls: the same object
// serves every process that was forked from its maker.
struct task {
  // Runs the kernel on a chunk: its outputs, its ordered partial, and additions to `accumulators`.
  // False if the kernel threw; `what` then describes the exception, NUL-terminated.
  bool (*run)(const void* context, std::size_t chunk, std::byte* partial, std::byte* accumulators,
              description& what) noexcept;

  // Writes the identity of every commutative reduction into zeroed memory.
  void (*start)(const void* context, std::byte* accumulators);

  const void* context;
};

struct policy {
  budgets allowed;
  bool keep_going = false;
  bool park = true;  // wait for the end when nothing is left to claim; false: leave
  std::size_t little_to_copy_bytes = 0;  // accumulators up to this are published after every chunk
};

class owner {
 public:
  // accumulators: this worker's private ones, zeroed, 64-byte aligned, of accumulator_bytes.
  owner(const board& on, unsigned slot, const task& what, const policy& how,
        std::byte* accumulators) noexcept;

  // Does all that there is for this slot to do: redoes what its last owner left uncommitted, then
  // claims until nothing is left or the run is stopped.
  void work();

  // The steps of work(), apart for tests and named as in the model.
  void resume();   // take the slot as its last owner left it
  bool claim();    // append unclaimed chunks to the log; false: none is left, or the run stops
  void run();      // run the entries of the log that are not run yet, publishing as is due
  void publish();  // commit what has run

 private:
  using clock = std::chrono::steady_clock;

  void reload();
  bool run_entry(std::uint64_t chunk);
  void failed(std::uint64_t chunk, const char* what);
  void end_lap(std::uint64_t entries);
  void publish_if_due(clock::time_point now);
  std::uint64_t length() const noexcept;
  bool stopped() const noexcept { return (board_.controls() & stopping) != 0; }

  const board& board_;
  slot& slot_;
  std::atomic<std::uint64_t>* log_;
  unsigned index_;
  task task_;
  policy policy_;
  std::byte* accumulators_;

  std::uint64_t next_ = 0;  // log entries that the private accumulators hold: ran, or condemned
  std::uint64_t published_ = 0;      // log entries that the published area covers
  std::uint64_t redo_until_ = 0;     // entries below this were begun before
  std::uint64_t batch_ = 1;          // chunks to claim at a time
  clock::time_point lap_{};          // when the last batch ended
  clock::time_point publish_due_{};  // when accumulators are to be copied out again
};

}  // namespace shard::board
