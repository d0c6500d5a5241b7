#include "family/crew.hpp"

namespace shard::family {

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
