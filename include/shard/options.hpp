// How a map is run. An aggregate for designated initialisers: shard::map({.workers = 8}, …).
// What is set in code wins over the environment variable named beside it, and that over the
// default.
//
// One variable more is for debuggers: SHARD_REPLAY=MAP:FIRST-LAST runs of one map of the program,
// MAP counted from 1 and without maps inside kernels, only the indices [FIRST, LAST), inline in the
// calling process. What the kernel throws leaves map; if it doesn't fail, the report is that of a
// map that was stopped. on_progress, on_failure and stop are not looked at.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <stop_token>

namespace shard {

struct failure;

using seconds = std::chrono::duration<double>;

// Where kernels run. The results are the same bits in each.
enum class executor {
  processes,  // supervised forked workers: a kernel may crash
  threads,  // oneTBB in the caller's process: for kernels that are known to be safe. Inline, if the
            // map is called by a kernel that runs so itself
  serial,   // inline, one chunk after the other: for debuggers
};

// A moment of a run. Counts are indices; tiles for a tiled space.
struct progress {
  std::size_t done = 0;    // settled: final, or given up
  std::size_t failed = 0;  // given up
  std::size_t total = 0;
  std::size_t failures = 0;  // attempts that failed; the ones that were run again count, too
  std::size_t deaths = 0;    // workers that ended before their work did
  seconds elapsed{};
  seconds remaining{};  // an estimate from the pace so far; 0 before the first index is done
};

// C++ wants designated initialisers in the order of the members below: first how many workers run
// what, then how much each piece of work may take, then what follows when one fails, then where it
// runs, and at last who hears of it: {.workers = 8, .timeout = 200ms, .keep_going = true}.
struct options {
  // Worker processes or threads. 0: the CPUs that affinity and cgroup quota grant this process.
  // SHARD_WORKERS
  std::optional<unsigned> workers = {};

  // Indices in a chunk. 0: up to 4096 chunks, and 1024 or more (or one for each index). Where that
  // leaves room, a chunk is a multiple of 64 bytes of every output, or else of 32, 16, 8, 4 or 2;
  // of 4096 bytes, if an output has 64 MiB or more. SHARD_GRAIN
  std::optional<std::size_t> grain = {};

  // How long one chunk may take; 0 (default): as long as it wants. A worker that takes longer is
  // killed, and the chunk run again, as often as after a crash (`retries`). In processes only.
  // SHARD_TIMEOUT, in seconds
  std::optional<seconds> timeout = {};

  // The same, as a multiple of the median of the chunks so far, once there are five, and at least
  // one second; 0 (default): no such limit. Of two limits the shorter holds. SHARD_TIMEOUT_FACTOR
  std::optional<double> timeout_factor = {};

  // Memory of its own that a worker may have written to (not buffers, which are shared; nor what it
  // has of the caller's and only reads). One with more is replaced by a fresh process at the next
  // border of a chunk: for kernels that leak. 0 (default): no limit. In processes only.
  // SHARD_MEMORY_LIMIT_BYTES
  std::optional<std::size_t> memory_limit_bytes = {};

  // How often a whole chunk is run again after its worker died in it (default 2; at most 200), and
  // after its kernel threw (default 0; at most 100). Then ever smaller parts of it are, until it is
  // known which indices fail. SHARD_RETRIES, SHARD_RETRIES_ERROR
  std::optional<unsigned> retries = {};
  std::optional<unsigned> retries_error = {};

  // How often a chunk is run again after SIGKILL ended its worker: default 100, at most 10000. It
  // counts as sent from outside, whoever sent it, and says nothing about the kernel.
  // SHARD_RETRIES_KILL
  std::optional<unsigned> retries_kill = {};

  // What happens when an index is given up: true, the other chunks are still run; false, the chunks
  // that are running finish and no more are started. Default: true where max_failures is set, else
  // false. SHARD_KEEP_GOING=0|1
  std::optional<bool> keep_going = {};

  // The run ends when more indices than this are given up. The report's trouble() then says so.
  // 0 (default): no limit. SHARD_MAX_FAILURES
  std::optional<std::size_t> max_failures = {};

  // After so many timeouts in a run, shard no longer looks for the indices that take too long: each
  // attempt would cost the whole timeout. What would need another attempt is not tried
  // (report::not_tried). Default 256; 0: no limit. SHARD_MAX_TIMEOUTS
  std::optional<std::size_t> max_timeouts = {};

  // Default: executor::processes. SHARD_EXECUTOR=processes|threads|serial, of which serial wins
  // even over code, so that any program can be taken into a debugger.
  std::optional<executor> run_on = {};

  // Fork although the program has other threads. Their locks stay locked in the workers for ever: a
  // kernel must not need one (malloc is safe, but not a sanitizer's: with one, a map beside threads
  // that allocate may never end). A child that another thread forks by itself as the map begins may
  // hold up its end until it ends, or calls exec. Default false: such a map is an error.
  // SHARD_ALLOW_THREADS=0|1
  std::optional<bool> allow_threads = {};

  // Put "[worker K] " before each line that a kernel prints to stdout or stderr, where it runs in a
  // worker process. "\r" ends a line, too. Default false. SHARD_PREFIX_OUTPUT=0|1
  std::optional<bool> prefix_output = {};

  // Called in the caller's thread about ten times a second and once at the end. What it throws ends
  // the run and leaves map.
  std::function<void(const progress&)> on_progress = {};

  // Called with each failure that the report will have, in the caller's thread, within about a
  // tenth of a second; with the last ones at the end. It is the report's own but for the stack,
  // whose functions get their names and lines at the end of the run only: report::failures() has
  // them. What it throws ends the run and leaves map.
  std::function<void(const failure&)> on_failure = {};

  // When a stop is requested, by any thread or by on_progress, the chunks that run are finished and
  // no more are started. If indices are missing then, map throws map_error, whose result() says
  // which are final. A map that begins after the request starts nothing.
  std::stop_token stop = {};
};

}  // namespace shard
