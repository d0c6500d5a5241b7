#include "family/crew.hpp"

#include "board/run_memory.hpp"
#include "os/own_pid.hpp"
#include "os/process.hpp"
#include "os/usage.hpp"

namespace shard::family {

void add_own_facts(board::failure_facts& to, const roster& family) noexcept {
  to.pid = os::own_pid();
  const auto used = os::own_usage();
  if (!used) family.go_without(usage_told);
  to.used = used.value_or(os::usage{});
}

void work_at(const crew& all, unsigned slot, const board::task& what, const board::policy& how,
             board::workplace& where) {
  const os::anonymous_memory memory =
      board::run_memory(board::owner::memory_bytes(all.board.size()), os::sharing::none);
  board::owner(all.board, slot, what, how, memory.base(), where).work();
}

unsigned heed_signals(const crew& all) noexcept {
  const unsigned count = all.signals ? all.signals->count() : 0;
  if (count != 0 && (all.board.controls() & board::requested) == 0) stop_on_request(all.board);
  return count;
}

void stop_on_request(const board::board& on) noexcept {
  on.raise(board::requested);
  on.raise(board::stopping);
}

}  // namespace shard::family
