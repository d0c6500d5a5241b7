// Options, environment and defaults, made one.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "shard/options.hpp"
#include "shard/range.hpp"

namespace shard::mapping {

// Of one map of the program the only indices that are run.
struct replayed {
  std::size_t map = 0;  // counted from 1; 0: all maps run as usual
  range indices{};
  std::size_t stride = 1;              // of these: every so many
  std::optional<std::size_t> chunk{};  // all of it, instead
};

// Every member of options, decided. workers and grain may still be 0: "to be chosen".
struct settings {
  unsigned workers = 0;
  unsigned threads_per_worker = 0;  // 0: nothing is said
  std::size_t grain = 0;
  seconds timeout{};                   // 0: none
  double timeout_factor = 0;           // 0: none
  std::size_t memory_limit_bytes = 0;  // 0: none
  unsigned retries = 1;
  unsigned retries_error = 0;
  unsigned retries_kill = 100;
  bool keep_going = false;
  std::size_t max_failures = 0;    // 0: no limit
  std::size_t max_timeouts = 256;  // 0: no limit
  bool allow_threads = false;
  bool prefix_output = false;
  bool record_chunks = false;
  executor run_on = executor::processes;
  start_by start = start_by::fork;
  bool pin = false;
  replayed replay = {};
  bool check_pool = false;  // runs in a pool are done a second time, by workers started for them
};

// Forks have the caller's environment, and work where it does. Throws shard::error if the options
// say otherwise.
void refuse_what_forks_have(const options& given);

// The options of one map where it sets them, else those that hold for all.
options merged(const options& all, const options& one);

// The names of all variables of the environment that shard reads, each once.
std::span<const std::string_view> variables() noexcept;

// How many workers a map has here that can have any number of them.
unsigned workers_of(const settings& how);

// What the code says; else what the variable says, else the default. An empty variable is as good
// as none. Throws shard::error if an option or a variable has a value that can't be honoured.
settings resolve(const options& given);

}  // namespace shard::mapping
