#include "mapping/settings.hpp"

#include <charconv>
#include <cstdlib>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>

#include "shard/error.hpp"

namespace shard::mapping {
namespace {

constexpr unsigned most_workers = 4096;
constexpr unsigned most_retries = 200;
constexpr unsigned most_retries_error = 100;
constexpr unsigned most_retries_kill = 10'000;

[[noreturn]] void refuse(const std::string& name, const std::string& found,
                         const std::string& expected) {
  throw error(std::errc::invalid_argument,
              "cannot use " + name + ": found " + found + ", expected " + expected);
}

std::string printed(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

// An empty variable is as good as none.
std::optional<std::string_view> variable(const char* name) {
  const char* const text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  return text;
}

template <class T>
T checked(const std::string& name, T value, T least, T most) {
  if (value < least || value > most) {
    refuse(name, std::to_string(value),
           "a number from " + std::to_string(least) + " to " + std::to_string(most));
  }
  return value;
}

template <class T>
std::optional<T> number(const char* name, T least, T most) {
  const auto text = variable(name);
  if (!text) return std::nullopt;
  T value{};
  const auto [end, failure] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (failure != std::errc{} || end != text->data() + text->size()) {
    refuse(name, "'" + std::string(*text) + "'",
           "a number from " + std::to_string(least) + " to " + std::to_string(most));
  }
  return checked<T>(name, value, least, most);
}

std::optional<bool> flag(const char* name) {
  const auto text = variable(name);
  if (!text) return std::nullopt;
  if (*text == "1") return true;
  if (*text == "0") return false;
  refuse(name, "'" + std::string(*text) + "'", "0 or 1");
}

std::optional<executor> executor_variable() {
  constexpr const char* name = "SHARD_EXECUTOR";
  const auto text = variable(name);
  if (!text) return std::nullopt;
  if (*text == "processes") return executor::processes;
  if (*text == "threads") return executor::threads;
  if (*text == "serial") return executor::serial;
  refuse(name, "'" + std::string(*text) + "'", "processes, threads or serial");
}

// MAP:FIRST-LAST
std::optional<replayed> replay_variable() {
  constexpr const char* name = "SHARD_REPLAY";
  const auto text = variable(name);
  if (!text) return std::nullopt;
  replayed wanted;
  const char* at = text->data();
  const char* const end = at + text->size();
  const auto number = [&](std::size_t& value, char then) {
    const auto [stopped, failure] = std::from_chars(at, end, value);
    if (failure != std::errc{} || (then != '\0' && (stopped == end || *stopped != then)))
      return false;
    at = then == '\0' ? stopped : stopped + 1;
    return true;
  };
  const bool understood = number(wanted.map, ':') && number(wanted.indices.first, '-') &&
                          number(wanted.indices.last, '\0') && at == end;
  if (understood && wanted.map != 0 && wanted.indices.first < wanted.indices.last) return wanted;
  refuse(
      name, "'" + std::string(*text) + "'",
      "MAP:FIRST-LAST, such as 2:613-614 for index 613 of the second map: MAP counts from 1, and "
      "LAST is the first index that isn't run");
}

// What the code says; else the variable, else the default.
template <class T>
T chosen(const char* option, std::optional<T> code, const char* name, T least, T most,
         T otherwise) {
  if (code) return checked(std::string("the option ") + option, *code, T{}, most);
  return number(name, least, most).value_or(otherwise);
}

// Not negative, and not beyond what clocks can say.
double amount(const char* option, std::optional<double> code, const char* name) {
  constexpr double most = 1e9;
  const auto checked_amount = [](const std::string& of, double value) {
    if (value >= 0 && value <= most) return value;
    refuse(of, printed(value), "a number from 0 to 1e9");
  };
  if (code) return checked_amount(std::string("the option ") + option, *code);
  const auto text = variable(name);
  if (!text) return 0;
  double value = 0;
  const auto [end, failure] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (failure != std::errc{} || end != text->data() + text->size()) {
    refuse(name, "'" + std::string(*text) + "'", "a number from 0 to 1e9");
  }
  return checked_amount(name, value);
}

std::optional<double> in_seconds(std::optional<seconds> time) {
  if (!time) return std::nullopt;
  return time->count();
}

bool wish(std::optional<bool> code, const char* name, bool otherwise = false) {
  return code ? *code : flag(name).value_or(otherwise);
}

}  // namespace

settings resolve(const options& given) {
  // Beyond it there is no array, and a negative number that was made unsigned.
  constexpr std::size_t most = std::numeric_limits<std::ptrdiff_t>::max();
  constexpr std::size_t none = 0;
  settings decided;
  decided.workers = chosen("workers", given.workers, "SHARD_WORKERS", 1u, most_workers, 0u);
  decided.grain = chosen("grain", given.grain, "SHARD_GRAIN", std::size_t{1}, most, none);
  decided.timeout = seconds(amount("timeout", in_seconds(given.timeout), "SHARD_TIMEOUT"));
  decided.timeout_factor = amount("timeout_factor", given.timeout_factor, "SHARD_TIMEOUT_FACTOR");
  decided.memory_limit_bytes = chosen("memory_limit_bytes", given.memory_limit_bytes,
                                      "SHARD_MEMORY_LIMIT_BYTES", none, most, none);
  decided.retries =
      chosen("retries", given.retries, "SHARD_RETRIES", 0u, most_retries, decided.retries);
  decided.retries_error = chosen("retries_error", given.retries_error, "SHARD_RETRIES_ERROR", 0u,
                                 most_retries_error, decided.retries_error);
  decided.retries_kill = chosen("retries_kill", given.retries_kill, "SHARD_RETRIES_KILL", 0u,
                                most_retries_kill, decided.retries_kill);
  decided.max_failures =
      chosen("max_failures", given.max_failures, "SHARD_MAX_FAILURES", none, most, none);
  decided.max_timeouts = chosen("max_timeouts", given.max_timeouts, "SHARD_MAX_TIMEOUTS", none,
                                most, decided.max_timeouts);
  // Who says how many indices may fail doesn't want the run to end at the first one.
  decided.keep_going = wish(given.keep_going, "SHARD_KEEP_GOING", decided.max_failures != 0);
  decided.allow_threads = wish(given.allow_threads, "SHARD_ALLOW_THREADS");
  decided.prefix_output = wish(given.prefix_output, "SHARD_PREFIX_OUTPUT");
  const std::optional<executor> wished = executor_variable();
  decided.run_on = wished == executor::serial
                       ? executor::serial
                       : given.run_on.value_or(wished.value_or(executor::processes));
  decided.replay = replay_variable();
  return decided;
}

}  // namespace shard::mapping
