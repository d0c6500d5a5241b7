// What everybody who works on one run shares: made by the caller before anything is started, and
// inherited by the supervisor, the standby and the workers.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "board/board.hpp"
#include "board/owner.hpp"
#include "family/roster.hpp"
#include "memory/segment.hpp"
#include "os/stop_signals.hpp"
#include "shard/detail/segment.hpp"

namespace shard::family {

// A buffer that each worker maps for itself.
struct granted {
  std::shared_ptr<detail::segment> owner;
  detail::access rights = detail::access::read;
  bool output = false;  // each chunk writes its own rows, and nobody reads them
};

// What a worker may take; zero: as much as it wants.
struct limits {
  std::chrono::nanoseconds timeout{};  // for one piece of work
  double timeout_factor = 0;           // the same, as a multiple of the chunks' median so far
  std::size_t memory_bytes = 0;        // of its own

  bool timed() const noexcept { return timeout.count() != 0 || timeout_factor != 0; }
};

struct crew {
  const board::board& board;
  const family::roster& roster;
  std::span<std::byte> memory;  // of both, which children of a worker must not have
  board::policy policy;
  limits worker_limits;
  std::vector<granted> grants;
  unsigned threads_per_worker = 0;  // 0: nobody has said anything
  int held = -1;                    // a descriptor of its processes, but not of kernels' children
  bool prefix_output = false;       // name the worker before each line that one prints

  // Called by each worker, where it works: what it owns there until it leaves, and its task. The
  // worker has the grants' elements at `data`, in their order.
  std::function<std::shared_ptr<const board::task>(std::vector<std::byte*> data, unsigned slot)>
      enter;
  bool has_state = false;  // what `enter` makes is a worker_state, too: code of the user's

  std::shared_ptr<const os::stop_signals> signals = {};  // that stop the run; null: none
};

// What a failure's record says of the process it was in: this one.
void add_own_facts(board::failure_facts& to, const roster& family) noexcept;

// Does all that there is to do at one slot. `what` is what the worker has entered with.
void work_at(const crew& all, unsigned slot, const board::task& what, const board::policy& how,
             board::workplace& where);

// Stops the run if a signal has asked for that; how many have. For whoever waits for the run, at
// every turn.
unsigned heed_signals(const crew& all) noexcept;

// No more chunks are started: the program has asked for that. Any thread may call it.
void stop_on_request(const board::board& on) noexcept;

// Called in the caller's thread while a run goes on, about every tick. What it throws ends the run.
using on_tick = std::function<void()>;
constexpr std::chrono::milliseconds tick{100};

}  // namespace shard::family
