// One run, as its supervisor sees it: what is left to do at each slot of the board, who takes too
// long, and what is held against the dead. Made for one crew; the staff that works on it, and what
// the family knows of kills for memory, outlive it.
#pragma once

#include <optional>
#include <string>

#include "board/board.hpp"
#include "family/agenda.hpp"
#include "family/cause_of_death.hpp"
#include "family/crew.hpp"
#include "family/overtime.hpp"
#include "family/staff.hpp"

namespace shard::family {

// What workers do until they end.
enum class workers_work { this_run, many_runs };

class supervised_run final : public agenda {
 public:
  supervised_run(const crew& all, staff& who, memory_kills& kills,
                 workers_work work = workers_work::this_run);

  bool wants_worker(unsigned slot) const override;
  void prepare(unsigned slot) override;
  void ask_for_a_place() const override { board_.raise(board::handover); }
  void has_a_place() const override { board_.lower(board::handover); }
  std::optional<clock::duration> enforce_timeouts() override { return overtime_.enforce(staff_); }
  void worker_ended(unsigned slot, const departure& dead) override;
  void acquit(unsigned slot) override;
  [[nodiscard]] bool mend(unsigned slot) override;
  // Ends the run early.
  void give_up(const std::string& trouble) override;

 private:
  const crew& all_;
  const board::board& board_;
  staff& staff_;
  memory_kills& kills_;
  overtime overtime_;
  workers_work work_;
  unsigned unblamed_ = 0;  // deaths
  bool given_up_ = false;  // not even what is in quarantine is finished
};

}  // namespace shard::family
