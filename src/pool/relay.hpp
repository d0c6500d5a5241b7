// Passes on what workers print. The standard streams of a worker are pipes, which the supervisor
// reads in its loop and copies, whole line by whole line, to its own: so lines of several workers
// never mix, and the last ones of each worker's stderr are at hand when it fails.
//
// Nothing here waits. While a stream takes nothing, up to a limit is kept for it, and then workers
// that print wait; if it takes nothing for 10 s, and is no terminal, what is there for it is given
// up and counted, so that no run hangs since nobody reads.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "board/board.hpp"
#include "os/descriptor.hpp"
#include "os/output.hpp"
#include "os/process.hpp"

namespace shard::pool {

// The streams of one worker, as it gets them. Without them it prints to the inherited ones.
struct worker_streams {
  os::descriptor output;
  os::descriptor errors;
};

class relay {
 public:
  static constexpr std::chrono::milliseconds usual_patience{10'000};

  // prefix: each line begins with "[worker K] ".
  relay(const board::board& on, bool prefix, std::chrono::milliseconds patience = usual_patience);
  relay(const relay&) = delete;
  relay& operator=(const relay&) = delete;

  // Makes the streams of the slot's next worker; none if there are too few descriptors.
  worker_streams open(unsigned slot) noexcept;

  // The slot's worker is dead: takes what it has printed, its last line whether finished or not.
  void close(unsigned slot);

  // In a process that was just forked: it doesn't read what others print.
  void forget() noexcept;

  // Adds what is to be waited for. After the wait, `found` is that part.
  void watch(std::vector<os::watched>& all) const;
  void serve(std::span<const os::watched> found);

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
    std::string held = {};     // read, and not passed on: a line that is not finished, or must wait
    bool inside_line = false;  // the beginning of the line was passed on
  };

  // Where it is passed on to.
  struct sink {
    explicit sink(os::standard_stream which) : to(which) {}

    os::output to;
    std::string backlog = {};
    std::size_t written = 0;         // of the backlog
    source* holder = nullptr;        // whose line it is in the middle of
    clock::time_point went_on = {};  // that line
    clock::time_point took_last = {};
    bool given_up = false;  // since it took nothing for so long

    std::size_t waiting() const noexcept { return backlog.size() - written; }
  };

  sink& sink_of(const source& from) { return sinks_[from.errors ? errors_sink_ : 0]; }
  const sink& sink_of(const source& from) const { return sinks_[from.errors ? errors_sink_ : 0]; }
  bool may_read(const source& from) const;
  std::size_t read(source& from);
  static void end(source& from);
  void pass_on(source& from);
  void pass_on_others(const sink& to);
  bool holds_up(const sink& to) const;
  void end_line(sink& to);
  void emit(source& from, std::string_view text);
  void put(sink& to, std::string_view text);
  void push(sink& to);
  void lose(sink& to);

  const board::board& board_;
  bool prefix_;
  std::chrono::milliseconds patience_;
  std::vector<source> sources_;  // two for each slot
  std::array<sink, 2> sinks_{sink(os::standard_stream::output), sink(os::standard_stream::errors)};
  std::size_t errors_sink_ = 1;  // 0: both streams are the same file
  std::string buffer_;
};

}  // namespace shard::pool
