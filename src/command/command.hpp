// What every subcommand of `shard` is made of. Each is one source file, which adds itself to the
// program: its options, its help, and what it does when it was asked for.
#pragma once

#include <CLI/CLI.hpp>

namespace shard::command {

// What the program ends with.
enum class status : int {
  ok = 0,
  failed = 1,  // an error, said on standard error; or doctor has found a problem
  usage = 2,   // the command line makes no sense
};

// `result` is set by the subcommand that runs, if it does not throw.
void add_info(CLI::App& program, status& result);
void add_head(CLI::App& program, status& result);
void add_cat(CLI::App& program, status& result);
void add_stats(CLI::App& program, status& result);
void add_gc(CLI::App& program, status& result);
void add_doctor(CLI::App& program, status& result);

}  // namespace shard::command
