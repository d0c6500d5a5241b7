#include "mapping/settings.hpp"
#include "os/cpu.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <locale>
#include <map>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "refusal.hpp"

namespace {

using namespace std::chrono_literals;
using shard::executor;
using shard::options;
using shard::start_by;
using shard::mapping::resolve;
using shard::mapping::settings;
using shard::mapping::variables;
using shard_test::mentions;
using shard_test::refusal;

// The variables that settings are read from, without those that the tests themselves are run with.
class Settings : public testing::Test {
 protected:
  void SetUp() override {
    for (const std::string_view each : variables()) {
      const std::string name(each);
      const char* const value = std::getenv(name.c_str());
      before_[name] = value == nullptr ? std::nullopt : std::optional<std::string>(value);
      ::unsetenv(name.c_str());
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

// A value of each variable that is not its default.
const std::map<std::string_view, const char*> others{
    {"SHARD_WORKERS", "3"},         {"SHARD_THREADS_PER_WORKER", "6"},
    {"SHARD_GRAIN", "4096"},        {"SHARD_TIMEOUT", "2.5"},
    {"SHARD_TIMEOUT_FACTOR", "20"}, {"SHARD_MEMORY_LIMIT_BYTES", "1000000"},
    {"SHARD_RETRIES", "4"},         {"SHARD_RETRIES_ERROR", "5"},
    {"SHARD_RETRIES_KILL", "7"},    {"SHARD_KEEP_GOING", "1"},
    {"SHARD_MAX_FAILURES", "11"},   {"SHARD_MAX_TIMEOUTS", "12"},
    {"SHARD_START", "spawn"},       {"SHARD_PIN", "1"},
    {"SHARD_CHECK_POOL", "1"},      {"SHARD_ALLOW_THREADS", "1"},
    {"SHARD_PREFIX_OUTPUT", "1"},   {"SHARD_EXECUTOR", "threads"},
    {"SHARD_RECORD_CHUNKS", "1"},   {"SHARD_REPLAY", "2:613-614"}};

// Every variable: one that has no value here throws.
void set_all() {
  for (const std::string_view each : variables()) {
    ::setenv(std::string(each).c_str(), others.at(each), 1);
  }
}

void expect_defaults(const settings& decided) {
  EXPECT_EQ(decided.workers, 0u);
  EXPECT_EQ(decided.threads_per_worker, 0u);
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
  EXPECT_FALSE(decided.pin);
  EXPECT_FALSE(decided.check_pool);
  EXPECT_FALSE(decided.allow_threads);
  EXPECT_FALSE(decided.prefix_output);
  EXPECT_FALSE(decided.record_chunks);
  EXPECT_EQ(decided.run_on, executor::processes);
  EXPECT_EQ(decided.start, start_by::fork);
  EXPECT_EQ(decided.replay.map, 0u);
}

TEST_F(Settings, HaveTheirDefaults) { expect_defaults(resolve({})); }

TEST_F(Settings, OfTheEnvironmentWinOverDefaults) {
  set_all();
  const settings decided = resolve({});
  EXPECT_EQ(decided.workers, 3u);
  EXPECT_EQ(decided.threads_per_worker, 6u);
  EXPECT_EQ(decided.grain, 4096u);
  EXPECT_EQ(decided.timeout, 2500ms);
  EXPECT_EQ(decided.timeout_factor, 20);
  EXPECT_EQ(decided.memory_limit_bytes, 1'000'000u);
  EXPECT_EQ(decided.retries, 4u);
  EXPECT_EQ(decided.retries_error, 5u);
  EXPECT_EQ(decided.retries_kill, 7u);
  EXPECT_TRUE(decided.keep_going);
  EXPECT_TRUE(decided.check_pool);
  EXPECT_EQ(decided.max_failures, 11u);
  EXPECT_EQ(decided.max_timeouts, 12u);
  EXPECT_TRUE(decided.pin);
  EXPECT_TRUE(decided.allow_threads);
  EXPECT_TRUE(decided.prefix_output);
  EXPECT_TRUE(decided.record_chunks);
  EXPECT_EQ(decided.run_on, executor::threads);
  EXPECT_EQ(decided.start, start_by::spawn);
  EXPECT_EQ(decided.replay.map, 2u);
}

// Also where what the code says is the default.
TEST_F(Settings, OfTheCodeWinOverTheEnvironment) {
  set_all();
  const settings decided = resolve({.workers = 8,
                                    .threads_per_worker = 2,
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
                                    .start = start_by::fork,
                                    .pin = false,
                                    .allow_threads = false,
                                    .prefix_output = false,
                                    .record_chunks = false});
  EXPECT_EQ(decided.workers, 8u);
  EXPECT_EQ(decided.threads_per_worker, 2u);
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
  EXPECT_FALSE(decided.pin);
  EXPECT_FALSE(decided.allow_threads);
  EXPECT_FALSE(decided.prefix_output);
  EXPECT_FALSE(decided.record_chunks);
  EXPECT_EQ(decided.run_on, executor::processes);
  EXPECT_EQ(decided.start, start_by::fork);
}

// "As many as there are processors", "no limit", "not once": zeros are said in code, too.
TEST_F(Settings, OfTheCodeWinOverTheEnvironmentWhereTheyAreZero) {
  set_all();
  const settings decided = resolve({.workers = 0,
                                    .threads_per_worker = 0,
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
  EXPECT_EQ(decided.threads_per_worker, 0u);
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

TEST_F(Settings, DecideHowManyWorkersAMapHas) {
  using shard::mapping::workers_of;
  const unsigned processors = shard::os::cpu_budget();
  EXPECT_EQ(workers_of(resolve({})), processors);
  EXPECT_EQ(workers_of(resolve({.workers = 70})), 70u);
  EXPECT_EQ(workers_of(resolve({.workers = 70, .run_on = executor::serial})), 1u);
  EXPECT_EQ(workers_of(resolve({.threads_per_worker = 1})), processors);
  EXPECT_EQ(workers_of(resolve({.threads_per_worker = processors})), 1u);
  EXPECT_EQ(workers_of(resolve({.threads_per_worker = 4000})), 1u);
  EXPECT_EQ(workers_of(resolve({.workers = 70, .threads_per_worker = 4000})), 70u);
  EXPECT_EQ(workers_of(resolve({.threads_per_worker = 4000, .run_on = executor::threads})),
            processors);
  EXPECT_EQ(shard::default_workers(), processors);
  set("SHARD_THREADS_PER_WORKER", "4000");
  EXPECT_EQ(shard::default_workers(), 1u);
  set("SHARD_WORKERS", "70");
  EXPECT_EQ(shard::default_workers(), 70u);
  set("SHARD_EXECUTOR", "serial");
  EXPECT_EQ(shard::default_workers(), 1u);
  set("SHARD_WORKERS", "many");
  EXPECT_THROW(shard::default_workers(), shard::error);
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
  set("SHARD_MAX_FAILURES", "0");
  set("SHARD_KEEP_GOING", "1");
  EXPECT_TRUE(resolve({}).keep_going);
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
  for (const std::string_view each : variables()) set(std::string(each).c_str(), "");
  expect_defaults(resolve({}));
}

struct bad {
  const char* variable;
  const char* value;
  const char* expected;

  friend void PrintTo(const bad& one, std::ostream* to) { *to << one.variable << '=' << one.value; }
};

const std::vector<bad> all_bad{bad{"SHARD_WORKERS", "0", "from 1 to 4096"},
                               bad{"SHARD_WORKERS", "4097", "from 1 to 4096"},
                               bad{"SHARD_WORKERS", "-1", "from 1 to 4096"},
                               bad{"SHARD_WORKERS", "two", "from 1 to 4096"},
                               bad{"SHARD_WORKERS", "2 ", "from 1 to 4096"},
                               bad{"SHARD_WORKERS", "+2", "from 1 to 4096"},
                               bad{"SHARD_WORKERS", "0x10", "from 1 to 4096"},
                               bad{"SHARD_WORKERS", "99999999999999999999", "from 1 to 4096"},
                               bad{"SHARD_THREADS_PER_WORKER", "0", "a number from 1 to 4096"},
                               bad{"SHARD_GRAIN", "0", "a number from 1"},
                               bad{"SHARD_GRAIN", "1e3", "a number from 1"},
                               bad{"SHARD_GRAIN", "18446744073709551616", "a number from 1"},
                               bad{"SHARD_RETRIES", "201", "from 0 to 200"},
                               bad{"SHARD_RETRIES", "2.5", "from 0 to 200"},
                               bad{"SHARD_RETRIES_ERROR", "101", "from 0 to 100"},
                               bad{"SHARD_RETRIES_KILL", "10001", "from 0 to 10000"},
                               bad{"SHARD_TIMEOUT", "-1", "from 0 to 1e9"},
                               bad{"SHARD_TIMEOUT", "nan", "from 0 to 1e9"},
                               bad{"SHARD_TIMEOUT", "2s", "from 0 to 1e9"},
                               bad{"SHARD_TIMEOUT_FACTOR", "1e+10", "from 0 to 1e9"},
                               bad{"SHARD_TIMEOUT_FACTOR", "ten", "from 0 to 1e9"},
                               bad{"SHARD_MEMORY_LIMIT_BYTES", "1G", "a number from 0"},
                               bad{"SHARD_MEMORY_LIMIT_BYTES", "-1", "a number from 0"},
                               bad{"SHARD_MAX_FAILURES", "many", "a number from 0"},
                               bad{"SHARD_MAX_TIMEOUTS", "-1", "a number from 0"},
                               bad{"SHARD_KEEP_GOING", "yes", "0 or 1"},
                               bad{"SHARD_PIN", "spread", "0 or 1"},
                               bad{"SHARD_CHECK_POOL", "yes", "0 or 1"},
                               bad{"SHARD_ALLOW_THREADS", "2", "0 or 1"},
                               bad{"SHARD_PREFIX_OUTPUT", "true", "0 or 1"},
                               bad{"SHARD_RECORD_CHUNKS", "true", "0 or 1"},
                               bad{"SHARD_EXECUTOR", "Serial", "processes, threads or serial"},
                               bad{"SHARD_EXECUTOR", "gpu", "processes, threads or serial"},
                               bad{"SHARD_START", "vfork", "fork or spawn"},
                               bad{"SHARD_REPLAY", "613-614", "MAP:FIRST-LAST"},
                               bad{"SHARD_REPLAY", "0:613-614", "MAP:FIRST-LAST"},
                               bad{"SHARD_REPLAY", "1:614-613", "MAP:FIRST-LAST"},
                               bad{"SHARD_REPLAY", "1:-614", "MAP:FIRST-LAST"},
                               bad{"SHARD_REPLAY", "1:613-614/0", "MAP:FIRST-LAST"},
                               bad{"SHARD_REPLAY", "1:613-614/", "MAP:FIRST-LAST"},
                               bad{"SHARD_REPLAY", "1:chunk", "MAP:FIRST-LAST"},
                               bad{"SHARD_REPLAY", "1:chunk-1", "MAP:FIRST-LAST"},
                               bad{"SHARD_REPLAY", "1-613:614", "MAP:FIRST-LAST"},
                               bad{"SHARD_REPLAY", "1:613-614 ", "MAP:FIRST-LAST"}};

class BadVariable : public Settings, public testing::WithParamInterface<bad> {};

TEST_P(BadVariable, IsNamedWithWhatIsFoundAndWhatIsExpected) {
  const bad& one = GetParam();
  set(one.variable, one.value);
  mentions(refusal([] { resolve({}); }),
           {("cannot use " + std::string(one.variable) + ": found '" + one.value + "', expected ")
                .c_str(),
            one.expected});
}

INSTANTIATE_TEST_SUITE_P(Settings, BadVariable, testing::ValuesIn(all_bad));

TEST_F(Settings, OfEveryVariableHaveABadValueHere) {
  std::set<std::string_view> tried;
  for (const bad& each : all_bad) tried.insert(each.variable);
  EXPECT_EQ(tried, std::set(variables().begin(), variables().end()));
}

// What the code says isn't looked up elsewhere. Only SHARD_EXECUTOR can win over it.
TEST_F(Settings, OfTheCodeHideABadVariable) {
  for (const char* name : {"SHARD_WORKERS", "SHARD_TIMEOUT", "SHARD_KEEP_GOING"}) set(name, "?");
  EXPECT_EQ(resolve({.workers = 0, .timeout = 0s, .keep_going = false}).workers, 0u);
  set("SHARD_EXECUTOR", "?");
  mentions(
      refusal([] {
        resolve({.workers = 0, .timeout = 0s, .keep_going = false, .run_on = executor::processes});
      }),
      {"SHARD_EXECUTOR"});
}

// Where 2.5 is written "2,5", and a thousand "1.000".
TEST_F(Settings, DoNotDependOnTheLocaleOrOnErrno) {
  struct commas : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
  };
  const std::locale before =
      std::locale::global(std::locale(std::locale::classic(), new commas));  // owned by the locale
  set_all();
  errno = ERANGE;
  EXPECT_EQ(resolve({}).timeout, 2500ms);
  EXPECT_EQ(errno, ERANGE);
  mentions(refusal([] { resolve({.timeout = -2500ms}); }), {"found -2.5,"});
  mentions(refusal([] { resolve({.retries_kill = 10'001}); }), {"found 10001,"});
  set("SHARD_TIMEOUT", "2,5");
  mentions(refusal([] { resolve({}); }), {"SHARD_TIMEOUT", "'2,5'"});
  std::locale::global(before);
}

TEST_F(Settings, OfAReplayAreAMapAndItsIndices) {
  set("SHARD_REPLAY", "2:613-614");
  EXPECT_EQ(resolve({}).replay.map, 2u);
  EXPECT_EQ(resolve({}).replay.indices, (shard::range{613, 614}));
  set("SHARD_REPLAY", "1:0-18446744073709551615");
  EXPECT_EQ(resolve({}).replay.indices.last, 18446744073709551615u);
  EXPECT_EQ(resolve({}).replay.stride, 1u);
  EXPECT_FALSE(resolve({}).replay.chunk);
  set("SHARD_REPLAY", "2:3-995/7");
  EXPECT_EQ(resolve({}).replay.indices, (shard::range{3, 995}));
  EXPECT_EQ(resolve({}).replay.stride, 7u);
  set("SHARD_REPLAY", "3:chunk5");
  EXPECT_EQ(resolve({}).replay.map, 3u);
  EXPECT_EQ(resolve({}).replay.chunk, 5u);
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
