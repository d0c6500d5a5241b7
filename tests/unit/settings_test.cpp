#include "mapping/settings.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <optional>
#include <ostream>
#include <string>

#include "refusal.hpp"

namespace {

using namespace std::chrono_literals;
using shard::executor;
using shard::options;
using shard::mapping::resolve;
using shard::mapping::settings;
using shard_test::mentions;
using shard_test::refusal;

// The variables that settings are read from, without those that the tests themselves are run with.
class Settings : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name :
         {"SHARD_WORKERS", "SHARD_GRAIN", "SHARD_RETRIES", "SHARD_RETRIES_ERROR",
          "SHARD_RETRIES_KILL", "SHARD_KEEP_GOING", "SHARD_TIMEOUT", "SHARD_TIMEOUT_FACTOR",
          "SHARD_MEMORY_LIMIT_BYTES", "SHARD_MAX_FAILURES", "SHARD_MAX_TIMEOUTS",
          "SHARD_ALLOW_THREADS", "SHARD_PREFIX_OUTPUT", "SHARD_EXECUTOR", "SHARD_REPLAY"}) {
      const char* const value = std::getenv(name);
      before_[name] = value == nullptr ? std::nullopt : std::optional<std::string>(value);
      ::unsetenv(name);
    }
  }
  void TearDown() override {
    for (const auto& [name, value] : before_) {
      value ? ::setenv(name.c_str(), value->c_str(), 1) : ::unsetenv(name.c_str());
    }
  }

  static void set(const char* name, const char* value) { ::setenv(name, value, 1); }

 private:
  std::map<std::string, std::optional<std::string>> before_;
};

TEST_F(Settings, HaveTheirDefaults) {
  const settings decided = resolve({});
  EXPECT_EQ(decided.workers, 0u);
  EXPECT_EQ(decided.grain, 0u);
  EXPECT_EQ(decided.timeout, 0s);
  EXPECT_EQ(decided.timeout_factor, 0);
  EXPECT_EQ(decided.memory_limit_bytes, 0u);
  EXPECT_EQ(decided.retries, 1u);
  EXPECT_EQ(decided.retries_error, 0u);
  EXPECT_EQ(decided.retries_kill, 100u);
  EXPECT_FALSE(decided.keep_going);
  EXPECT_EQ(decided.max_failures, 0u);
  EXPECT_EQ(decided.max_timeouts, 256u);
  EXPECT_FALSE(decided.allow_threads);
  EXPECT_FALSE(decided.prefix_output);
  EXPECT_EQ(decided.run_on, executor::processes);
}

void set_all() {
  ::setenv("SHARD_WORKERS", "3", 1);
  ::setenv("SHARD_GRAIN", "4096", 1);
  ::setenv("SHARD_TIMEOUT", "2.5", 1);
  ::setenv("SHARD_TIMEOUT_FACTOR", "20", 1);
  ::setenv("SHARD_MEMORY_LIMIT_BYTES", "1000000", 1);
  ::setenv("SHARD_RETRIES", "0", 1);
  ::setenv("SHARD_RETRIES_ERROR", "5", 1);
  ::setenv("SHARD_RETRIES_KILL", "7", 1);
  ::setenv("SHARD_KEEP_GOING", "1", 1);
  ::setenv("SHARD_MAX_FAILURES", "11", 1);
  ::setenv("SHARD_MAX_TIMEOUTS", "12", 1);
  ::setenv("SHARD_ALLOW_THREADS", "1", 1);
  ::setenv("SHARD_PREFIX_OUTPUT", "1", 1);
  ::setenv("SHARD_EXECUTOR", "threads", 1);
}

TEST_F(Settings, OfTheEnvironmentWinOverDefaults) {
  set_all();
  const settings decided = resolve({});
  EXPECT_EQ(decided.workers, 3u);
  EXPECT_EQ(decided.grain, 4096u);
  EXPECT_EQ(decided.timeout, 2500ms);
  EXPECT_EQ(decided.timeout_factor, 20);
  EXPECT_EQ(decided.memory_limit_bytes, 1'000'000u);
  EXPECT_EQ(decided.retries, 0u);
  EXPECT_EQ(decided.retries_error, 5u);
  EXPECT_EQ(decided.retries_kill, 7u);
  EXPECT_TRUE(decided.keep_going);
  EXPECT_EQ(decided.max_failures, 11u);
  EXPECT_EQ(decided.max_timeouts, 12u);
  EXPECT_TRUE(decided.allow_threads);
  EXPECT_TRUE(decided.prefix_output);
  EXPECT_EQ(decided.run_on, executor::threads);
}

// Also where what the code says is the default.
TEST_F(Settings, OfTheCodeWinOverTheEnvironment) {
  set_all();
  const settings decided = resolve({.workers = 8,
                                    .grain = 10,
                                    .timeout = 3min,
                                    .timeout_factor = 7,
                                    .memory_limit_bytes = 4096,
                                    .retries = 1,
                                    .retries_error = 0,
                                    .retries_kill = 100,
                                    .keep_going = false,
                                    .max_failures = 3,
                                    .max_timeouts = 4,
                                    .run_on = executor::processes,
                                    .allow_threads = false,
                                    .prefix_output = false});
  EXPECT_EQ(decided.workers, 8u);
  EXPECT_EQ(decided.grain, 10u);
  EXPECT_EQ(decided.timeout, 3min);
  EXPECT_EQ(decided.timeout_factor, 7);
  EXPECT_EQ(decided.memory_limit_bytes, 4096u);
  EXPECT_EQ(decided.retries, 1u);
  EXPECT_EQ(decided.retries_error, 0u);
  EXPECT_EQ(decided.retries_kill, 100u);
  EXPECT_FALSE(decided.keep_going);
  EXPECT_EQ(decided.max_failures, 3u);
  EXPECT_EQ(decided.max_timeouts, 4u);
  EXPECT_FALSE(decided.allow_threads);
  EXPECT_FALSE(decided.prefix_output);
  EXPECT_EQ(decided.run_on, executor::processes);
}

// "As many as there are processors", "no limit", "not once": zeros are said in code, too.
TEST_F(Settings, OfTheCodeWinOverTheEnvironmentWhereTheyAreZero) {
  set_all();
  const settings decided = resolve({.workers = 0,
                                    .grain = 0,
                                    .timeout = 0s,
                                    .timeout_factor = 0,
                                    .memory_limit_bytes = 0,
                                    .retries = 0,
                                    .retries_error = 0,
                                    .retries_kill = 0,
                                    .max_failures = 0,
                                    .max_timeouts = 0});
  EXPECT_EQ(decided.workers, 0u);
  EXPECT_EQ(decided.grain, 0u);
  EXPECT_EQ(decided.timeout, 0s);
  EXPECT_EQ(decided.timeout_factor, 0);
  EXPECT_EQ(decided.memory_limit_bytes, 0u);
  EXPECT_EQ(decided.retries, 0u);
  EXPECT_EQ(decided.retries_error, 0u);
  EXPECT_EQ(decided.retries_kill, 0u);
  EXPECT_EQ(decided.max_failures, 0u);
  EXPECT_EQ(decided.max_timeouts, 0u);
}

// Who says how many indices may fail doesn't want the run to end at the first.
TEST_F(Settings, OfALimitOfFailuresKeepARunGoingUnlessToldOtherwise) {
  EXPECT_TRUE(resolve({.max_failures = 1}).keep_going);
  EXPECT_FALSE(resolve({.max_failures = 0}).keep_going);
  EXPECT_FALSE(resolve({.keep_going = false, .max_failures = 1}).keep_going);
  set("SHARD_MAX_FAILURES", "1");
  EXPECT_TRUE(resolve({}).keep_going);
  EXPECT_FALSE(resolve({.keep_going = false}).keep_going);
  set("SHARD_KEEP_GOING", "0");
  EXPECT_FALSE(resolve({}).keep_going);
}

// Any unit of std::chrono, as it stands.
TEST_F(Settings, OfTimeAreGivenInAnyUnit) {
  EXPECT_EQ(resolve({.timeout = 200ms}).timeout, 200ms);
  EXPECT_EQ(resolve({.timeout = 2h}).timeout, 2h);
  EXPECT_EQ(resolve({.timeout = shard::seconds(0.25)}).timeout, 250ms);
}

TEST_F(Settings, OfSerialInTheEnvironmentWinEvenOverTheCode) {
  set("SHARD_EXECUTOR", "serial");
  EXPECT_EQ(resolve({.run_on = executor::processes}).run_on, executor::serial);
  EXPECT_EQ(resolve({.run_on = executor::threads}).run_on, executor::serial);
  EXPECT_EQ(resolve({}).run_on, executor::serial);
}

TEST_F(Settings, OfEveryExecutorAreUnderstood) {
  for (const auto& [name, expected] :
       {std::pair{"processes", executor::processes}, std::pair{"threads", executor::threads},
        std::pair{"serial", executor::serial}}) {
    set("SHARD_EXECUTOR", name);
    EXPECT_EQ(resolve({}).run_on, expected) << name;
  }
}

TEST_F(Settings, OfAnEmptyVariableAreAsIfItWereNotSet) {
  set_all();
  for (const char* name :
       {"SHARD_WORKERS", "SHARD_TIMEOUT", "SHARD_MEMORY_LIMIT_BYTES", "SHARD_RETRIES",
        "SHARD_KEEP_GOING", "SHARD_MAX_FAILURES", "SHARD_EXECUTOR"}) {
    set(name, "");
  }
  const settings decided = resolve({});
  EXPECT_EQ(decided.workers, 0u);
  EXPECT_EQ(decided.timeout, 0s);
  EXPECT_EQ(decided.memory_limit_bytes, 0u);
  EXPECT_EQ(decided.retries, 1u);
  EXPECT_FALSE(decided.keep_going);
  EXPECT_EQ(decided.run_on, executor::processes);
}

struct bad {
  const char* variable;
  const char* value;
  const char* expected;

  friend void PrintTo(const bad& one, std::ostream* to) { *to << one.variable << '=' << one.value; }
};

class BadVariable : public Settings, public testing::WithParamInterface<bad> {};

TEST_P(BadVariable, IsNamedWithWhatIsFoundAndWhatIsExpected) {
  const bad& one = GetParam();
  set(one.variable, one.value);
  mentions(
      refusal([] { resolve({}); }),
      {("cannot use " + std::string(one.variable) + ": found ").c_str(), one.value, one.expected});
}

INSTANTIATE_TEST_SUITE_P(
    Settings, BadVariable,
    testing::Values(
        bad{"SHARD_WORKERS", "0", "from 1 to 4096"}, bad{"SHARD_WORKERS", "4097", "from 1 to 4096"},
        bad{"SHARD_WORKERS", "-1", "from 1 to 4096"}, bad{"SHARD_WORKERS", "two", "from 1 to 4096"},
        bad{"SHARD_WORKERS", "2 ", "from 1 to 4096"}, bad{"SHARD_WORKERS", "+2", "from 1 to 4096"},
        bad{"SHARD_WORKERS", "0x10", "from 1 to 4096"},
        bad{"SHARD_WORKERS", "99999999999999999999", "from 1 to 4096"},
        bad{"SHARD_GRAIN", "0", "a number from 1"}, bad{"SHARD_GRAIN", "1e3", "a number from 1"},
        bad{"SHARD_GRAIN", "18446744073709551616", "a number from 1"},
        bad{"SHARD_RETRIES", "201", "from 0 to 200"}, bad{"SHARD_RETRIES", "2.5", "from 0 to 200"},
        bad{"SHARD_RETRIES_ERROR", "101", "from 0 to 100"},
        bad{"SHARD_RETRIES_KILL", "10001", "from 0 to 10000"},
        bad{"SHARD_TIMEOUT", "-1", "from 0 to 1e9"}, bad{"SHARD_TIMEOUT", "nan", "from 0 to 1e9"},
        bad{"SHARD_TIMEOUT", "2s", "from 0 to 1e9"},
        bad{"SHARD_TIMEOUT_FACTOR", "1e+10", "from 0 to 1e9"},
        bad{"SHARD_TIMEOUT_FACTOR", "ten", "from 0 to 1e9"},
        bad{"SHARD_MEMORY_LIMIT_BYTES", "1G", "a number from 0"},
        bad{"SHARD_MEMORY_LIMIT_BYTES", "-1", "a number from 0"},
        bad{"SHARD_MAX_FAILURES", "many", "a number from 0"},
        bad{"SHARD_MAX_TIMEOUTS", "-1", "a number from 0"},
        bad{"SHARD_KEEP_GOING", "yes", "0 or 1"}, bad{"SHARD_ALLOW_THREADS", "2", "0 or 1"},
        bad{"SHARD_PREFIX_OUTPUT", "true", "0 or 1"},
        bad{"SHARD_EXECUTOR", "Serial", "processes, threads or serial"},
        bad{"SHARD_EXECUTOR", "gpu", "processes, threads or serial"}));

TEST_F(Settings, OfAReplayAreAMapAndItsIndices) {
  EXPECT_FALSE(resolve({}).replay);
  set("SHARD_REPLAY", "2:613-614");
  const auto found = resolve({}).replay;
  ASSERT_TRUE(found);
  EXPECT_EQ(found->map, 2u);
  EXPECT_EQ(found->indices, (shard::range{613, 614}));
  set("SHARD_REPLAY", "1:0-18446744073709551615");
  EXPECT_EQ(resolve({}).replay->indices.last, 18446744073709551615u);
}

TEST_F(Settings, OfTheCodeThatCannotBeHonouredAreNamed) {
  mentions(refusal([] { resolve({.workers = 4097}); }),
           {"the option workers", "4097", "from 0 to 4096"});
  mentions(refusal([] { resolve({.grain = static_cast<std::size_t>(-1)}); }),
           {"the option grain", "18446744073709551615"});
  mentions(refusal([] { resolve({.timeout = -1s}); }), {"the option timeout:", "-1", "from 0"});
  mentions(refusal([] { resolve({.timeout_factor = 1e300}); }),
           {"the option timeout_factor", "1e+300"});
  mentions(refusal([] { resolve({.memory_limit_bytes = static_cast<std::size_t>(-1)}); }),
           {"the option memory_limit_bytes", "18446744073709551615"});
  mentions(refusal([] { resolve({.max_failures = static_cast<std::size_t>(-1)}); }),
           {"the option max_failures", "18446744073709551615"});
  mentions(refusal([] { resolve({.max_timeouts = static_cast<std::size_t>(-1)}); }),
           {"the option max_timeouts", "18446744073709551615"});
  mentions(refusal([] { resolve({.retries = 201}); }),
           {"the option retries:", "201", "from 0 to 200"});
  mentions(refusal([] { resolve({.retries_error = 101}); }), {"the option retries_error", "101"});
  mentions(refusal([] { resolve({.retries_kill = 10'001}); }),
           {"the option retries_kill", "10001"});
}

TEST_F(Settings, AtTheirLimitsAreTaken) {
  const settings decided =
      resolve({.workers = 4096, .retries = 200, .retries_error = 100, .retries_kill = 10'000});
  EXPECT_EQ(decided.workers, 4096u);
  EXPECT_EQ(decided.retries, 200u);
  EXPECT_EQ(decided.retries_error, 100u);
  EXPECT_EQ(decided.retries_kill, 10'000u);
}

}  // namespace
