// Who is who in a family: the processes, what they died of, and what they printed last.
//
// It lies in shared memory beside the board, which knows chunks and no processes. Zeros are its
// initial state. A member has the number of its slot on the board. A run in threads, or inline, has
// a roster, too, of which it uses little.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "family/tail.hpp"
#include "os/affinity.hpp"
#include "os/stack_record.hpp"
#include "os/usage.hpp"

namespace shard::family {

// What a dying worker can still say, from a signal or exit handler. Complete when `spoken`, but for
// the stack, which has the frames that were found until then.
struct last_words {
  std::atomic<std::uint32_t> spoken;
  std::int32_t signal;  // 0: it called exit()
  std::int32_t exit_status;
  std::chrono::nanoseconds when;  // by the steady clock
  os::stack_record stack;
  char what[376];
};

// How far the supervisor is with what a worker prints to one of its streams. Zeros are the initial
// state. Written by the supervisor.
class reading {
 public:
  // Around reading the pipe, and passing on what was read: a worker that finds its pipe empty, and
  // nobody inside, knows that all it wrote is where it belongs.
  void begin() noexcept { inside_.store(1, std::memory_order_seq_cst); }
  void end(std::size_t bytes) noexcept {
    bytes_.store(bytes_.load(std::memory_order_relaxed) + bytes, std::memory_order_relaxed);
    inside_.store(0, std::memory_order_seq_cst);
  }
  // There is a new pipe. Whoever read the one before may have died at it.
  void begin_anew() noexcept { inside_.store(0, std::memory_order_seq_cst); }
  bool inside() const noexcept { return inside_.load(std::memory_order_seq_cst) != 0; }
  // That were ever read.
  std::uint64_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> bytes_;
  std::atomic<std::uint32_t> inside_;
};

// The worker of a slot, and what the last one has left. A member outlives its process.
struct alignas(64) member {
  std::atomic<std::int32_t> pid;         // 0: nobody works here
  std::atomic<std::uint32_t> preparing;  // 1: the worker makes its worker_state
  last_words words;
  tail errors;  // what the worker writes to stderr
  reading output_read;
  reading errors_read;
  std::atomic<std::uint32_t> printed;  // 1: not all that was printed may have been passed on
  os::processors place;                // where the worker runs, if the roster has places
};

// What the system, most likely a sandbox, keeps a family from doing. Results are as promised all
// the same, and the report names each. Bits of a word.
enum lack : std::uint32_t {
  dump_protection = 1,     // buffers left out of core dumps
  child_protection = 2,    // outputs kept from processes that a kernel forks
  orphans_end = 4,         // processes that a kernel leaves behind ended
  overflows_told = 8,      // a stack overflow's place told
  output_passed_on = 16,   // what workers print read, passed on by lines, and kept for the report
  usage_told = 32,         // what a worker has used told with its exceptions
  memory_limit_held = 64,  // the limit on a worker's memory
  workers_go_first = 128,  // workers killed before others for want of memory
  supervisor_replaced = 256,  // a supervisor that dies replaced
  threads_counted = 512,      // a caller with other threads refused
  workers_pinned = 1024       // each worker kept to its processors
};

// Deaths that are borne: of the workers of a run that blame no chunk, of supervisors, and of
// standbys. More are a fault that repeats itself.
constexpr unsigned deaths_borne = 100;

// How it stands with a family; bits of a word.
enum status : std::uint32_t {
  finished = 1,    // no worker is left: results may be read
  dismissed = 2,   // the caller needs it no more
  refused = 4,     // the system denies what a supervisor needs: nothing was begun
  arrived = 8,     // the program that was started for it has become its supervisor
  passing_on = 16  // what workers have printed waits for whoever reads it
};

class roster {
 public:
  static std::size_t size_bytes(unsigned members) noexcept;

  // A view of zeroed or already used shared memory of size_bytes(), aligned to 64 bytes.
  roster(std::byte* memory, unsigned members) noexcept;

  unsigned size() const noexcept { return size_; }
  member& at(unsigned slot) const noexcept { return members_[slot]; }

  // Notes that the family goes without this, from now on. Any process may.
  void go_without(lack what) const noexcept {
    if ((lacks() & what) == 0) shared_->lacks.fetch_or(what, std::memory_order_relaxed);
  }
  std::uint32_t lacks() const noexcept { return shared_->lacks.load(std::memory_order_relaxed); }

  // How often a standby has become the supervisor.
  std::atomic<std::uint32_t>& takeovers() const noexcept { return shared_->takeovers; }
  // The process that supervises after so many takeovers, and that waits to do so; 0: none yet.
  std::atomic<std::int32_t>& leader(unsigned takeover) const noexcept {
    return shared_->leaders[takeover];
  }
  static constexpr unsigned leader_capacity = 128;
  static_assert(deaths_borne + 2 <= leader_capacity);

  // Bytes that workers printed and that could not be passed on.
  std::atomic<std::uint64_t>& output_lost() const noexcept { return shared_->output_lost; }

  // How long the workers' output could not be passed on, so that workers that print had to wait. By
  // the supervisor.
  std::atomic<std::chrono::nanoseconds::rep>& output_stalled() const noexcept {
    return shared_->output_stalled;
  }

  // How long it has taken so far to fork all processes of the family. Any process that forks adds.
  std::atomic<std::chrono::nanoseconds::rep>& forking() const noexcept { return shared_->forking; }

  // How long workers and the caller of a pool have looked for what is next without sleeping, since
  // somebody last asked.
  void add_looking(std::chrono::nanoseconds time) const noexcept {
    shared_->looking.fetch_add(time.count(), std::memory_order_relaxed);
  }
  std::chrono::nanoseconds take_looking() const noexcept {
    return std::chrono::nanoseconds(shared_->looking.exchange(0, std::memory_order_relaxed));
  }

  // Whether workers are pinned: then each member has a place. Written by the caller, before anybody
  // works.
  bool has_places() const noexcept { return shared_->places != 0; }
  void set_has_places(bool whether) const noexcept { shared_->places = whether ? 1 : 0; }

  // How it stands with the family.
  void raise(status bit) const noexcept { shared_->statuses.fetch_or(bit); }
  void lower(status bit) const noexcept { shared_->statuses.fetch_and(~std::uint32_t{bit}); }
  bool is(status bit) const noexcept { return (shared_->statuses.load() & bit) != 0; }

  // Why the family can't go on; empty: it can.
  std::string_view trouble() const noexcept { return shared_->trouble; }
  void tell_trouble(std::string_view what) const noexcept;  // cut to its place

 private:
  struct alignas(64) shared_part {
    std::atomic<std::uint32_t> takeovers;
    std::atomic<std::uint32_t> lacks;
    std::atomic<std::uint32_t> statuses;
    std::uint32_t places;
    std::atomic<std::uint64_t> output_lost;
    std::atomic<std::chrono::nanoseconds::rep> output_stalled;
    std::atomic<std::chrono::nanoseconds::rep> forking;
    std::atomic<std::chrono::nanoseconds::rep> looking;
    std::atomic<std::int32_t> leaders[leader_capacity];
    char trouble[512];  // NUL-terminated
  };

  unsigned size_;
  shared_part* shared_;
  member* members_;
};

// Adds the time in which it lives, in the process that has made it, to that of all forks.
class fork_timer {
 public:
  explicit fork_timer(const roster& of) noexcept : roster_(of) {}
  fork_timer(const fork_timer&) = delete;
  fork_timer& operator=(const fork_timer&) = delete;
  ~fork_timer() {
    const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - began_;
    roster_.forking().fetch_add(took.count(), std::memory_order_relaxed);
  }

 private:
  const roster& roster_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace shard::family
