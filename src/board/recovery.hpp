// The supervisor's side of the board: what becomes of a slot whose owner has died. One process at a
// time does this, after the owner is reaped; it may itself die at any step, and its successor
// begins again with reclaim().
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string_view>

#include "board/board.hpp"
#include "os/usage.hpp"

namespace shard::board {

// An owner's.
struct death {
  failure_kind kind = failure_kind::signal;
  int signal = 0;
  int exit_status = 0;
  std::string_view what = {};
  std::chrono::nanoseconds when{};  // by the steady clock
  std::int32_t pid = 0;
  os::usage used = {};
  evidence left = {};
};

// Blames the chunk that was in progress, if any, and records the failure. Called once for a death.
// Returns false if the death blames no chunk.
bool judge(const board& on, unsigned slot, const death& how, const budgets& allowed);

// Forgets what was in progress, for an owner whose death is no fault of its chunk's.
void acquit(const board& on, unsigned slot) noexcept;

// Gives the slot the chunks that its owner had claimed but not logged. False: a live owner of
// another slot is inside its own claiming window just now; nothing is changed; try again.
// alive(slot): whether that slot's owner may still run.
bool reclaim(const board& on, unsigned slot, const std::function<bool(unsigned)>& alive);

// Whether the slot's log has entries that are not committed.
bool has_tail(const board& on, unsigned slot) noexcept;

// Whether one of those is in quarantine: that is finished even when the run stops.
bool has_quarantine(const board& on, unsigned slot) noexcept;

}  // namespace shard::board
