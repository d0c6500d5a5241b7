// The environment, as programs meet it: variables that shard does not know are told, and those that
// it knows are documented.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "mapping/settings.hpp"
#include "mapping/unknown_variables.hpp"
#include "os/environment.hpp"
#include "process/leftovers.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using shard::executor;
using shard::mapping::line_about_unknown_variable;
using shard::mapping::variables;
using shard_test::refusal;
using testing::ElementsAre;
using testing::Eq;
using testing::ExitedWithCode;
using testing::IsEmpty;
using strings = std::vector<std::string>;

// Steps under EXPECT_EXIT run in a new program, in which nothing was mapped before.
class Environment : public shard_test::leaves_nothing {
 protected:
  void SetUp() override {
    leaves_nothing::SetUp();
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    for (const std::string& each : shard::os::variables_beginning_with("SHARD_")) {
      unsetenv(each.c_str());
    }
  }
  void TearDown() override {
    for (const char* name : {"SHARD_TIMEOOT", "SHARD_WORKER", "SHARDS", "SHARD_WORKERS"}) {
      unsetenv(name);
    }
    leaves_nothing::TearDown();
  }
};

void map_somewhere(executor where) {
  shard::buffer<int> out(20);
  shard::map({.workers = 2, .grain = 1, .run_on = where}, out, [=](std::size_t) {
    shard::buffer<int> inner(2);
    shard::map({.workers = 1, .run_on = where}, inner, [](std::size_t) { return 1; });
    return inner[0];
  });
}

void map_everywhere() {
  for (const executor where : {executor::processes, executor::threads, executor::serial}) {
    map_somewhere(where);
  }
}

TEST_F(Environment, HasAMisspeltVariableThatIsToldOnceAtTheFirstMap) {
  setenv("SHARD_TIMEOOT", "1", 1);
  EXPECT_EXIT(
      {
        std::cerr << "before\n";
        map_everywhere();
        if (!shard_test::holds_in_a_child([] {
              map_everywhere();
              return true;
            })) {
          std::exit(1);
        }
        std::cerr << "after\n";
        std::exit(0);
      },
      ExitedWithCode(0),
      Eq("before\n"
         "shard: the environment has SHARD_TIMEOOT, which shard does not know; did you mean "
         "SHARD_TIMEOUT?\n"
         "after\n"));
}

TEST_F(Environment, HasALineForEachVariableThatIsNotKnown) {
  setenv("SHARD_WORKER", "", 1);
  setenv("SHARD_TIMEOOT", "1", 1);
  EXPECT_EXIT(
      {
        map_somewhere(executor::serial);
        std::exit(0);
      },
      ExitedWithCode(0),
      Eq("shard: the environment has SHARD_TIMEOOT, which shard does not know; did you mean "
         "SHARD_TIMEOUT?\n"
         "shard: the environment has SHARD_WORKER, which shard does not know; did you mean "
         "SHARD_WORKERS?\n"));
}

// Also where the map is refused, because of another variable.
TEST_F(Environment, HasAMisspeltVariableThatIsToldBeforeAMapIsRefused) {
  setenv("SHARD_TIMEOOT", "1", 1);
  setenv("SHARD_WORKERS", "many", 1);
  EXPECT_EXIT(
      {
        shard::buffer<int> out(2);
        std::cerr << refusal([&] { shard::map(out, [](std::size_t) { return 1; }); }) << '\n';
        std::exit(0);
      },
      ExitedWithCode(0),
      Eq("shard: the environment has SHARD_TIMEOOT, which shard does not know; did you mean "
         "SHARD_TIMEOUT?\n"
         "cannot use SHARD_WORKERS: found 'many', expected a number from 1 to 4096\n"));
}

TEST_F(Environment, OfKnownVariablesIsNotSpokenOf) {
  setenv("SHARDS", "1", 1);  // somebody else's
  EXPECT_EXIT(
      {
        for (const std::string_view each : variables()) setenv(std::string(each).c_str(), "", 1);
        setenv("SHARD_WORKERS", "2", 1);
        map_everywhere();
        clearenv();
        map_everywhere();
        std::exit(0);
      },
      ExitedWithCode(0), IsEmpty());
}

TEST_F(Environment, IsToldToAStreamThatTakesNothingWithoutHarm) {
  setenv("SHARD_TIMEOOT", "1", 1);
  const auto map_with_stderr = [](int descriptor) {
    signal(SIGPIPE, SIG_DFL);
    descriptor < 0 ? close(STDERR_FILENO) : dup2(descriptor, STDERR_FILENO);
    errno = EDOM;
    shard::mapping::tell_unknown_variables();
    if (errno != EDOM) std::exit(2);
    map_somewhere(executor::processes);
    std::exit(0);
  };
  std::array<int, 2> unread{};
  ASSERT_EQ(pipe2(unread.data(), O_CLOEXEC), 0);
  close(unread[0]);
  EXPECT_EXIT(map_with_stderr(unread[1]), ExitedWithCode(0), IsEmpty());
  close(unread[1]);
  EXPECT_EXIT(map_with_stderr(-1), ExitedWithCode(0), IsEmpty());
  // Full, and nobody reads it: a line that were waited for would be waited for, for ever.
  std::array<int, 2> full{};
  ASSERT_EQ(pipe2(full.data(), O_CLOEXEC | O_NONBLOCK), 0);
  while (::write(full[1], "x", 1) == 1) {
  }
  ASSERT_EQ(fcntl(full[1], F_SETFL, O_WRONLY), 0);  // it would wait
  EXPECT_EXIT(map_with_stderr(full[1]), ExitedWithCode(0), IsEmpty());
  close(full[0]);
  close(full[1]);
}

TEST_F(Environment, GivesItsNamesByTheirBeginning) {
  using shard::os::variables_beginning_with;
  EXPECT_TRUE(shard_test::holds_in_a_child([] {
    clearenv();
    EXPECT_THAT(variables_beginning_with(""), IsEmpty());
    std::array twice{std::string("SHARD_B=1"), std::string("SHARD_A==="), std::string("SHARD_B=2"),
                     std::string("SHAR=SHARD_C=1")};
    std::vector<char*> all;
    for (std::string& each : twice) all.push_back(each.data());
    all.push_back(nullptr);
    environ = all.data();
    EXPECT_THAT(variables_beginning_with("SHARD_"), ElementsAre("SHARD_A", "SHARD_B"));
    return !testing::Test::HasFailure();
  }));
}

// ---- The nearest name ----

// Empty: none is near.
std::string nearest_to(const std::string& name) {
  const std::string line = line_about_unknown_variable(name);
  const std::string about = "shard: the environment has " + name + ", which shard does not know";
  if (line == about + "\n") return {};
  std::smatch found;
  if (!std::regex_match(line, found, std::regex(about + R"(; did you mean (\w+)\?\n)")))
    return line;
  return found[1];
}

TEST_F(Environment, IsComparedWithTheNearestVariable) {
  for (const std::string_view each : variables()) {
    std::string name(each);
    EXPECT_EQ(nearest_to(name + "S"), each);
    name.erase(8, 1);
    EXPECT_EQ(nearest_to(name), each);
  }
  EXPECT_EQ(nearest_to("SHARD_TIEMOUT"), "SHARD_TIMEOUT");
  EXPECT_EQ(nearest_to("SHARD_TIMEOUT_FACTORS"), "SHARD_TIMEOUT_FACTOR");
  EXPECT_EQ(nearest_to("SHARD_MEMORY_LIMIT"), "SHARD_MEMORY_LIMIT_BYTES");
  EXPECT_EQ(nearest_to("SHARD_RETRY"), "SHARD_RETRIES");
  EXPECT_EQ(nearest_to("SHARD_timeout"), "SHARD_TIMEOUT");
  EXPECT_EQ(nearest_to("SHARD_RETRIES_KILLS"), "SHARD_RETRIES_KILL");
}

TEST_F(Environment, IsComparedWithNoVariableThatIsFar) {
  for (const char* name : {"SHARD_", "SHARD_INDEX", "SHARD_COUNT", "SHARD_CHECKED", "SHARD_HOME"}) {
    EXPECT_EQ(nearest_to(name), "") << name;
  }
}

TEST_F(Environment, HasNoNameThatTakesMoreThanALine) {
  EXPECT_EQ(line_about_unknown_variable("SHARD_\n\x1b[2J\x7f"),
            "shard: the environment has SHARD_..[2J., which shard does not know\n");
}

// ---- The documents ----

std::string contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// What is expected of it, as an error says.
std::string expected_of(const std::string& variable) {
  setenv(variable.c_str(), "?", 1);
  const std::string message = refusal([] { shard::mapping::resolve({}); });
  unsetenv(variable.c_str());
  const std::string begin = "cannot use " + variable + ": found '?', expected ";
  EXPECT_THAT(message, testing::StartsWith(begin));
  return message.substr(std::min(begin.size(), message.size()));
}

std::string option_of(const std::string& variable) {
  if (variable == "SHARD_EXECUTOR") return "run_on";
  std::string name = variable.substr(6);
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  return name;
}

// "| `SHARD_GRAIN` | `grain` | a number from 1 |", where an error may go on.
TEST_F(Environment, IsDocumentedInTheTour) {
  const std::string tour = contents(SHARD_TOUR);
  const std::regex row(R"(\| `(SHARD_\w+)` \| ([^|]+) \| ([^|]+) \|)");
  strings names;
  for (std::sregex_iterator each(tour.begin(), tour.end(), row), end; each != end; ++each) {
    names.push_back((*each)[1]);
    if ((*each)[2].str().front() == '`') {
      EXPECT_EQ((*each)[2], "`" + option_of(names.back()) + "`");
    }
    EXPECT_THAT(expected_of((*each)[1]), testing::StartsWith((*each)[3])) << (*each)[1];
  }
  EXPECT_EQ(names, strings(variables().begin(), variables().end()));
}

// The program that is shown is the one that is run.
TEST(Tour, ShowsTheProgramOfPermissionsAsItIs) {
  const std::string tour = contents(SHARD_TOUR);
  const std::string program = contents(std::string(EXAMPLES) + "/permissions.cpp");
  EXPECT_NE(tour.find("```cpp\n" + program + "```\n"), std::string::npos);
}

TEST_F(Environment, IsDocumentedInTheHeader) {
  const std::string header = contents(SHARD_OPTIONS);
  const std::regex name(R"(SHARD_\w+)");
  const std::set<std::string> found(std::sregex_token_iterator(header.begin(), header.end(), name),
                                    {});
  EXPECT_EQ(found, (std::set<std::string>(variables().begin(), variables().end())));
}

}  // namespace
