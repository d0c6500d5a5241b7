// What a pool's family has to do: the run whose turn it is, at every slot a worker that is ready
// for the next one, and what the caller asks of its supervisor between.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "family/agenda.hpp"
#include "family/cause_of_death.hpp"
#include "family/crew.hpp"
#include "family/run_queue.hpp"
#include "family/service.hpp"
#include "family/supervised_run.hpp"
#include "family/supervisor.hpp"

namespace shard::family {

class series final : public agenda {
 public:
  series(const run_queue& runs, staff& who, memory_kills& kills);

  bool wants_worker(unsigned slot) const override;
  void prepare(unsigned slot) override;
  void ask_for_a_place() const override;
  void has_a_place() const override { runs_.want_room(false); }
  std::optional<clock::duration> enforce_timeouts() override;
  void worker_ended(unsigned slot, const departure& dead) override;
  void acquit(unsigned slot) override;
  [[nodiscard]] bool mend(unsigned slot) override;
  void give_up(const std::string& trouble) override;
  void watch(os::poll_set& all) override;
  void serve(const os::poll_set& found) override;

 private:
  // One whose turn it is, or was when somebody last looked.
  struct turn {
    turn(const run_queue& runs, door::run which, staff& who, memory_kills& kills);

    door::run number;
    board::board board;
    crew all;
    supervised_run run;
  };

  bool is_current(door::run number) const;
  turn& turn_of(door::run current);
  bool is_needed(unsigned slot) const;
  void kill_who_works_in_vain();
  void name_stacks_if_asked();

  const run_queue& runs_;
  const door& door_;
  staff& staff_;
  memory_kills& kills_;
  std::unique_ptr<turn> turn_;
  unsigned idle_deaths_ = 0;  // since a run was over
  door::run over_then_ = 0;   // when the last one of those was
  bool given_up_ = false;
  os::poll_set::token called_;
};

// What the supervisor of a pool begins with, but for what every launch adds. forsaken: where its
// processes have addresses of the caller's buffers. Both must outlive it.
supervision supervision_of(const service& all, const std::vector<mapped>& forsaken);

}  // namespace shard::family
