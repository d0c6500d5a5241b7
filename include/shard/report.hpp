// What a map did: which indices are final, and every failure as data.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <span>
#include <string>
#include <vector>

#include "shard/error.hpp"
#include "shard/options.hpp"
#include "shard/range.hpp"

namespace shard {

// One failed attempt at one chunk, or a death that blames no chunk.
struct failure {
  std::size_t chunk = 0;  // number of the chunk in the plan
  range indices = {};     // its indices; empty: the worker was not inside a kernel
  std::string kind = {};  // "exception", "signal", "exit", "killed", "timeout", "oom"
  std::string what = {};  // one line: the exception's type and text, the signal and address, …
  int signal = 0;         // that ended the worker; 0: none
  int exit_status = 0;    // that the worker ended with, for kind "exit"
  unsigned attempt = 0;   // counts from 1 within the chunk
  unsigned worker = 0;    // number of the worker, from 0; its replacement has the same

  // The type of the exception; what it nests follows its own text in `what`.
  std::string exception = {};

  // Where a signal met the worker: the innermost function first, the kernel last. Each is "function
  // at file:line" as far as the program was built with -g, else "function in program+0x1234". Empty
  // for other kinds, and for a signal that no handler gets to see.
  std::vector<std::string> stack = {};

  // The last lines that the worker had written to stderr, up to 2 KiB, as they were: any bytes.
  std::string stderr_tail = {};

  int pid = 0;                    // of the worker
  seconds elapsed = {};           // that the chunk had been running
  seconds user_time = {};         // that the worker had used, with all its chunks
  seconds system_time = {};       //
  std::size_t max_rss_bytes = 0;  // its memory at most, with what it had inherited

  // The kernel is not to blame: SIGKILL came from outside, or memory ran out while several workers
  // ran.
  bool from_outside = false;
};

// Counts of one run.
struct run_counts {
  std::size_t map = 0;            // number of the map in its process, from 1; 0: inside a kernel
  std::size_t chunks = 0;         // in the plan
  std::size_t grain = 0;          // indices in a chunk; 0: they differ
  unsigned workers = 0;           // that ran at a time
  std::size_t retries = 0;        // chunks run again after a failure that was theirs
  std::size_t deaths = 0;         // workers that ended before their work did
  std::size_t replacements = 0;   // workers that took more memory than the limit
  std::size_t takeovers = 0;      // supervisors that died and were replaced
  std::size_t failures_lost = 0;  // beyond what the report has room for
  std::size_t output_lost = 0;    // bytes that workers printed and nobody took
};

// Every index of a map, each in one of three sets.
struct index_sets {
  std::vector<range> completed = {};
  std::vector<range> failed = {};
  std::vector<range> not_tried = {};
};

class report {
 public:
  report() = default;
  report(index_sets indices, std::vector<failure> failures, run_counts counts,
                  seconds elapsed, std::string trouble = {});

  // Every index is final.
  bool complete() const noexcept { return missing_.empty(); }

  // How many indices were mapped, or were to be.
  std::size_t indices() const noexcept;

  // Each index of the map is in exactly one of the next three. In each the ranges are ascending,
  // disjoint and not adjacent.

  // The final indices. Their outputs and their part in every reduction are exactly what a serial
  // loop gives. Outputs of all other indices are unspecified. Reductions have nothing of them.
  std::span<const range> completed() const noexcept { return sets_.completed; }

  // The indices that were given up: the kernel failed there too often.
  std::span<const range> failed() const noexcept { return sets_.failed; }

  // The indices that are neither: the run ended before it was known whether the kernel fails there.
  std::span<const range> not_tried() const noexcept { return sets_.not_tried; }

  // failed() and not_tried() together, for a map that is to do the rest.
  std::span<const range> missing() const noexcept { return missing_; }

  // In order of chunk and attempt; the ones that blame no chunk come last.
  std::span<const failure> failures() const noexcept { return failures_; }

  const run_counts& counts() const noexcept { return counts_; }
  seconds elapsed() const noexcept { return elapsed_; }

  // The variable with which the program, run again, runs of this map nothing but what failed here,
  // in the calling process, for a debugger: "SHARD_REPLAY=2:613-614". Empty for a failure that
  // blames no chunk or came from outside, and for a map inside a kernel, which fails with its
  // chunk.
  std::string replay(const failure& one) const;

  // Why the run ended early, where no chunk is to blame; else empty.
  const std::string& trouble() const noexcept { return trouble_; }

  // All of this as one JSON object on one line, its members named as the functions and members
  // here; ranges are [first, last], durations seconds. Bytes that are not UTF-8 become U+FFFD.
  std::string json() const;

 private:
  index_sets sets_;
  std::vector<range> missing_;
  std::vector<failure> failures_;
  run_counts counts_;
  seconds elapsed_{};
  std::string trouble_;
};

// One line of counts (how many indices failed and how many were not tried, unless none), a
// paragraph for each of the first 20 failures that tell something new (of a chunk that was searched
// for what fails in it: the first attempt, and each single index), and a line that counts the
// others. A paragraph says what failed and why; then the stack from the program's own code on, if
// it is not the same as in the paragraph before; then the end of the worker's stderr; then how to
// run it in a debugger.
std::ostream& operator<<(std::ostream&, const report&);

// Thrown by map when an index is missing at the end. The outputs keep what was completed; of a
// file made by create(), nothing is left unless its finish() is called.
class map_error : public error {
 public:
  explicit map_error(report result);

  const report& result() const noexcept { return result_; }

 private:
  report result_;
};

}  // namespace shard
