// How a map is run: shard::map({.workers = 8}, …).
//
// Most options can also be set by an environment variable. The comment of each option names its
// variable. What is set in code wins over the variable, even if it is 0. The variable wins over the
// default.
// If the environment has a variable that begins with "SHARD_" and that shard does not know, the
// first map of the program says so in a line on stderr.
//
// Two more variables help to find faults:
//
//   SHARD_CHECK_POOL=1            Every run in a pool is done twice, the first time by workers that
//                                 are started for it. shard throws an error if a result differs.
//                                 docs/index.md says more ("Debugging").
//   SHARD_REPLAY=MAP:FIRST-LAST   The program runs only the indices [FIRST, LAST) of its map number
//                                 MAP, inline in the calling process. The first map has number one.
//                                 Maps inside kernels have no number. What the kernel throws leaves
//                                 map. If the kernel does not fail, the report is that of a map
//                                 that was stopped. shard ignores on_progress, on_failure and stop
//                                 in this map. MAP:FIRST-LAST/STRIDE runs every STRIDE-th of these
//                                 indices, which must be those of a chunk of a strided space.
//                                 MAP:chunkK runs the chunk K of the map, counted from 0.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>

namespace shard {

struct failure;

using seconds = std::chrono::duration<double>;

// Where kernels run. The results are the same bits in each. If a kernel calls map, that map runs
// inline in the kernel's worker; see options::run_on.
enum class executor {
  processes,  // in forked worker processes, under a supervisor process: a kernel may crash
  threads,    // in threads of the caller's process: a kernel that crashes ends the program. The
              // threads stay, asleep, until the process forks
  serial,     // inline, one chunk after the other: for debuggers
};

// How worker processes begin; see spawn.hpp.
enum class start_by {
  fork,  // as copies of the calling process
  spawn  // as the same program, started anew
};

// What on_progress hears. done, failed and total count indices, or tiles if the space is tiled.
struct progress {
  std::size_t done = 0;      // indices that are final or given up
  std::size_t failed = 0;    // of these, the indices that are given up
  std::size_t total = 0;     // all indices of the map
  std::size_t failures = 0;  // failed attempts so far, including those that shard ran again
  std::size_t deaths = 0;    // worker processes that ended before their work did
  seconds elapsed{};
  seconds remaining{};  // an estimate from the pace so far; 0 before the first index is done
};

// C++ wants designated initialisers in the order of the members:
//
//   how many    workers, threads_per_worker, grain
//   how long    timeout, timeout_factor, memory_limit_bytes
//   how often   retries, retries_error, retries_kill, keep_going, max_failures, max_timeouts
//   where       run_on, start, pin, environment, working_directory, allow_threads, prefix_output
//   who hears   record_chunks, on_progress, on_failure, stop
//
// For example {.workers = 8, .timeout = 200ms, .keep_going = true}.
struct options {
  // Number of worker processes or threads; a space by_memory may allow fewer. 0 (default): as many
  // as the CPUs that affinity and cgroup quota grant to this process. SHARD_WORKERS
  std::optional<unsigned> workers = {};

  // How many threads a worker process may use, for kernels that call parallel libraries. In each
  // worker, oneTBB keeps to it. So do OpenMP, OpenBLAS, MKL and BLIS: shard sets OMP_NUM_THREADS,
  // OPENBLAS_NUM_THREADS, MKL_NUM_THREADS and BLIS_NUM_THREADS before the kernel runs; a worker
  // that is spawned has them from its beginning. Libraries that the program has loaded before have
  // read them already; shard calls those functions of theirs that say the same, omp_set_num_threads
  // and its like, where it finds them. A map that a kernel calls runs on so many threads. With
  // workers = 0, there are as many workers as leave each of them so many CPUs. 0 (default): shard
  // says nothing. In processes only. SHARD_THREADS_PER_WORKER
  std::optional<unsigned> threads_per_worker = {};

  // Number of indices in a chunk. 0 (default): shard makes between 1024 and 4096 chunks, or one for
  // each index if there are fewer indices. Where that leaves a choice, a chunk is a multiple of 64
  // bytes of every output, or else of 32, 16, 8, 4 or 2; if an output has 64 MiB or more, a
  // multiple of 4096 bytes. SHARD_GRAIN
  std::optional<std::size_t> grain = {};

  // How long one chunk may take. If a worker takes longer, shard kills the worker and runs the
  // chunk again, as often as after a crash (`retries`). 0 (default): no limit. In processes only.
  // SHARD_TIMEOUT, in seconds
  std::optional<seconds> timeout = {};

  // The same limit as a multiple of the median time of the chunks so far. It holds once five chunks
  // are done, and is never under one second. If both limits are set, the shorter one holds.
  // 0 (default): no such limit. SHARD_TIMEOUT_FACTOR
  std::optional<double> timeout_factor = {};

  // Limit on a worker's private dirty memory, for kernels that leak. Buffers do not count, since
  // they are shared. Memory that a worker has from the caller and only reads does not count either.
  // shard replaces a worker above the limit by a fresh process at the next chunk boundary. So a
  // worker exceeds the limit by at most what one chunk takes, or what short chunks take within 2
  // ms. shard looks less often, every 50 ms or more, at memory of the caller's that a worker
  // overwrites. 0 (default): no limit. In processes only. SHARD_MEMORY_LIMIT_BYTES
  std::optional<std::size_t> memory_limit_bytes = {};

  // How often shard runs an index again after its worker died in it (default 1; at most 200). Then
  // shard gives up the index. Only tries of the index alone count: before them comes the try of its
  // whole chunk. If the kernel is called for ranges, shard first runs the whole chunk again so
  // often. Then shard searches for the indices that fail, and gives up an index that died alone
  // twice (once, if retries is 0). SHARD_RETRIES
  std::optional<unsigned> retries = {};

  // How often shard runs a chunk again after its kernel threw (default 0; at most 100). All indices
  // of the chunk share these tries. Once they are used up, shard gives up an index that throws
  // alone. SHARD_RETRIES_ERROR
  std::optional<unsigned> retries_error = {};

  // How often a chunk is run again after SIGKILL ended its worker (default 100; at most 10000).
  // shard takes every SIGKILL that it did not send itself for a kill from outside, which says
  // nothing about the kernel. But a kernel may kill its own process. So each kill beyond these
  // counts as a crash (`retries`). 0: every kill does. SHARD_RETRIES_KILL
  std::optional<unsigned> retries_kill = {};

  // What happens when an index is given up. true: shard still runs all other indices. false: the
  // chunks that are running finish, and shard starts no more. Default: true if max_failures is set,
  // else false. SHARD_KEEP_GOING=0|1
  std::optional<bool> keep_going = {};

  // When more indices than this are given up, shard ends the run, and report::trouble() says so.
  // 0 (default): no limit. SHARD_MAX_FAILURES
  std::optional<std::size_t> max_failures = {};

  // How many timeouts a run may have (default 256), since each costs the whole timeout. When a run
  // has had so many, shard ends the run, and report::trouble() says so. What is not completed then
  // is in report::not_tried(). 0: no limit. SHARD_MAX_TIMEOUTS
  std::optional<std::size_t> max_timeouts = {};

  // Where kernels run. Default: executor::processes. SHARD_EXECUTOR=processes|threads|serial.
  // serial in the variable wins even over code, so that any program can be run in a debugger. A map
  // that a kernel calls runs inline, whatever is said here: in the kernel's own thread, or in as
  // many threads of its worker as threads_per_worker allows.
  std::optional<executor> run_on = {};

  // How worker processes begin. Default: start_by::fork. SHARD_START=fork|spawn
  std::optional<start_by> start = {};

  // Pin workers: each keeps to processors of its own, among those that the calling thread may run
  // on (its affinity mask). So does what a kernel starts: a kernel that calls parallel libraries
  // needs threads_per_worker, too. If there are enough cores, a worker has a whole core, or as many
  // as threads_per_worker says, and no other worker runs there; workers are spread over packages
  // and caches, and the cores of one worker are close together. If there are fewer cores than that,
  // each worker has its share of the processors to itself. If there are more workers than
  // processors, each keeps to all processors of one NUMA node. A worker that replaces another has
  // its place. On executor::threads, when the map is over, the caller's thread may run where it
  // might before. A thread that a kernel has started keeps to the worker's place. No effect on
  // executor::serial, or on maps in kernels. If the system denies it, workers run where it lets
  // them, and the report says so. Default false. SHARD_PIN=0|1
  std::optional<bool> pin = {};

  // For start_by::spawn: variables that the workers' environment has beside the caller's, or
  // instead. nullopt takes the variable away. For example {{"OMP_WAIT_POLICY", "passive"}}. What
  // threads_per_worker sets, it sets all the same.
  std::map<std::string, std::optional<std::string>> environment = {};
  // For start_by::spawn: the folder in which workers work. Empty (default): the caller's.
  std::filesystem::path working_directory = {};

  // Fork although the program has other threads. A lock that another thread holds at that moment
  // stays locked in the workers for ever, so a kernel must not need such a lock. malloc is safe.
  // The malloc of a sanitizer is not: a map beside threads that allocate may then never end. If
  // another thread forks while a map starts, the map cannot finish until that child exits or calls
  // exec. Default false: such a map is an error. SHARD_ALLOW_THREADS=0|1
  std::optional<bool> allow_threads = {};

  // Put "[worker K] " before each line that a kernel prints to stdout or stderr, if it runs in a
  // worker process. "\r" ends a line, too. Default false. SHARD_PREFIX_OUTPUT=0|1
  std::optional<bool> prefix_output = {};

  // Keep a record of each chunk: when it began, how long it took, by which worker, at which
  // attempt, and how much memory the worker had. report::chunks() has the records,
  // report::resources() what follows from them. A record takes 24 bytes of memory while the map
  // runs, and under 1 us. Kernels that only get an index are then called chunk by chunk, and no
  // longer for many chunks in one loop. Default false. SHARD_RECORD_CHUNKS=0|1
  std::optional<bool> record_chunks = {};

  // shard calls this in the caller's thread, about ten times a second and once at the end. In a
  // serial run it is called between chunks only. What it throws ends the run and leaves map.
  std::function<void(const progress&)> on_progress = {};

  // shard calls this with each failure that the report will have, once, in the caller's thread,
  // when on_progress would be called. Of the stack it gets the functions, if the program exports
  // them, without lines: shard resolves names and lines at the end of the run, and only
  // report::failures() has them. What on_failure throws ends the run and leaves map.
  std::function<void(const failure&)> on_failure = {};

  // When any thread, on_progress or on_failure requests a stop, the chunks that are running finish,
  // and shard starts no more. If indices are missing then, map throws map_error. Its result() says
  // which indices are final. A map that begins after the request starts nothing.
  std::stop_token stop = {};
};

// How many workers a map would have here if its code said nothing: what SHARD_WORKERS says, or as
// many as affinity and cgroup quota grant CPUs to this process; see options::workers. In a kernel,
// as many as threads_per_worker allows it, or 1. Throws shard::error if a variable has a value that
// can't be honoured.
unsigned default_workers();

}  // namespace shard
