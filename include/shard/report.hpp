// What a map did: which indices are final, which failed, which were not tried; and every failure as
// data.
#pragma once

#include <cstddef>
#include <filesystem>
#include <iosfwd>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shard/error.hpp"
#include "shard/options.hpp"
#include "shard/range.hpp"

namespace shard {

// One failed attempt at a chunk or at a part of a chunk; or the death of a worker outside of any
// chunk.
struct failure {
  std::size_t chunk = 0;  // number of the chunk in the plan
  // The indices of the attempt. Empty: the worker was not inside a kernel, unless empty_part is
  // set.
  range indices = {};
  // Of a strided space: the indices of the attempt are every stride-th one of `indices`.
  std::size_t stride = 1;
  bool empty_part = false;  // the attempt was at an empty part of a chunk_list: see `chunk`
  std::string kind = {};    // "exception", "signal", "exit", "killed", "timeout", "oom"
  std::string what = {};  // one line: the exception's type and text, or the signal and address, …
  int signal = 0;         // the signal that ended the worker; 0: none
  int exit_status = 0;    // the worker's exit status, for kind "exit"
  unsigned attempt = 0;   // number of the attempt, from 1 in each chunk
  unsigned worker = 0;    // number of the worker, from 0; a replacement keeps the number

  // The type of the exception. `what` also has the exceptions that this exception nests.
  std::string exception = {};

  // The stack of the worker when the signal came: the innermost function first, the kernel last.
  // Each is "function at file:line" where the program was built with -g, else
  // "function in program+0x1234". Long template arguments are "<...>". Repeats are told once:
  // ", 12 times" behind a function, or a line "(these 3 frames 12 times)". Of a deep stack the
  // middle is missing, and a line says how much: "(41234 frames are left out)". Empty for other
  // kinds, and for signals that no handler sees.
  std::vector<std::string> stack = {};

  // The last lines that the worker had written to stderr, at most 2 KiB. Can have any bytes.
  std::string stderr_tail = {};

  int pid = 0;                    // process id of the worker
  seconds at = {};                // when it failed, since the map began
  seconds elapsed = {};           // how long the attempt had been running
  seconds user_time = {};         // processor time of the worker, for all its chunks
  seconds system_time = {};       // the same, in the operating system
  std::size_t max_rss_bytes = 0;  // peak memory of the worker, with what it had inherited

  // true: as far as shard can tell, the kernel is not to blame. Either SIGKILL came from outside,
  // or memory ran out while several workers ran.
  bool from_outside = false;
};

// Counts of one run.
struct run_counts {
  std::size_t map = 0;           // number of the map in its process, from 1; 0: inside a kernel
  std::size_t chunks = 0;        // chunks in the plan
  std::size_t grain = 0;         // indices in a chunk; 0: chunks differ
  std::size_t carried_over = 0;  // of a job: chunks that an earlier start had completed
  unsigned workers = 0;          // workers that ran at the same time
  std::size_t retries = 0;       // attempts that followed a failure of the same chunk
  std::size_t deaths = 0;        // workers that ended before their work did
  std::size_t replacements =
      0;                      // workers that were replaced since they were above the memory limit
  std::size_t takeovers = 0;  // supervisors that died and were replaced
  std::size_t failures_lost = 0;  // failures for which the report has no room: it has 1024
  std::size_t output_lost = 0;    // bytes that workers printed and that nobody read

  // How long the system took to fork the processes of the run. At most the elapsed time.
  seconds forking{};
  // The caller's own memory, for which every process needs page tables. Buffers are not in it.
  // shard looks at it only if forking took noticed_forking or longer; else this is 0.
  std::size_t forked_bytes = 0;

  static constexpr seconds noticed_forking{0.01};

  // Of a pool: how long its workers and the caller have looked for what comes next, before they
  // slept, since the pool's last report. The sum over all of them, to within 2 us each time: it is
  // processor time that others could have had. A worker looks for 50 us at most.
  seconds looking{};

  // What this system, most likely a sandbox, kept the run from doing, each with the call that the
  // system denies: "buffers left out of core dumps (madvise)". The results are right all the same.
  std::vector<std::string> without = {};
};

// The indices of a map, each in exactly one of three sets. In each set the ranges are ascending,
// disjoint and not adjacent. The same holds for the numbers of the chunks that are not completed.
struct index_sets {
  std::vector<range> completed = {};
  std::vector<range> failed = {};
  std::vector<range> not_tried = {};
  std::vector<range> missing_chunks = {};
};

// One chunk of a map that had options::record_chunks. Times are since the map began.
struct chunk_record {
  std::size_t chunk = 0;   // its number in the plan
  range indices = {};      // of the chunk; empty: an empty part of a chunk_list
  std::size_t stride = 1;  // of a strided space: every stride-th one of `indices`
  unsigned worker = 0;     // the last that ran it
  unsigned attempt = 1;    // which attempt at the chunk that was, from 1
  // Of that attempt alone. Where an index of the chunk failed, and all others were run again: of
  // what was run again, by the worker that has ended it.
  seconds start = {};
  seconds duration = {};
  // Why it is not complete: the kind of its last failure. Empty: all of its indices are.
  std::string_view cause = {};
  // The peak of the worker's own memory up to then; see worker_resources::peak_private_bytes.
  std::size_t peak_private_bytes = 0;
};

// What one worker did and used in one map. If a worker was replaced, that is the sum over it and
// all that came after it, and the peak of each of them.
struct worker_resources {
  unsigned worker = 0;     // its number, from 0
  unsigned processes = 0;  // or threads, that worked under this number, one after the other
  std::size_t chunks = 0;  // that it has completed or given up

  // Processor time in the program and in the operating system, and page faults that needed no disk.
  // shard always knows it of workers that were started for the map. Of threads, of the caller, and
  // of a pool's workers it is 0 without record_chunks. What is missing: of a worker that died with
  // its supervisor, or in a pool, at most the last 10 ms.
  seconds user_time{};
  seconds system_time{};
  std::size_t page_faults = 0;

  // The most memory that it had to itself: neither buffers, nor what it shares with the caller
  // since it has only read it. shard looks between chunks, and takes the peak within a chunk from
  // the system. Of inherited memory that a worker has overwritten, shard knows after 0.3 s. 0: not
  // known, as of threads, which have their memory in common, and of a pool's runs under 10 ms.
  std::size_t peak_private_bytes = 0;

  // Since the map began. 0 if the worker came to no chunk.
  seconds began{};  // when it was ready for its first chunk
  seconds ended{};  // when its last chunk had ended
  // From the beginning to the end of the map, each moment is one of four: before `began` a worker
  // starts, then it works on chunks, publishes what its reducers have, or waits: for other workers,
  // for a process that takes the place of a dead one, for whoever reads what it prints.
  seconds working{};
  seconds publishing{};
  seconds waiting{};

  // The part of the time, from 0 to 1, in which it worked, in equal parts of the map. Empty without
  // record_chunks.
  std::vector<float> busy = {};
};

// A worker that was replaced, after its death or since it took too much memory.
struct replacement {
  unsigned worker = 0;
  seconds at = {};  // since the map began
};

// Where the time and the memory of one map went.
struct run_resources {
  bool recorded = false;   // with options::record_chunks
  bool processes = false;  // in worker processes
  // Of all workers that could have come to a chunk, by their numbers.
  std::vector<worker_resources> workers = {};
  std::vector<replacement> replacements = {};  // the first 64

  // Of the sum of all workers' time, the parts in which they started, worked, published and waited.
  // Their sum is 1, if there is any worker.
  double starting = 0;
  double working = 0;
  double publishing = 0;
  double waiting = 0;

  // Of the chunks that are complete; known with record_chunks only.
  std::optional<chunk_record> slowest = {};
  seconds median_chunk{};

  // How long nobody took what workers printed, so that they had to wait.
  seconds output_stalled{};
  std::size_t memory_limit_bytes = 0;  // as the options say; 0: none
};

class report {
 public:
  report() = default;
  report(index_sets indices, std::vector<failure> failures, run_counts counts, seconds elapsed,
         std::string trouble = {}, run_resources used = {}, std::vector<chunk_record> chunks = {});

  // Every index is final, and so is every empty part of a chunk_list.
  bool complete() const noexcept { return missing_.empty() && sets_.missing_chunks.empty(); }

  // How many indices were mapped, or were to be.
  std::size_t indices() const noexcept;

  // completed(), failed() and not_tried() add up to all indices of the map. In each the ranges are
  // ascending, disjoint and not adjacent.

  // The final indices. Their outputs and their part in every reduction are exactly what a serial
  // loop gives. The outputs of all other indices are unspecified, and no reduction has anything of
  // these indices.
  std::span<const range> completed() const noexcept { return sets_.completed; }

  // The indices that were given up, since the kernel failed there too often.
  std::span<const range> failed() const noexcept { return sets_.failed; }

  // All other indices: the run ended before shard knew whether the kernel fails there.
  std::span<const range> not_tried() const noexcept { return sets_.not_tried; }

  // The indices that are not completed: failed() and not_tried() together. To map the rest later,
  // pass them to a chunk_list.
  std::span<const range> missing() const noexcept { return missing_; }

  // The numbers of the chunks that are not completed: the kernel failed at one of their indices, or
  // was not tried there. The chunk's other indices may be in completed(). Of a chunk_list these are
  // numbers of parts; an empty part is nowhere else. To map whole groups later, pass those parts to
  // a chunk_list, and their numbers as a value(): chunk_number() then counts anew.
  std::span<const range> missing_chunks() const noexcept { return sets_.missing_chunks; }

  // In the order of chunks and attempts. Failures outside of any chunk come last.
  std::span<const failure> failures() const noexcept { return failures_; }

  const run_counts& counts() const noexcept { return counts_; }
  seconds elapsed() const noexcept { return elapsed_; }

  // How to debug a failure: "SHARD_REPLAY=2:613-614". If the program runs again with this variable,
  // this map runs only the indices that failed here, in the calling process. "2:3-995/7" stands for
  // every seventh of these indices, "2:chunk5" for the empty part 5 of a chunk_list. Empty if there
  // is nothing to debug: for a failure outside of any chunk, for a failure that came from outside,
  // and for a map inside a kernel (debug the outer map).
  std::string replay(const failure& one) const;

  // Why the run ended early, if no single chunk is to blame; else empty.
  const std::string& trouble() const noexcept { return trouble_; }

  // Where time and memory went.
  const run_resources& resources() const noexcept { return used_; }

  // With options::record_chunks: the chunks that were run, complete or not, by their numbers. A
  // chunk is missing if nobody has begun it, or if its worker was killed while it wrote the record.
  std::span<const chunk_record> chunks() const noexcept;

  // What would make the map faster or safer, as far as its figures say: a sentence each, three at
  // most. Of a map that took less than 0.1 s, only what its start cost.
  std::vector<std::string> advice() const;

  // All of this but chunks() and advice() as one JSON object on one line. Its members have the
  // names of the functions and members here. A range is [first, last], a duration a number of
  // seconds. Bytes that are not UTF-8 become U+FFFD.
  std::string json() const;

  // The report as a page for a browser: one file, without scripts, that needs no network. title: of
  // the page.
  std::string html(std::string_view title = "A map of shard") const;

  // The following write a file. They throw shard::error if that fails; a file that was there is
  // replaced, or stays as it was.

  // chunks() and failures(), as text: a line of names, then a line for each attempt, by chunks:
  // chunk, first, last, worker, attempt, start, seconds, cause, peak_private_bytes. Fields are
  // apart by tabs. Of the attempts that failed there are those that failures() has.
  void write_chunks(const std::filesystem::path& to) const;
  // chunks(), failures() and replacements in time, for https://ui.perfetto.dev: a track for each
  // worker.
  void write_trace(const std::filesystem::path& to) const;

 private:
  index_sets sets_;
  std::vector<range> missing_;
  std::vector<failure> failures_;
  run_counts counts_;
  seconds elapsed_{};
  std::string trouble_;
  run_resources used_;
  std::shared_ptr<const std::vector<chunk_record>> chunks_;  // null: none
};

// The report as text. The first line has the counts; how many indices failed and how many were not
// tried, it says only if there are any. Then comes a paragraph for each of the first 20 failures
// that tell something new. Of a chunk that was searched for the indices that fail, these are the
// first attempt and each single index. A last line counts the other failures. A paragraph says what
// failed and why, the stack from the program's own code on (unless the paragraph before has the
// same), the end of the worker's stderr, and how to run the failure in a debugger. At the end stand
// what ended the run early, what the run went without, and advice(), a line each.
std::ostream& operator<<(std::ostream&, const report&);

// map throws this if an index is missing at the end. The outputs keep what was completed. Of a file
// that create() made nothing is left, unless its finish() is called.
// map and try_map also throw this if every index is completed and an output file can't get its
// final name. what() and code() say why. The output keeps its elements: call finish() again, or
// save() a copy elsewhere.
class map_error : public error {
 public:
  explicit map_error(report result);
  map_error(report result, const error& cause);

  const report& result() const noexcept { return result_; }

 private:
  report result_;
};

}  // namespace shard
