// A pool's supervisor that is no fork of the caller: the program that the caller runs is started
// once more. It finds a letter, which says what it is wanted for, and becomes the supervisor.
#pragma once

#include <string>
#include <vector>

#include "family/launch.hpp"
#include "family/run_queue.hpp"
#include "family/service.hpp"
#include "os/descriptor.hpp"
#include "os/process.hpp"

namespace shard::family {

// How the program is started.
struct fresh_program {
  std::vector<std::string> environment;  // NAME=value
  std::string directory;                 // where it works; empty: where the caller does
};

// ---- The caller's side.

// What it takes, at the beginning of main: the program can be started again, with the arguments
// that it has now. False: that was done before. Then a letter that lies at its number is one that
// this program has written itself.
bool remember_arguments(int count, char** arguments);
// Throws shard::error if that was not done, or this program can't be told from other builds.
void require_to_be_startable();

class spawning {
 public:
  // Throws shard::error, or os::call_failed. runs: must outlive it.
  spawning(const run_queue& runs, const service_terms& terms, const fresh_program& how, bool again);

  // A launch::birth.
  os::process operator()(const launch::gifts& to) const;

  // Once nobody is left: says on the roster why the program has not become a supervisor, if there
  // is a reason that would be the same the next time. `last`: there will be no next time.
  void tell_why_it_has_not_begun(const os::ending& how, bool last) const;

 private:
  const run_queue& runs_;
  int held_;
  std::vector<std::string> environment_;
  os::descriptor directory_;
  os::descriptor letter_;
};

// ---- The side of the program that was started.

// Whether there is a letter.
bool is_spawned() noexcept;
// Becomes the supervisor that the letter asks for. Requires: is_spawned().
[[noreturn]] void be_spawned_supervisor(service::make_task make) noexcept;

}  // namespace shard::family
