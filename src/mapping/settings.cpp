#include "mapping/settings.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>

#include "mapping/nesting.hpp"
#include "os/cpu.hpp"
#include "shard/error.hpp"

namespace shard::mapping {
namespace {

[[noreturn]] void refuse(const std::string& name, const std::string& found,
                         const std::string& expected) {
  throw error(std::errc::invalid_argument,
              "cannot use " + name + ": found " + found + ", expected " + expected);
}

// Numbers are read and printed alike whatever the locale is.
template <class T>
std::optional<T> number_in(std::string_view text) {
  T value{};
  const char* const end = text.data() + text.size();
  const auto [stopped, failure] = std::from_chars(text.data(), end, value);
  if (failure != std::errc{} || stopped != end) return std::nullopt;
  return value;
}

template <class T>
std::string printed(T value) {
  std::array<char, 32> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

// ---- The kinds of values. Each reads the text of a variable (nothing: it is no such value), tells
// ---- what it expects, and refuses what the code must not say.

// In code, 0 is always allowed.
template <std::unsigned_integral T>
struct number {
  T least;
  T most;

  static std::string between(T from, T to) {
    return "a number from " + printed(from) + " to " + printed(to);
  }
  std::optional<T> read(std::string_view text) const {
    const std::optional<T> value = number_in<T>(text);
    return value && *value >= least && *value <= most ? value : std::nullopt;
  }
  std::string expected() const { return between(least, most); }
  void check(const std::string& option, T value) const {
    if (value > most) refuse(option, printed(value), between(0, most));
  }
};

// Not negative, and not beyond what clocks can say.
struct amount {
  static bool takes(double value) { return value >= 0 && value <= 1e9; }

  static std::optional<double> read(std::string_view text) {
    const std::optional<double> value = number_in<double>(text);
    return value && takes(*value) ? value : std::nullopt;
  }
  static std::string expected() { return "a number from 0 to 1e9"; }
  static void check(const std::string& option, double value) {
    if (!takes(value)) refuse(option, printed(value), expected());
  }
};

struct amount_of_seconds {
  static std::optional<seconds> read(std::string_view text) {
    const std::optional<double> value = amount::read(text);
    return value ? std::optional(seconds(*value)) : std::nullopt;
  }
  static std::string expected() { return "a number of seconds from 0 to 1e9"; }
  static void check(const std::string& option, seconds value) {
    if (!amount::takes(value.count())) refuse(option, printed(value.count()), expected());
  }
};

// C++ lets the code say nothing else.
struct zero_or_one {
  static std::optional<bool> read(std::string_view text) {
    if (text == "1") return true;
    if (text == "0") return false;
    return std::nullopt;
  }
  static std::string expected() { return "0 or 1"; }
  static void check(const std::string&, bool) {}
};

struct name_of_executor {
  static std::optional<executor> read(std::string_view text) {
    if (text == "processes") return executor::processes;
    if (text == "threads") return executor::threads;
    if (text == "serial") return executor::serial;
    return std::nullopt;
  }
  static std::string expected() { return "processes, threads or serial"; }
  static void check(const std::string&, executor) {}
};

struct name_of_start {
  static std::optional<start_by> read(std::string_view text) {
    if (text == "fork") return start_by::fork;
    if (text == "spawn") return start_by::spawn;
    return std::nullopt;
  }
  static std::string expected() { return "fork or spawn"; }
  static void check(const std::string&, start_by) {}
};

struct map_and_indices {
  static std::optional<replayed> read(std::string_view text) {
    const std::size_t colon = text.find(':');
    if (colon == text.npos) return std::nullopt;
    const auto map = number_in<std::size_t>(text.substr(0, colon));
    if (!map || *map == 0) return std::nullopt;
    std::string_view which = text.substr(colon + 1);
    constexpr std::string_view whole_chunk = "chunk";
    if (which.starts_with(whole_chunk)) {
      const auto chunk = number_in<std::size_t>(which.substr(whole_chunk.size()));
      return chunk ? std::optional(replayed{.map = *map, .chunk = chunk}) : std::nullopt;
    }
    std::optional<std::size_t> stride = 1;
    if (const std::size_t slash = which.find('/'); slash != which.npos) {
      stride = number_in<std::size_t>(which.substr(slash + 1));
      which = which.substr(0, slash);
    }
    const std::size_t dash = which.find('-');
    if (dash == which.npos || !stride || *stride == 0) return std::nullopt;
    const auto first = number_in<std::size_t>(which.substr(0, dash));
    const auto last = number_in<std::size_t>(which.substr(dash + 1));
    if (!first || !last || *first >= *last) return std::nullopt;
    return replayed{.map = *map, .indices = {*first, *last}, .stride = *stride};
  }
  static std::string expected() {
    return "MAP:FIRST-LAST, such as 2:613-614 for index 613 of the second map: MAP counts from 1, "
           "and LAST is the first index that isn't run; or MAP:FIRST-LAST/STRIDE, or MAP:chunkK";
  }
  static void check(const std::string&, const replayed&) {}
};

// ---- The table of all variables.

template <class T, class Values>
struct row {
  const char* variable;
  const char* option;                // null: only the variable sets it
  std::optional<T> options::*given;  // null likewise
  T settings::*decided;
  Values values;
};

template <class T, class Values>
row(const char*, const char*, std::optional<T> options::*, T settings::*, Values) -> row<T, Values>;

// Beyond it there is no array, and a negative number that was made unsigned.
constexpr std::size_t most = std::numeric_limits<std::ptrdiff_t>::max();

constexpr row keep_going{"SHARD_KEEP_GOING", "keep_going", &options::keep_going,
                         &settings::keep_going, zero_or_one{}};
constexpr row run_on{"SHARD_EXECUTOR", "run_on", &options::run_on, &settings::run_on,
                     name_of_executor{}};

constexpr std::tuple table{
    row{"SHARD_WORKERS", "workers", &options::workers, &settings::workers,
        number<unsigned>{1, 4096}},
    row{"SHARD_THREADS_PER_WORKER", "threads_per_worker", &options::threads_per_worker,
        &settings::threads_per_worker, number<unsigned>{1, 4096}},
    row{"SHARD_GRAIN", "grain", &options::grain, &settings::grain, number<std::size_t>{1, most}},
    row{"SHARD_TIMEOUT", "timeout", &options::timeout, &settings::timeout, amount_of_seconds{}},
    row{"SHARD_TIMEOUT_FACTOR", "timeout_factor", &options::timeout_factor,
        &settings::timeout_factor, amount{}},
    row{"SHARD_MEMORY_LIMIT_BYTES", "memory_limit_bytes", &options::memory_limit_bytes,
        &settings::memory_limit_bytes, number<std::size_t>{0, most}},
    row{"SHARD_RETRIES", "retries", &options::retries, &settings::retries,
        number<unsigned>{0, 200}},
    row{"SHARD_RETRIES_ERROR", "retries_error", &options::retries_error, &settings::retries_error,
        number<unsigned>{0, 100}},
    row{"SHARD_RETRIES_KILL", "retries_kill", &options::retries_kill, &settings::retries_kill,
        number<unsigned>{0, 10'000}},
    keep_going,
    row{"SHARD_MAX_FAILURES", "max_failures", &options::max_failures, &settings::max_failures,
        number<std::size_t>{0, most}},
    row{"SHARD_MAX_TIMEOUTS", "max_timeouts", &options::max_timeouts, &settings::max_timeouts,
        number<std::size_t>{0, most}},
    run_on,
    row{"SHARD_START", "start", &options::start, &settings::start, name_of_start{}},
    row{"SHARD_PIN", "pin", &options::pin, &settings::pin, zero_or_one{}},
    row{"SHARD_ALLOW_THREADS", "allow_threads", &options::allow_threads, &settings::allow_threads,
        zero_or_one{}},
    row{"SHARD_PREFIX_OUTPUT", "prefix_output", &options::prefix_output, &settings::prefix_output,
        zero_or_one{}},
    row{"SHARD_RECORD_CHUNKS", "record_chunks", &options::record_chunks, &settings::record_chunks,
        zero_or_one{}},
    row<bool, zero_or_one>{"SHARD_CHECK_POOL", nullptr, nullptr, &settings::check_pool, {}},
    row<replayed, map_and_indices>{"SHARD_REPLAY", nullptr, nullptr, &settings::replay, {}}};

constexpr auto names = std::apply(
    [](const auto&... each) { return std::array{std::string_view(each.variable)...}; }, table);

// ---- Who says what.

template <class T, class Values>
std::optional<T> in_environment(const row<T, Values>& one) {
  const char* const text = std::getenv(one.variable);
  if (text == nullptr || *text == '\0') return std::nullopt;
  std::optional<T> value = one.values.read(text);
  if (!value) refuse(one.variable, "'" + std::string(text) + "'", one.values.expected());
  return value;
}

// Nothing: the default holds.
template <class T, class Values>
std::optional<T> said(const row<T, Values>& one, const options& given) {
  if (one.given == nullptr || !(given.*one.given)) return in_environment(one);
  one.values.check("the option " + std::string(one.option), *(given.*one.given));
  return given.*one.given;
}

}  // namespace

std::span<const std::string_view> variables() noexcept { return names; }

options merged(const options& all, const options& one) {
  options both = all;
  const auto take = [&]<class T, class Values>(const row<T, Values>& each) {
    if (each.given != nullptr && one.*each.given) both.*each.given = one.*each.given;
  };
  std::apply([&](const auto&... each) { (take(each), ...); }, table);
  for (const auto& [name, value] : one.environment) both.environment[name] = value;
  if (!one.working_directory.empty()) both.working_directory = one.working_directory;
  if (one.on_progress) both.on_progress = one.on_progress;
  if (one.on_failure) both.on_failure = one.on_failure;
  if (one.stop.stop_possible()) both.stop = one.stop;
  return both;
}

void refuse_what_forks_have(const options& given) {
  const auto expect_spawn = [](bool unset, const char* option) {
    if (!unset)
      refuse("the option " + std::string(option), "workers that start by fork", "start_by::spawn");
  };
  expect_spawn(given.environment.empty(), "environment");
  expect_spawn(given.working_directory.empty(), "working_directory");
}

unsigned workers_of(const settings& how) {
  if (how.run_on == executor::serial) return 1;
  if (how.workers != 0) return how.workers;
  const unsigned processors = os::cpu_budget_of_late();
  if (how.run_on != executor::processes || how.threads_per_worker == 0) return processors;
  return std::max(processors / how.threads_per_worker, 1u);
}

settings resolve(const options& given) {
  settings decided;
  const auto decide = [&](const auto& one) {
    if (const auto value = said(one, given)) decided.*one.decided = *value;
  };
  std::apply([&](const auto&... each) { (decide(each), ...); }, table);
  // Who says how many indices may fail doesn't want the run to end at the first one.
  if (!said(keep_going, given)) decided.keep_going = decided.max_failures != 0;
  // So that any program can be run in a debugger.
  if (in_environment(run_on) == executor::serial) decided.run_on = executor::serial;
  return decided;
}

}  // namespace shard::mapping

unsigned shard::default_workers() {
  return mapping::workers_of(mapping::where_it_runs(mapping::resolve({})));
}
