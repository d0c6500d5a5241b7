// What workers print: passed on byte for byte, in whole lines where that is possible, soon, and
// without a run that waits for ever where nobody takes it.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "family/relay.hpp"
#include "family/roster.hpp"
#include "os/anonymous.hpp"
#include "os/poll_set.hpp"
#include "os/process.hpp"
#include "process/leftovers.hpp"
#include "process/printed.hpp"
#include "shard/shard.hpp"

namespace {

using shard_test::bystander;
using shard_test::eventually;
using shard_test::holds_in_a_child;
using shard_test::printed;
using shard_test::tally;
using testing::IsEmpty;
using testing::SizeIs;

using Output = shard_test::leaves_nothing;
using lines = std::multiset<std::string>;

// A line that says what it should be: its index, and as many letters as follow from that.
std::string line_of(std::size_t i, std::size_t longest) {
  std::minstd_rand random(static_cast<unsigned>(i + 1));
  const std::size_t length = random() % longest;
  return std::to_string(i) + ":" + std::string(length, static_cast<char>('a' + i % 26));
}

// Lines stay whole if each ends within a second. Whether it does is for the machine to say: the
// test looks how long the slowest one took.
class long_lines {
 public:
  static constexpr int limit_ms = 800;

  // Printed in pieces, so that a line that could be torn would be.
  void print(FILE* to, const std::string& line) const {
    const auto begin = std::chrono::steady_clock::now();
    print_in_pieces(to, line);
    fflush(to);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
    int slowest = slowest_ms_[0];
    while (slowest < took.count() &&
           !slowest_ms_[0].compare_exchange_weak(slowest, static_cast<int>(took.count()) + 1)) {
    }
  }

  // If not, a line may be torn; its bytes are there all the same.
  bool ended_in_time() const { return slowest_ms_[0] < limit_ms; }

 private:
  static void print_in_pieces(FILE* to, const std::string& line);

  tally slowest_ms_;
};

void long_lines::print_in_pieces(FILE* to, const std::string& line) {
  for (std::size_t at = 0; at < line.size(); at += 1000) {
    fwrite(line.data() + at, 1, std::min<std::size_t>(1000, line.size() - at), to);
    fflush(to);
  }
  putc('\n', to);
}

lines all_lines(std::size_t count, std::size_t longest) {
  lines expected;
  for (std::size_t i = 0; i < count; ++i) expected.insert(line_of(i, longest));
  return expected;
}

// How often each byte is there.
std::map<char, std::size_t> bytes_in(const lines& all) {
  std::map<char, std::size_t> count;
  for (const std::string& line : all) {
    for (const char byte : line) ++count[byte];
  }
  return count;
}

TEST_F(Output, OfManyWorkersIsWholeLines) {
  for (const std::size_t longest : {std::size_t{20}, std::size_t{5'000}, std::size_t{300'000}}) {
    SCOPED_TRACE(longest);
    const std::size_t count = longest > 100'000 ? 60 : 600;
    printed output(STDOUT_FILENO);
    printed errors(STDERR_FILENO);
    const long_lines printer;
    shard::for_each({.workers = 8, .grain = 1}, count, [&](std::size_t i) {
      printer.print(stdout, line_of(i, longest));
      printer.print(stderr, line_of(i, longest));
    });
    const lines expected = all_lines(count, longest);
    for (printed* const each : {&output, &errors}) {
      const lines found = each->lines();
      EXPECT_EQ(bytes_in(found), bytes_in(expected));
      if (printer.ended_in_time()) {
        EXPECT_EQ(found, expected);
      }
    }
  }
}

TEST_F(Output, ToOneFileByBothStreamsIsWholeLines) {
  constexpr std::size_t longest = 200'000;
  printed output(STDOUT_FILENO);
  printed errors(STDERR_FILENO);
  errors.lead_to(STDOUT_FILENO);
  const long_lines printer;
  shard::for_each({.workers = 4, .grain = 1}, 40, [&](std::size_t i) {
    printer.print(i % 2 == 0 ? stdout : stderr, line_of(i, longest));
  });
  errors.restore();
  const lines found = output.lines();
  EXPECT_EQ(bytes_in(found), bytes_in(all_lines(40, longest)));
  if (printer.ended_in_time()) {
    EXPECT_EQ(found, all_lines(40, longest));
  }
}

TEST_F(Output, NamesItsWorkerIfToldTo) {
  constexpr std::size_t longest = 200'000;
  printed output(STDOUT_FILENO);
  const long_lines printer;
  shard::for_each({.workers = 3, .grain = 1, .prefix_output = true}, 60, [&](std::size_t i) {
    printer.print(stdout, line_of(i, longest));
    if (i % 10 == 0) puts("");
  });
  if (!printer.ended_in_time()) GTEST_SKIP() << "a line took longer than others wait for it";
  lines without;
  std::size_t empty = 0;
  for (const std::string& line : output.lines()) {
    ASSERT_TRUE(line.starts_with("[worker ") && line.substr(9, 2) == "] ") << line.substr(0, 100);
    ASSERT_LT(line[8] - '0', 3);
    line.size() == 11 ? void(++empty) : void(without.insert(line.substr(11)));
  }
  EXPECT_EQ(without, all_lines(60, longest));
  EXPECT_EQ(empty, 6u);
}

TEST_F(Output, HasNoLineEndThatNoWorkerWrote) {
  printed output(STDOUT_FILENO);
  const tally tries;
  shard::for_each({.workers = 1, .grain = 1}, 3, [&](std::size_t i) {
    printf("index %zu", i);
    if (i != 1 || tries[0]++ != 0) return;
    fflush(stdout);
    std::abort();
  });
  EXPECT_EQ(output.text(), "index 0index 1index 1index 2");
}

TEST_F(Output, KeepsEveryByte) {
  std::string bytes;
  for (int k = 0; k < 256; ++k) bytes += static_cast<char>(k);
  bytes += "\n";
  printed output(STDOUT_FILENO);
  shard::for_each({.workers = 1}, 100,
                  [&](std::size_t) { fwrite(bytes.data(), 1, bytes.size(), stdout); });
  std::string expected;
  for (int k = 0; k < 100; ++k) expected += bytes;
  EXPECT_EQ(output.text(), expected);
}

TEST_F(Output, OfRecordsIsTheirBytesAlone) {
  constexpr std::size_t count = 400;
  using record = std::array<char, 8>;
  const auto record_of = [](std::size_t i) {  // with line ends among its bytes
    return record{0, '\r', '\n', '\xff', static_cast<char>(i), static_cast<char>(i / 256), 7, 10};
  };
  for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) {
    printed output(stream);
    shard::for_each({.workers = 4, .grain = 1}, count, [&](std::size_t i) {
      const record one = record_of(i);
      EXPECT_EQ(write(stream, one.data(), one.size()), 8);
    });
    const std::string all = output.text();
    ASSERT_EQ(all.size(), 8 * count);
    std::multiset<std::string> found;
    std::multiset<std::string> expected;
    for (std::size_t i = 0; i < count; ++i) {
      const record one = record_of(i);
      expected.emplace(one.data(), one.size());
      found.insert(all.substr(8 * i, 8));
    }
    EXPECT_EQ(found, expected);
  }
}

TEST_F(Output, OfManyMegabytesIsAllThere) {
  constexpr std::size_t each = shard_test::sanitized ? 20'000 : 100'000;  // of 1000 bytes
  const std::string line(999, 'x');
  printed output(STDOUT_FILENO);
  shard::for_each({.workers = 2, .grain = 1000}, each, [&](std::size_t) { puts(line.c_str()); });
  EXPECT_EQ(output.text().size(), each * 1000);
}

TEST_F(Output, KeepsItsOrderWithinAWorker) {
  printed output(STDOUT_FILENO);
  shard::for_each({.workers = 4, .grain = 10, .prefix_output = true}, 2000,
                  [](std::size_t i) { std::cout << i << std::endl; });
  std::istringstream all(output.text());
  std::map<std::string, std::vector<long>> by_worker;
  for (std::string line; std::getline(all, line);) {
    by_worker[line.substr(0, 11)].push_back(std::stol(line.substr(11)));
  }
  std::size_t count = 0;
  for (const auto& [worker, printed_there] : by_worker) {
    count += printed_there.size();
    EXPECT_TRUE(std::ranges::is_sorted(printed_there)) << worker;
  }
  EXPECT_EQ(count, 2000u);
}

// A pipe whose read end is ours and whose write end becomes a standard stream.
struct watched_stream {
  std::array<int, 2> ends{};
  printed stream;

  explicit watched_stream(int number) : stream(number) {
    EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
    stream.lead_to(ends[1]);
    close(ends[1]);
  }
  watched_stream(const watched_stream&) = delete;
  watched_stream& operator=(const watched_stream&) = delete;
  ~watched_stream() { close(ends[0]); }

  // All that is in it, once nobody writes any more.
  std::string rest() {
    stream.restore();
    std::string all;
    std::array<char, 4096> some{};
    for (ssize_t n = 0; (n = read(ends[0], some.data(), some.size())) > 0;) {
      all.append(some.data(), static_cast<std::size_t>(n));
    }
    return all;
  }
};

TEST_F(Output, ArrivesWhileTheKernelStillRuns) {
  const tally arrived;
  watched_stream output(STDOUT_FILENO);
  bystander reader([&] {
    close(STDOUT_FILENO);  // so that it ends with the run, if nothing arrives
    std::array<char, 64> line{};
    const ssize_t found = read(output.ends[0], line.data(), line.size());
    ++arrived[0];
    return std::string_view(line.data(), static_cast<std::size_t>(found)) == "half way\n";
  });
  shard::counter heard;
  shard::map({.workers = 1}, 1, shard::reduce(heard), [&](std::size_t, auto& count) {
    printf("half way\n");  // to a terminal, it would be seen now
    if (eventually([&] { return arrived[0] == 1; })) ++count;
  });
  EXPECT_EQ(heard.value(), 1);
  output.stream.restore();
  EXPECT_TRUE(reader.succeeded());
}

// Dots, and lines that overwrite each other: none of them ends as a line does.
TEST_F(Output, ArrivesWithoutALineEnd) {
  for (const char* const text : {".", "\r1/10", "50%\r"}) {
    for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) {
      const tally arrived;
      watched_stream output(stream);
      bystander reader([&] {
        close(stream);
        std::string all;
        while (all != text) {
          std::array<char, 64> some{};
          const ssize_t found = read(output.ends[0], some.data(), some.size());
          if (found <= 0) return false;
          all.append(some.data(), static_cast<std::size_t>(found));
        }
        ++arrived[0];
        return true;
      });
      shard::counter heard;
      shard::for_each({.workers = 1, .grain = 1}, 2, shard::reduce(heard),
                      [&](std::size_t i, auto& count) {
                        if (i == 0) fputs(text, stream == STDOUT_FILENO ? stdout : stderr);
                        if (i == 1 && eventually([&] { return arrived[0] == 1; })) ++count;
                      });
      EXPECT_EQ(heard.value(), 1) << text;
      output.stream.restore();
      EXPECT_TRUE(reader.succeeded());
    }
  }
}

TEST_F(Output, ToAStreamThatIsClosedIsCountedAsLost) {
  EXPECT_TRUE(holds_in_a_child([] {
    close(STDOUT_FILENO);
    const shard::report run =
        shard::for_each({.workers = 2, .grain = 1}, 10, [](std::size_t) { puts("123456789"); });
    return run.complete() && run.failures().empty() && run.counts().output_lost == 100;
  }));
}

TEST_F(Output, ToAPipeWhoseReaderHasGoneIsCountedAsLost) {
  EXPECT_TRUE(holds_in_a_child([] {
    std::array<int, 2> ends{};
    if (pipe(ends.data()) != 0) return false;
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    const shard::report run =
        shard::for_each({.workers = 2, .grain = 1}, 10, [](std::size_t) { puts("123456789"); });
    return run.complete() && run.failures().empty() && run.counts().takeovers == 0 &&
           run.counts().output_lost == 100;
  }));
}

TEST_F(Output, ToAFullDeviceIsCountedAsLost) {
  EXPECT_TRUE(holds_in_a_child([] {
    const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    dup2(full, STDOUT_FILENO);
    const shard::report run =
        shard::for_each({.workers = 2, .grain = 1}, 10, [](std::size_t) { puts("123456789"); });
    return run.complete() && run.failures().empty() && run.counts().output_lost == 100;
  }));
}

TEST_F(Output, ToAFileThatMayNotGrowIsCountedAsLost) {
  const shard_test::folder here;
  EXPECT_TRUE(holds_in_a_child([&] {
    const int file = open((here / "log").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    dup2(file, STDOUT_FILENO);
    const rlimit small{50, 50};
    setrlimit(RLIMIT_FSIZE, &small);
    const shard::report run =
        shard::for_each({.workers = 2, .grain = 1}, 10, [](std::size_t) { puts("123456789"); });
    return run.complete() && run.failures().empty() && run.counts().takeovers == 0 &&
           run.counts().output_lost == 50;
  }));
}

TEST_F(Output, ToASocketArrives) {
  std::array<int, 2> ends{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  {
    printed output(STDOUT_FILENO);
    output.lead_to(ends[1]);
    close(ends[1]);
    shard::for_each({.workers = 2}, 1, [](std::size_t) { puts("hello"); });
  }
  std::array<char, 64> found{};
  const ssize_t n = read(ends[0], found.data(), found.size());
  close(ends[0]);
  EXPECT_EQ(std::string_view(found.data(), static_cast<std::size_t>(n)), "hello\n");
}

// Much more than the pipe takes, and nobody reads before the run is over: it waits its 10 s, goes
// on, and says what is missing.
TEST_F(Output, ThatNobodyReadsDoesNotHoldTheRunForEver) {
  constexpr std::size_t count = 3000;
  watched_stream output(STDOUT_FILENO);
  const shard::report run = shard::for_each(
      {.workers = 2, .grain = 1}, count, [](std::size_t) { puts(std::string(999, 'x').c_str()); });
  EXPECT_TRUE(run.complete());
  EXPECT_THAT(run.failures(), IsEmpty());
  EXPECT_GT(run.counts().output_lost, 0u);
  EXPECT_EQ(output.rest().size() + run.counts().output_lost, count * 1000);
}

// A slow reader gets everything: workers wait for it.
TEST_F(Output, ThatIsReadSlowlyIsAllThere) {
  constexpr std::size_t count = 4000;
  watched_stream output(STDOUT_FILENO);
  bystander reader([&] {
    close(STDOUT_FILENO);
    std::size_t bytes = 0;
    std::array<char, 1000> some{};
    for (ssize_t n = 0; bytes < count * 1000; bytes += static_cast<std::size_t>(n)) {
      n = read(output.ends[0], some.data(), some.size());
      if (n <= 0) return false;
    }
    return true;
  });
  const shard::report run = shard::for_each(
      {.workers = 2, .grain = 1}, count, [](std::size_t) { puts(std::string(999, 'x').c_str()); });
  EXPECT_EQ(run.counts().output_lost, 0u);
  EXPECT_TRUE(reader.succeeded());
}

// A pool that ends waits for the reader, as a run without one does.
TEST_F(Output, OfAPoolThatIsReadLateIsAllThere) {
  constexpr std::size_t count = 500;
  watched_stream output(STDOUT_FILENO);
  const tally at;
  bystander reader([&] {
    close(STDOUT_FILENO);
    if (!eventually([&] { return at[0] == 1; })) return false;
    usleep(200'000);  // longer than it takes to end a pool
    std::size_t bytes = 0;
    std::array<char, 1000> some{};
    for (ssize_t n = 0; bytes < count * 1000; bytes += static_cast<std::size_t>(n)) {
      n = read(output.ends[0], some.data(), some.size());
      if (n <= 0) return false;
    }
    return true;
  });
  {
    shard::pool pool({.workers = 2});
    pool.for_each({.grain = 1}, count, [](std::size_t) { puts(std::string(999, 'x').c_str()); });
    ++at[0];
  }
  output.stream.restore();
  EXPECT_TRUE(reader.succeeded());
}

TEST_F(Output, OfAChildThatNeverStopsDoesNotHoldTheRun) {
  printed output(STDOUT_FILENO);
  const shard::report run = shard::for_each({.workers = 2, .grain = 1}, 4, [](std::size_t i) {
    if (i != 1 || fork() != 0) return;
    signal(SIGPIPE, SIG_IGN);
    for (;;) static_cast<void>(write(STDOUT_FILENO, "again and again\n", 16));
  });
  EXPECT_TRUE(run.complete());
  EXPECT_THAT(run.failures(), IsEmpty());
}

TEST_F(Output, OfAWorkerThatIsKilledIsPassedOn) {
  printed output(STDOUT_FILENO);
  const tally tries;
  shard::for_each({.workers = 1, .grain = 1}, 2, [&](std::size_t i) {
    printf("index %zu\n", i);
    if (i == 0 && tries[0]++ == 0) raise(SIGKILL);
  });
  EXPECT_EQ(output.lines(), (lines{"index 0", "index 0", "index 1"}));
}

TEST_F(Output, OfALineWithoutEndHoldsUpNoOtherWorker) {
  printed output(STDERR_FILENO);
  const tally at;
  shard::buffer<int> out(2);
  shard::map({.workers = 2, .grain = 1}, out, [&](std::size_t i) {
    ++at[0];
    if (!eventually([&] { return at[0] == 2; })) return -1;
    for (int k = 0; k < 200'000; ++k) std::fputc(i == 0 ? '.' : ',', stderr);
    ++at[1];
    // Nobody ends the line that nobody else's can follow.
    return eventually([&] { return at[1] == 2; }) ? 1 : -1;
  });
  EXPECT_EQ(out[0] + out[1], 2);
  EXPECT_GE(output.text().size(), 400'000u);
}

// ---- The relay alone, in this process ----

class Relay : public shard_test::leaves_nothing {
 protected:
  static constexpr std::chrono::milliseconds never = std::chrono::hours(1);

  void print(const shard::family::worker_streams& to, std::string_view text) {
    ASSERT_EQ(write(to.output.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }

  // One turn of the supervisor's loop, if there is a moment to wait for.
  static void turn(shard::family::relay& of) {
    shard::os::poll_set all;
    of.watch(all);
    if (!of.due()) all.wake_after(std::chrono::milliseconds(0));
    all.wait();
    of.serve(all);
  }

  // The same without waiting for a moment that is to come.
  static void turn_at_once(shard::family::relay& of) {
    shard::os::poll_set all;
    of.watch(all);
    all.wake_after(std::chrono::milliseconds(0));
    all.wait();
    of.serve(all);
  }

  // So many times 20 000 letters.
  void begin_long_line(shard::family::relay& by, const shard::family::worker_streams& to,
                       int parts) {
    for (int k = 0; k < parts; ++k) {
      print(to, std::string(20'000, 'a'));
      turn(by);
    }
  }

  static constexpr unsigned members = 3;
  shard::os::anonymous_memory memory_{shard::family::roster::size_bytes(members),
                                      shard::os::sharing::none};
  shard::family::roster roster_{memory_.base(), members};
};

TEST_F(Relay, LetsOthersWaitWhileALongLineIsNotFinished) {
  printed output(STDOUT_FILENO);
  {
    shard::family::relay both(roster_, false);
    const auto one = both.open(0);
    const auto other = both.open(1);
    begin_long_line(both, one, 10);
    print(other, "other\n");
    turn(both);
    EXPECT_TRUE(both.holds_any());
    print(one, "end\n");
    turn(both);
    EXPECT_FALSE(both.holds_any());
    both.close(0);
    both.close(1);
  }
  EXPECT_EQ(output.text(), std::string(200'000, 'a') + "end\nother\n");
}

// Who waits for it would else do so for ever, if that one waits for nothing but the end of the run.
TEST_F(Relay, LetsOthersGoOnInTheMiddleOfALineThatStaysOpen) {
  printed output(STDOUT_FILENO);
  {
    shard::family::relay both(roster_, false, {.with_an_open_line = std::chrono::milliseconds(50)});
    const auto one = both.open(0);
    const auto other = both.open(1);
    begin_long_line(both, one, 4);
    print(other, "other\n");
    turn(both);
    EXPECT_TRUE(eventually([&] {
      turn(both);
      return !both.holds_any();
    }));
    print(one, "end\n");
    turn(both);
    both.close(0);
    both.close(1);
  }
  EXPECT_EQ(output.text(), std::string(80'000, 'a') + "other\nend\n");
}

// Not after a second for each of them, one by one.
TEST_F(Relay, WaitsForOneOpenLineOnly) {
  printed output(STDOUT_FILENO);
  {
    shard::family::relay all(roster_, false,
                             {.with_a_line = std::chrono::milliseconds(20),
                              .with_an_open_line = std::chrono::milliseconds(300)});
    const std::array<shard::family::worker_streams, 3> streams{all.open(0), all.open(1),
                                                               all.open(2)};
    for (const auto& each : streams) print(each, ".");
    int long_waits = 0;
    for (int turns = 0; turns < 1000; ++turns) {
      const auto due = all.due();
      if (due > std::chrono::milliseconds(200)) ++long_waits;
      turn(all);
      if (turns > 2 && !all.holds_any()) break;
    }
    // Two of them have waited for the first one's end, and neither for the other's.
    EXPECT_FALSE(all.holds_any());
    EXPECT_LE(long_waits, 1);
    for (int k = 0; k < 10; ++k) {
      for (const auto& each : streams) print(each, ",");
      turn(all);
    }
    for (unsigned slot = 0; slot < 3; ++slot) all.close(slot);
  }
  EXPECT_EQ(output.text().size(), 33u);
}

TEST_F(Relay, PassesOnTheOpenLineOfAWorkerThatDies) {
  printed output(STDOUT_FILENO);
  {
    shard::family::relay both(roster_, true, {.with_a_line = never, .with_an_open_line = never});
    const auto other = both.open(1);
    {
      const auto one = both.open(0);
      begin_long_line(both, one, 5);
    }
    print(other, "other\n");
    turn_at_once(both);
    both.close(0);
    both.close(1);
    EXPECT_FALSE(both.holds_any());
  }
  EXPECT_EQ(output.text(), "[worker 0] " + std::string(100'000, 'a') + "[worker 1] other\n");
}

TEST_F(Relay, PutsAPrefixOnlyWhereALineBegins) {
  struct {
    std::vector<std::pair<unsigned, const char*>> printed;  // by whom
    const char* expected;
  } const cases[] = {
      {{{0, "a\nb\n"}, {1, "c\n"}}, "[worker 0] a\n[worker 0] b\n[worker 1] c\n"},
      {{{0, "\n\n"}}, "[worker 0] \n[worker 0] \n"},
      {{{0, "a\r\nb\r\n"}}, "[worker 0] a\r\n[worker 0] b\r\n"},
      {{{0, "a\r"}, {0, "\n"}, {0, "b\r\n"}}, "[worker 0] a\r\n[worker 0] b\r\n"},
      {{{0, "\r1/2"}, {0, "\r2/2"}}, "\r[worker 0] 1/2\r[worker 0] 2/2"},
      {{{0, "."}, {0, "."}, {0, ".\n"}}, "[worker 0] ...\n"},
      // In the middle of another's line; and after it.
      {{{0, "."}, {1, ","}, {0, "."}}, "[worker 0] .[worker 1] ,."},
      {{{0, "."}, {1, "whole\n"}, {0, "end\n"}}, "[worker 0] .[worker 1] whole\n[worker 0] end\n"},
  };
  for (const auto& [pieces, expected] : cases) {
    printed output(STDOUT_FILENO);
    {
      const std::chrono::milliseconds none{0};
      shard::family::relay both(roster_, true, {.with_a_line = none, .with_an_open_line = none});
      const std::array<shard::family::worker_streams, 2> streams{both.open(0), both.open(1)};
      for (const auto& [worker, text] : pieces) {
        print(streams[worker], text);
        turn_at_once(both);
      }
      both.close(0);
      both.close(1);
    }
    EXPECT_EQ(output.text(), expected);
  }
}

// Whether a text is these others, each in its order, in any interleaving.
bool interleaves(const std::string& text, const std::array<std::string, 3>& of) {
  using place = std::array<std::size_t, 3>;
  std::set<place> places{{0, 0, 0}};
  for (const char c : text) {
    std::set<place> next;
    for (const place& at : places) {
      for (std::size_t k = 0; k < 3; ++k) {
        if (at[k] == of[k].size() || of[k][at[k]] != c) continue;
        place after = at;
        ++after[k];
        next.insert(after);
      }
    }
    places = std::move(next);
  }
  return places.contains({of[0].size(), of[1].size(), of[2].size()});
}

// A letter of one of them, a line end of all of them; a zero byte if `records`.
char any_byte(std::minstd_rand& random, std::size_t by, bool records) {
  const auto dice = random() % 20;
  if (dice == 0) return '\r';
  if (dice < 3) return '\n';
  if (dice == 3 && records) return '\0';
  return static_cast<char>('a' + 8 * by + random() % 8);
}

TEST_F(Relay, PassesOnExactlyWhatEachWorkerWroteInItsOrder) {
  for (unsigned seed = 0; seed < 80; ++seed) {
    SCOPED_TRACE(seed);
    std::minstd_rand random(seed + 1);
    const auto either = [&](std::chrono::milliseconds one) {
      return random() % 2 == 0 ? one : never;
    };
    const std::chrono::milliseconds soon(random() % 3);
    const bool records = random() % 3 == 0;
    printed output(STDOUT_FILENO);
    std::array<std::string, 3> written;
    {
      shard::family::relay all(roster_, false,
                               {.with_a_line = either(soon), .with_an_open_line = either(soon)});
      std::array<shard::family::worker_streams, 3> streams{all.open(0), all.open(1), all.open(2)};
      for (int step = 0; step < 200; ++step) {
        const std::size_t by = random() % 3;
        std::string piece;
        // Seldom more than the relay holds of one line.
        for (auto n = random() % 40; n != 0; --n) piece += any_byte(random, by, records);
        if (random() % 100 == 0) piece.append(30'000, static_cast<char>('a' + 8 * by));
        print(streams[by], piece);
        written[by] += piece;
        if (random() % 2 == 0) turn_at_once(all);
        if (random() % 20 != 0) continue;
        streams[by] = {};  // dead
        all.close(static_cast<unsigned>(by));
        streams[by] = all.open(static_cast<unsigned>(by));
      }
      for (unsigned slot = 0; slot < 3; ++slot) {
        streams[slot] = {};
        all.close(slot);
      }
      EXPECT_FALSE(all.holds_any());
    }
    ASSERT_TRUE(interleaves(output.text(), written));
  }
}

TEST_F(Relay, KeepsLinesWholeThatEndInTime) {
  for (unsigned seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    std::minstd_rand random(seed + 1);
    printed output(STDOUT_FILENO);
    lines expected;
    {
      const std::chrono::milliseconds none{0};
      shard::family::relay all(
          roster_, false,
          {.with_a_line = seed % 2 == 0 ? none : never, .with_an_open_line = never});
      const std::array<shard::family::worker_streams, 3> streams{all.open(0), all.open(1),
                                                                 all.open(2)};
      std::array<std::string, 3> left;
      for (int step = 0; step < 400 || !(left[0] + left[1] + left[2]).empty(); ++step) {
        const std::size_t by = random() % 3;
        if (left[by].empty() && step < 400) {
          const bool is_long = random() % 100 == 0;
          left[by] = std::string(is_long ? 90'000 : random() % 30, static_cast<char>('a' + by));
          expected.insert(left[by]);
          left[by] += '\n';
        }
        const std::string piece = left[by].substr(0, random() % 20'000);
        left[by].erase(0, piece.size());
        if (!piece.empty()) print(streams[by], piece);
        // Who can't be read any more could not write any more: its pipe may be full.
        turn_at_once(all);
      }
      for (unsigned slot = 0; slot < 3; ++slot) all.close(slot);
    }
    ASSERT_EQ(output.lines(), expected);
  }
}

TEST_F(Relay, GivesUpOnAStreamThatTakesNothingAndComesBackToIt) {
  watched_stream output(STDOUT_FILENO);
  std::size_t lost = 0;
  std::string found;
  {
    shard::family::relay both(roster_, false, {.with_readers = std::chrono::milliseconds(20)});
    const auto one = both.open(0);
    const std::string line = std::string(999, 'x') + "\n";
    for (int k = 0; k < 200; ++k) {  // 200 kB, of which the pipe takes 64 KiB
      print(one, line);
      turn(both);
    }
    ASSERT_TRUE(eventually([&] {
      turn(both);
      return !both.holds_any();
    }));
    lost = roster_.output_lost();
    EXPECT_GT(lost, 0u);
    print(one, line);  // at once, without waiting again
    turn(both);
    EXPECT_FALSE(both.holds_any());
    EXPECT_EQ(roster_.output_lost(), lost + 1000);
    lost += 1000;

    std::array<char, 65536> room{};
    const ssize_t n = read(output.ends[0], room.data(), room.size());
    found.assign(room.data(), static_cast<std::size_t>(n));
    print(one, "again\n");
    turn(both);
    both.close(0);
  }
  found += output.rest();
  EXPECT_EQ(roster_.output_lost(), lost);
  EXPECT_TRUE(found.ends_with("again\n"));
  EXPECT_EQ(found.size() + lost, 201u * 1000 + 6);
}

}  // namespace
