// Who takes too long at a piece of work. Made for one run; used by the supervisor.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "family/crew.hpp"
#include "family/staff.hpp"

namespace shard::family {

class overtime {
 public:
  using clock = std::chrono::steady_clock;

  explicit overtime(const crew& all);

  // Kills who has taken too long. Returns how long the next one may still take; nullopt: any time.
  std::optional<clock::duration> enforce(const staff& who);

  // A worker that enforce() has killed.
  struct finding {
    double seconds = 0;  // that it took
    double allowed = 0;
    bool was_at_it = false;  // or it came to the end of that just before it was hit
  };
  // What the slot's worker, which is reaped, was killed for; nullopt: not by us.
  std::optional<finding> of(unsigned slot) const;

  // A new worker comes to the slot.
  void forget(unsigned slot) { killed_for_[slot].reset(); }

 private:
  // What it was at when it was killed.
  struct offence {
    std::uint64_t running = 0;
    std::chrono::nanoseconds began{};
    double seconds = 0;
    double allowed = 0;
  };

  std::optional<clock::duration> allowed_time() const;

  const board::board& board_;
  const limits& limits_;
  std::vector<std::optional<offence>> killed_for_;  // by slot
};

}  // namespace shard::family
