// Standard output, whose errors count.
#pragma once

#include <fmt/format.h>

#include <iterator>
#include <string_view>
#include <utility>

namespace shard::command {

// Thrown when the reader of our output has closed the pipe, as `head` does. This is no error: the
// program just ends.
struct reader_gone {};

// Collects what is printed and writes it block by block. Every member throws shard::error if
// writing fails, or reader_gone.
class output {
 public:
  void put(char one) {
    text_.push_back(one);
    flush_if_long();
  }
  void put(std::string_view text) {
    text_.append(text.data(), text.data() + text.size());
    flush_if_long();
  }
  template <class... T>
  void print(fmt::format_string<T...> format, T&&... values) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<T>(values)...);
    flush_if_long();
  }

  // Writes what is left. Call it at the end: the destructor writes nothing.
  void flush();

 private:
  void flush_if_long() {
    constexpr std::size_t block_bytes = std::size_t{1} << 16;
    if (text_.size() >= block_bytes) flush();
  }

  fmt::memory_buffer text_;
};

// Prints a line on standard error. Bytes that are not printable ASCII, which names of files may
// have, are escaped: \n, \xNN.
void complain(std::string_view why);

}  // namespace shard::command
