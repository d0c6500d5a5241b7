// Options, environment and defaults, made one.
#pragma once

#include "shard/options.hpp"

namespace shard::mapping {

// Every member of options, decided. workers and grain may still be 0: "to be chosen".
struct settings {
  unsigned workers = 0;
  std::size_t grain = 0;
  unsigned retries = 2;
  unsigned retries_error = 0;
  unsigned retries_kill = 100;
  bool keep_going = false;
  seconds timeout{};          // 0: none
  double timeout_factor = 0;  // 0: none
  std::size_t memory_limit_bytes = 0;
  bool allow_threads = false;
  executor run_on = executor::processes;
};

// Throws shard::error if an option or a variable has a value that can't be honoured.
settings resolve(const options& given);

}  // namespace shard::mapping
