#include "progress_line.hpp"

#include <unistd.h>

#include <cstddef>
#include <cstdio>

#include <fmt/format.h>

namespace flights {

progress_line::progress_line(std::string_view title)
    : title_(title), terminal_(::isatty(STDERR_FILENO) == 1) {}

progress_line::~progress_line() {
  if (shown_) std::fputs("\r\033[K", stderr);
}

void progress_line::show(const shard::progress& now) {
  if (!terminal_ || now.total == 0) return;
  constexpr std::size_t cells = 30;
  const double share = static_cast<double>(now.done) / static_cast<double>(now.total);
  std::string bar;
  for (std::size_t cell = 0; cell < cells; ++cell)
    bar += static_cast<double>(cell) < share * cells ? "█" : "░";
  const std::string line = fmt::format("\r\033[K{:<16} {} {:3.0f}%  {:.0f} s left", title_, bar,
                                       100 * share, now.remaining.count());
  // Not fmt::print, which throws: a terminal that has gone away is no reason to end the run.
  std::fputs(line.c_str(), stderr);
  shown_ = true;
}

}  // namespace flights
