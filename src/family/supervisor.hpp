// The supervisor process: keeps the slots of a board manned until the run is over. Its standby,
// forked first of all, becomes the supervisor if this one dies.
#pragma once

#include <csignal>
#include <vector>

#include "family/crew.hpp"
#include "memory/segment.hpp"
#include "os/descriptor.hpp"

namespace shard::family {

// What the caller hands down. Everything that lives on holds `run_goes_on`, the write end of a
// pipe: when the caller reads its end, nobody writes to the buffers any more.
struct supervision {
  const crew& all;
  std::vector<memory::live_segment> inherited;
  sigset_t mask{};
  os::descriptor caller;      // readable when the caller has died
  os::descriptor called_off;  // readable when it wants the run to end at once
  os::descriptor run_goes_on;
};

// The life of a supervisor, from the moment it was started. `again`: it follows one that has died,
// with all its workers.
[[noreturn]] void be_supervisor(const supervision& run, bool again) noexcept;

}  // namespace shard::family
