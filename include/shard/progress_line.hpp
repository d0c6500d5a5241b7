// One line on stderr that says how far a map is:
//
//   shard::map({.on_progress = shard::progress_line("delays")}, out, kernel);
//
//   delays: 41.2 % of 5201, 812/s, 4 s left, 2 failures
//
// On a terminal the line is drawn anew each time. Where stderr is no terminal, as in a log, nothing
// is written, unless log_lines says otherwise. Then there is a line after ten seconds, after each
// further ten, and one at the end of a map that has had such a line.
#pragma once

#include <memory>
#include <string>

#include "shard/options.hpp"

namespace shard {

// Where stderr is no terminal.
enum class log_lines { none, every_ten_seconds };

// A callable for options::on_progress. Copies are the same line: use one for one map at a time, in
// one thread. What stderr does not take at once is left out, so that no map waits for it.
class progress_line {
 public:
  // name: what the line begins with, and a colon. Empty: neither.
  explicit progress_line(std::string name = {}, log_lines in_a_log = log_lines::none);

  // Rate and remaining time are those of the last ten seconds.
  void operator()(const progress& now) const;

 private:
  class line;
  std::shared_ptr<line> line_;  // the last copy ends it by "\n", if all is not done before
};

}  // namespace shard
