// Passes on what workers print. The standard streams of a worker are pipes. The supervisor reads
// them in its loop and copies what it finds to its own streams. It also keeps the last lines of
// each worker's stderr for the report.
//
// The relay adds nothing and drops nothing: what one worker wrote to one stream comes out byte for
// byte, in the worker's order. The relay only chooses when a piece comes out, so that lines of
// several workers don't mix:
//  - A line comes out as soon as it has ended, by "\n" or "\r".
//  - A line that has not ended within 0.2 s comes out as far as it has come. The other workers then
//    wait for its end, for at most 1 s. Then they go on, in the middle of that line.
//  - A worker that has written a zero byte writes records, not lines. Its bytes come out within
//    0.2 s, in the pieces in which the worker wrote them, and nobody waits for an end.
//
// Nothing here waits. While the supervisor's stream takes nothing, the relay keeps up to 1 MiB for
// it, and then workers that print wait. If the stream takes nothing for 10 s, and is no terminal,
// the relay gives up and counts what it holds for it: no run hangs because nobody reads. The 0.2 s
// and 1 s do not run while the stream is full.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "family/roster.hpp"
#include "os/descriptor.hpp"
#include "os/output.hpp"
#include "os/poll_set.hpp"

namespace shard::family {

// The streams of one worker, as it gets them. Without them it prints to the inherited ones.
struct worker_streams {
  os::descriptor output;
  os::descriptor errors;
};

class relay {
 public:
  static constexpr std::size_t read_at_once = 64 * 1024;  // all that a pipe can hold

  struct patience {
    std::chrono::milliseconds with_readers{10'000};  // that take nothing
    std::chrono::milliseconds with_a_line{200};      // for its end, before its beginning comes out
    std::chrono::milliseconds with_an_open_line{1000};  // that others wait for
  };

  // prefix: "[worker K] " comes before each line of a worker, and before the rest of a line where
  // another worker's line has come between.
  relay(const roster& of, bool prefix, const patience& with);
  relay(const roster& of, bool prefix) : relay(of, prefix, patience{}) {}
  relay(const relay&) = delete;
  relay& operator=(const relay&) = delete;

  // Makes the streams of the slot's next worker; none if there are too few descriptors.
  worker_streams open(unsigned slot) noexcept;

  // The slot's worker is dead: takes what it has printed. Nobody waits for the end of its last
  // line.
  void close(unsigned slot);

  // In a process that was just forked: it doesn't read what others print.
  void forget() noexcept;

  // Adds what is to be waited for, and for how long. serve() is called after the wait.
  void watch(os::poll_set& all);
  void serve(const os::poll_set& found);

  // By when serve() wants to be called even if nothing is ready; nullopt: any time.
  std::optional<std::chrono::milliseconds> due() const;

  // Something that was printed has not been passed on.
  bool holds_any() const;

 private:
  using clock = std::chrono::steady_clock;

  // What one worker prints to one stream.
  struct source {
    unsigned slot = 0;
    bool errors = false;
    os::descriptor pipe = {};
    os::poll_set::token readable = {};
    std::string held = {};  // read, and not passed on: a line that is not finished, or must wait
    clock::time_point since = {};    // when the first byte of `held` was read
    clock::time_point read_at = {};  // the last one
    bool writes_records = false;     // it has written a zero byte
    bool inside_line = false;        // of the last line, the beginning was passed on
    bool after_return = false;       // a "\r" was passed on last
    bool overdue = false;            // nobody waits for the end of that line any more
  };

  // Where it is passed on to.
  struct sink {
    explicit sink(os::standard_stream which) : to(which) {}

    os::output to;
    os::poll_set::token writable = {};
    std::string backlog = {};
    std::size_t written = 0;            // of the backlog
    source* holder = nullptr;           // whose open line the others wait for
    clock::time_point held_since = {};  // since that line was opened
    bool at_line_start = true;          // the last byte put here ended a line
    clock::time_point took_last = {};
    std::optional<clock::time_point> full_since = {};  // and so workers that print wait
    bool given_up = false;                             // since it took nothing for so long

    std::size_t waiting() const noexcept { return backlog.size() - written; }
  };

  sink& sink_of(const source& from) { return sinks_[from.errors ? errors_sink_ : 0]; }
  const sink& sink_of(const source& from) const { return sinks_[from.errors ? errors_sink_ : 0]; }
  static bool full(const sink& to);
  bool may_read(const source& from) const;
  static void begin(source& from, os::descriptor pipe);
  std::size_t read(source& from);
  void stop_the_clocks(sink& to);
  void count_stall(sink& to) const;
  std::size_t due_bytes(const source& from) const;
  void pass_on(source& from);
  void pass_on_all(const sink& to);
  bool holds_up(const sink& to) const;
  void release(sink& to);
  void emit(source& from, std::string_view text);
  void put(sink& to, std::string_view text);
  void push(sink& to);
  void lose(sink& to);

  const roster& roster_;
  bool prefix_;
  patience patience_;
  std::vector<source> sources_;  // two for each slot
  std::array<sink, 2> sinks_{sink(os::standard_stream::output), sink(os::standard_stream::errors)};
  std::size_t errors_sink_ = 1;  // 0: both streams are the same file
  std::string buffer_;
};

}  // namespace shard::family
