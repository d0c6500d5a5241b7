// The line that says how far a map is: on a terminal, in a log, and where nobody wants it.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "process/leftovers.hpp"
#include "shard/shard.hpp"

namespace {

using shard::log_lines;
using shard::progress;
using shard::progress_line;
using shard::seconds;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

// Puts something else in the place of stderr for a while. No assertion must fail meanwhile.
class stderr_to {
 public:
  explicit stderr_to(int descriptor) : before_(::dup(STDERR_FILENO)) {
    ::dup2(descriptor, STDERR_FILENO);
  }
  stderr_to(const stderr_to&) = delete;
  stderr_to& operator=(const stderr_to&) = delete;
  ~stderr_to() {
    ::dup2(before_, STDERR_FILENO);
    ::close(before_);
  }

 private:
  int before_;
};

// What is there to be read, until nobody can write any more, or nothing comes.
std::string all_from(int descriptor) {
  std::string text;
  std::array<char, 4096> some;
  pollfd any{descriptor, POLLIN, 0};
  while (::poll(&any, 1, 0) == 1 && (any.revents & POLLIN) != 0) {
    const ssize_t length = ::read(descriptor, some.data(), some.size());
    if (length <= 0) break;
    text.append(some.data(), static_cast<std::size_t>(length));
  }
  return text;
}

// What `steps` write to stderr, which is a terminal of so many columns.
template <class Steps>
std::string on_terminal(Steps steps, unsigned short columns = 80) {
  int ours = -1;
  int theirs = -1;
  winsize size{.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
  EXPECT_EQ(::openpty(&ours, &theirs, nullptr, nullptr, &size), 0);
  {
    const stderr_to there(theirs);
    steps();
  }
  const std::string text = all_from(ours);
  ::close(ours);
  ::close(theirs);
  return text;
}

template <class Steps>
std::string in_a_log(Steps steps) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  {
    const stderr_to there(ends[1]);
    steps();
  }
  ::close(ends[1]);
  const std::string text = all_from(ends[0]);
  ::close(ends[0]);
  return text;
}

// As a terminal shows it at the end: a line after each "\n", of which "\r" goes to the beginning.
std::vector<std::string> screen_of(const std::string& text) {
  std::vector<std::string> lines{""};
  std::size_t column = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\n') {
      lines.emplace_back();
      column = 0;
    } else if (text[at] == '\r') {
      column = 0;
    } else if (text.compare(at, 3, "\033[K") == 0) {
      lines.back().resize(column);
      at += 2;
    } else {
      lines.back().resize(std::max(lines.back().size(), column + 1), ' ');
      lines.back()[column++] = text[at];
    }
  }
  return lines;
}

progress at(double elapsed, std::size_t done, std::size_t total = 1000) {
  return {.done = done, .total = total, .elapsed = seconds(elapsed)};
}

// A line for itself, called as a map would at each of these moments.
void show(const std::vector<progress>& all, log_lines in_log = log_lines::none,
          const std::string& name = "delays") {
  const progress_line line(name, in_log);
  for (const progress& one : all) line(one);
}

TEST(ProgressLine, IsDrawnAnewOnATerminal) {
  const std::string text = on_terminal([] { show({at(1, 100), at(2, 200), at(10, 1000)}); });
  const auto lines = screen_of(text);
  ASSERT_EQ(lines.size(), 2u) << "one, and its end";
  EXPECT_EQ(lines[0], "delays: 100.0 % of 1000, 100/s, 10 s");
  EXPECT_EQ(lines[1], "");
}

TEST(ProgressLine, TellsThePaceOfLate) {
  // 10 a second for 60 s, then one a second.
  std::vector<progress> all;
  for (int k = 1; k <= 60; ++k) all.push_back(at(k, std::size_t(10 * k)));
  for (int k = 1; k <= 20; ++k) all.push_back(at(60 + k, std::size_t(600 + k)));
  const auto lines = screen_of(on_terminal([&] { show(all); }));
  EXPECT_THAT(lines[0], AllOf(HasSubstr("62.0 % of 1000"), HasSubstr(", 1.0/s"),
                              HasSubstr("6 min 20 s left")));
}

TEST(ProgressLine, TellsFailures) {
  progress one = at(1, 100);
  one.failures = 1;
  EXPECT_THAT(on_terminal([&] { show({one}); }), HasSubstr(", 1 failure\033"));
  one.failures = 7;
  EXPECT_THAT(on_terminal([&] { show({one}); }), HasSubstr(", 7 failures"));
}

TEST(ProgressLine, EndsByALineFeedAlsoWhereTheMapIsStopped) {
  for (const std::size_t last : {400u, 1000u}) {
    EXPECT_THAT(on_terminal([&] { show({at(1, 100), at(2, last)}); }), EndsWith("\n"));
  }
  EXPECT_THAT(on_terminal([] { show({}); }), IsEmpty());
}

TEST(ProgressLine, SaysOnceThatAllIsDone) {
  const auto lines = screen_of(on_terminal([] { show({at(1, 1000), at(1, 1000), at(2, 1000)}); }));
  EXPECT_EQ(lines.size(), 2u);
}

TEST(ProgressLine, IsALineForEachMap) {
  const auto lines = screen_of(on_terminal([] {
    show({at(5, 500), at(9, 1000), at(1, 10), at(2, 500), at(0.5, 1)});
  }));
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_THAT(lines[0], HasSubstr("100.0 %"));
  EXPECT_THAT(lines[1], HasSubstr("50.0 %"));
  EXPECT_THAT(lines[2], HasSubstr("0.1 %"));
}

TEST(ProgressLine, StaysWithinANarrowTerminal) {
  const auto lines = screen_of(on_terminal([] { show({at(1, 100)}); }, 20));
  EXPECT_LT(lines[0].size(), 20u);
  EXPECT_THAT(lines[0], EndsWith("..."));
}

// A name is no command to a terminal.
TEST(ProgressLine, ShowsNoControlsOfItsName) {
  const std::string text = on_terminal([] { show({at(1, 100)}, log_lines::none, "a\033[2J\nb"); });
  EXPECT_THAT(text, HasSubstr("a.[2J.b: "));
}

TEST(ProgressLine, IsQuietInALog) {
  EXPECT_THAT(in_a_log([] { show({at(1, 100), at(100, 500), at(200, 1000)}); }), IsEmpty());
}

TEST(ProgressLine, IsALineInTenSecondsInALogIfAskedFor) {
  std::vector<progress> all;
  for (int k = 1; k <= 350; ++k) all.push_back(at(0.1 * k, std::size_t(2 * k), 700));
  const std::string text = in_a_log([&] { show(all, log_lines::every_ten_seconds); });
  EXPECT_EQ(std::ranges::count(text, '\n'), 4) << text;  // at 10, 20 and 30 s, and at the end
  EXPECT_THAT(text, AllOf(Not(HasSubstr("\r")), Not(HasSubstr("\033")), EndsWith("\n")));
  EXPECT_THAT(text, HasSubstr("100.0 % of 700"));
  // A map that is over before leaves nothing.
  EXPECT_THAT(in_a_log([] {
                show({at(1, 100), at(9, 1000)}, log_lines::every_ten_seconds);
              }),
              IsEmpty());
}

// Nobody reads: the map must not wait for that.
TEST(ProgressLine, WaitsForNobody) {
  std::vector<progress> all;
  for (int k = 1; k <= 20'000; ++k) all.push_back(at(10.0 * k, std::size_t(k), 20'000));
  std::string text = in_a_log([&] { show(all, log_lines::every_ten_seconds); });
  EXPECT_LE(text.size(), std::size_t{1} << 20);
}

using ProgressLineOfAMap = shard_test::leaves_nothing;

TEST_F(ProgressLineOfAMap, ShowsAllOfIt) {
  shard::buffer<std::int64_t> out(500);
  const std::string text = on_terminal([&] {
    shard::map({.workers = 2, .on_progress = progress_line("squares")}, out,
               [](std::size_t i) { return static_cast<std::int64_t>(i * i); });
  });
  EXPECT_THAT(screen_of(text)[0], StartsWith("squares: 100.0 % of 500"));
  EXPECT_THAT(text, EndsWith("\n"));
}

}  // namespace
