// One run, as its supervisor sees it: what is left to do at each slot of the board, who takes too
// long, and what is held against the dead. Made for one crew; the staff that works on it, and what
// the family knows of kills for memory, outlive it.
#pragma once

#include <optional>
#include <string>

#include "board/board.hpp"
#include "family/cause_of_death.hpp"
#include "family/crew.hpp"
#include "family/overtime.hpp"
#include "family/staff.hpp"

namespace shard::family {

class supervised_run {
 public:
  supervised_run(const crew& all, staff& who, memory_kills& kills);

  // Whether the slot wants a worker.
  bool has_work(unsigned slot) const;

  // A worker is about to be started there.
  void prepare(unsigned slot);
  // A slot with work can't get a worker now: the place of the next who leaves is its own.
  void ask_for_a_place() const { board_.raise(board::handover); }
  void has_a_place() const { board_.lower(board::handover); }

  // Kills who takes too long. Returns when to do so next; nullopt: any time.
  std::optional<overtime::clock::duration> enforce_timeouts() { return overtime_.enforce(staff_); }

  // What becomes of a dead worker's chunk, and of the run.
  void worker_ended(unsigned slot, const departure& dead);
  // The slot's worker died with its supervisor, and is innocent.
  void acquit(unsigned slot) const;
  // Makes a dead worker's slot ready for the next one. False: it can't be now; try again.
  [[nodiscard]] bool mend(unsigned slot) const;

  void forget_trouble() const { *all_.roster.trouble() = '\0'; }  // was another supervisor's
  // Ends the run early.
  void give_up(const std::string& trouble);
  // Nobody works any more.
  void finish() const { board_.raise(board::finished); }

 private:
  const crew& all_;
  const board::board& board_;
  staff& staff_;
  memory_kills& kills_;
  overtime overtime_;
  unsigned unblamed_ = 0;  // deaths
  bool given_up_ = false;  // not even what is in quarantine is finished
};

}  // namespace shard::family
