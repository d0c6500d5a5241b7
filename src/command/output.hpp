// Standard output, whose errors count.
#pragma once

#include <fmt/format.h>

#include <iterator>
#include <string_view>
#include <utility>

namespace shard::command {

// Who reads our output has closed it, as `head` does: no error, just the end.
struct reader_gone {};

// Collects what is printed and writes it block by block. Every member throws shard::error where it
// can't be written, or reader_gone.
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

  // To be called at the end: what is left is otherwise lost, not half written.
  void flush();

 private:
  void flush_if_long() {
    constexpr std::size_t block_bytes = std::size_t{1} << 16;
    if (text_.size() >= block_bytes) flush();
  }

  fmt::memory_buffer text_;
};

// A line on standard error. Bytes that are not printable ASCII, as names of files may have them,
// are escaped: \n, \xNN.
void complain(std::string_view why);

}  // namespace shard::command
