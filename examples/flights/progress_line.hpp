// One line on stderr that is written over while a map goes on.
#pragma once

#include <string>
#include <string_view>

#include <shard/shard.hpp>

namespace flights {

// Silent where stderr is no terminal. Wiped when it ends.
class progress_line {
 public:
  explicit progress_line(std::string_view title);
  progress_line(const progress_line&) = delete;
  progress_line& operator=(const progress_line&) = delete;
  ~progress_line();

  void show(const shard::progress& now);

 private:
  std::string title_;
  bool terminal_ = false;
  bool shown_ = false;
};

}  // namespace flights
