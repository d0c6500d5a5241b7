#include "command/output.hpp"

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "shard/error.hpp"

namespace shard::command {

void output::flush() {
  const bool written = std::fwrite(text_.data(), 1, text_.size(), stdout) == text_.size() &&
                       std::fflush(stdout) == 0;
  text_.clear();
  if (written) return;
  if (errno == EPIPE) throw reader_gone{};
  const std::error_code why(errno, std::generic_category());
  throw error(why, "cannot write to standard output: found '" + why.message() +
                       "', expected room for more");
}

void complain(std::string_view why) {
  std::string line = "shard: ";
  for (const char c : why) {
    if (c >= ' ' && c <= '~') {
      line += c;
    } else if (c == '\n') {
      line += "\\n";
    } else {
      line += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  std::fprintf(stderr, "%s\n", line.c_str());
}

}  // namespace shard::command
