// What processes print: the standard streams of this one, written to without ever waiting, and
// pipes in their place in another.
#pragma once

#include <csignal>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "os/descriptor.hpp"

namespace shard::os {

enum class standard_stream { output = 1, errors = 2 };

// With the signals that writing can raise blocked, too.
sigset_t without_signals_of_writing(sigset_t mask) noexcept;

// A standard stream of this process, which it shares with others: none of its flags are changed.
// Requires: the signals of writing are blocked.
class output {
 public:
  explicit output(standard_stream which) noexcept;

  // Writes as much as is taken at once, which may be nothing; returns how much. Nullopt: nothing
  // can be written, for another reason than that it is full just now.
  std::optional<std::size_t> write_now(std::string_view text) const noexcept;

  // For wait_ready(): whether it may take something.
  int polled() const noexcept { return own_ ? own_.get() : number_; }

  bool terminal() const noexcept { return kind_ == kind::terminal; }

  // Both lead to the same file, pipe, socket or terminal.
  bool same_as(const output& other) const noexcept;

 private:
  // Other: a file, which always takes everything, if slowly; or a device.
  enum class kind { closed, other, pipe, socket, terminal };

  int number_;
  kind kind_ = kind::closed;
  unsigned long device_ = 0;
  unsigned long inode_ = 0;
  descriptor own_;  // opened anew, and so with flags of its own; none where that can't be
};

// How wide the terminal is that a standard stream leads to, in columns; 80, if it does not say so.
// Nothing: it leads to no terminal.
std::optional<std::size_t> columns_of_terminal(standard_stream which) noexcept;

// Writes to stderr as much as is taken at once, which may be nothing. No signal of writing reaches
// the program, and errno stays as it is.
void print_error(std::string_view text) noexcept;

// From now on reading it takes what is there. Of a pipe, the writing end is not changed.
// False: that can't be.
[[nodiscard]] bool never_wait(const descriptor& pipe) noexcept;

// Reads what is there, into at most all of `room`. 0: nothing is left and nobody can write any
// more. Nullopt: nothing is there now.
std::optional<std::size_t> read_now(const descriptor& pipe, std::span<char> room) noexcept;

// What was written to a pipe and not yet read, or more than that, but never more than 0 where all
// is read. Nullopt: that can't be known.
std::optional<std::size_t> unread_bytes(const descriptor& pipe) noexcept;

// The end of a pipe that this process writes to. Code that knows nothing of it may close it, and
// open something else under its number.
class writing_end {
 public:
  writing_end() noexcept = default;
  explicit writing_end(const descriptor& pipe) noexcept;

  // The same; 0 where this end is closed.
  std::optional<std::size_t> unread_bytes() const noexcept;

 private:
  int number_ = -1;
  unsigned long device_ = 0;
  unsigned long inode_ = 0;  // 0: not known
};

// In the place of a standard stream. What is printed to it is then passed on at each line's end, as
// to a terminal. False: what is printed goes where it went before.
[[nodiscard]] bool become(standard_stream which, const descriptor& pipe) noexcept;

// Writes what was printed to stdout and is not written yet, such as a line that has not ended.
// Costs next to nothing if there is nothing.
void flush_unfinished_output() noexcept;

// Writes all that was printed to std::cout, std::clog and stdout.
void flush_standard_output();

bool is_terminal(int descriptor) noexcept;

}  // namespace shard::os
