// The supervisor process: keeps the slots manned that want a worker. Its standby becomes the
// supervisor if this one dies.
#pragma once

#include <csignal>
#include <functional>
#include <memory>

#include "family/agenda.hpp"
#include "family/cause_of_death.hpp"
#include "family/roster.hpp"
#include "family/staff.hpp"
#include "os/descriptor.hpp"

namespace shard::family {

// What the caller hands down. Everything that lives on holds `somebody_lives`, the write end of a
// pipe: when the caller reads its end, nobody writes to the buffers any more.
struct supervision {
  const roster& family;
  bool prefix_output = false;
  sigset_t mask{};             // signals that the caller blocks
  os::descriptor caller = {};  // readable when the caller has died
  int called_off = -1;         // readable when it wants all to end at once
  os::descriptor somebody_lives = {};
  int held = -1;  // see crew

  // Called by the first supervisor, before it forks.
  std::function<void()> prepare = {};
  // What there is to do. Called by each supervisor, for itself.
  std::function<std::unique_ptr<agenda>(staff& who, memory_kills& kills)> plan = {};
  // The life of a worker, from the moment it was forked. Must not return.
  std::function<void(const newcomer& self)> work = {};
  // Called once nobody is left; the caller waits for its end.
  std::function<void()> conclude = {};
};

// The life of a supervisor, from the moment it was started. `again`: it follows one that has died,
// with all its workers.
[[noreturn]] void be_supervisor(const supervision& given, bool again) noexcept;

}  // namespace shard::family
