#include "family/series.hpp"

#include <algorithm>
#include <chrono>
#include <exception>

#include "board/recovery.hpp"
#include "family/attempt.hpp"
#include "family/stack_names.hpp"
#include "family/worker.hpp"
#include "os/event.hpp"
#include "os/process.hpp"

namespace shard::family {

using namespace std::chrono_literals;

series::turn::turn(const run_queue& runs, door::run which, staff& who, memory_kills& kills)
    : number(which),
      board(runs.board_of(runs.of(which))),
      all{.board = board,
          .roster = runs.family(),
          .memory = {},
          .policy = runs.of(which).policy,
          .worker_limits = runs.of(which).worker_limits,
          .grants = {},
          .enter = {}},
      run(all, who, kills, workers_work::many_runs) {}

// Whoever supervised before may have died with a call that it had heard and not served.
series::series(const run_queue& runs, staff& who, memory_kills& kills)
    : runs_(runs), door_(runs.entrance()), staff_(who), kills_(kills) {
  runs_.call_supervisor();
}

// Only one run can be: the first that is not over.
bool series::is_current(door::run number) const {
  return number != 0 && number == door_.over() + 1 && number <= door_.submitted();
}

series::turn& series::turn_of(door::run current) {
  if (!turn_ || turn_->number != current) {
    turn_ = std::make_unique<turn>(runs_, current, staff_, kills_);
  }
  return *turn_;
}

// ---- Seats ----

// While a slot that has work can't get a process, the others wait.
bool series::wants_worker(unsigned slot) const {
  if (given_up_ || runs_.is_ending()) return false;
  return !runs_.wants_room() || door_.inside(slot) != 0 || is_needed(slot);
}

// Whether a run waits that only some slots may enter, this one among them: a process that is idle
// elsewhere is of no use to it.
bool series::is_needed(unsigned slot) const {
  const door::run now = door_.over() + 1;
  if (now > door_.submitted()) return false;
  const unsigned most = door_.most(now);
  return most < staff_.seats() && slot < most;
}

void series::prepare(unsigned) {}

void series::ask_for_a_place() const {
  for (unsigned slot = 0; slot < staff_.seats(); ++slot) {
    const bool is_missed = door_.inside(slot) != 0 || is_needed(slot);
    if (staff_.is(slot, staff::seat_state::vacant) && is_missed) {
      return runs_.want_room(true);
    }
  }
}

void series::worker_ended(unsigned slot, const departure& dead) {
  if (const door::run number = door_.inside(slot); is_current(number)) {
    turn& its = turn_of(number);
    if ((its.board.controls() & board::cancelled) != 0) return its.run.acquit(slot);
    return its.run.worker_ended(slot, dead);
  }
  if (dead.how.signal == 0 && dead.how.exit_status == 0) return;  // it has left
  // Between runs: nobody is to blame, unless none ever gets as far as a run.
  if (door_.over() != over_then_) idle_deaths_ = 0;
  over_then_ = door_.over();
  if (++idle_deaths_ <= deaths_borne) return;
  const member& who = runs_.family().at(slot);
  const cause why =
      cause_of(who, dead.how, std::nullopt, kills_, staff_.in_state(staff::seat_state::working));
  give_up("more than " + std::to_string(deaths_borne) +
          " workers of the pool died between two runs; the last one: " + why.what);
}

void series::acquit(unsigned slot) {
  if (const door::run number = door_.inside(slot); is_current(number)) {
    turn_of(number).run.acquit(slot);
  }
}

bool series::mend(unsigned slot) {
  const door::run number = door_.inside(slot);
  if (!is_current(number)) {
    door_.bury(slot, false);
    return true;
  }
  turn& its = turn_of(number);
  if (!its.run.mend(slot)) return false;
  its.run.prepare(slot);  // for whoever comes
  const std::uint32_t controls = its.board.controls();
  const bool has_work = (controls & board::cancelled) == 0 && its.run.wants_worker(slot) &&
                        board::has_tail(its.board, slot);
  door_.bury(slot, has_work);
  return true;
}

void series::give_up(const std::string& trouble) {
  runs_.family().tell_trouble(trouble);
  given_up_ = true;
  runs_.end();
}

// ---- Time ----

std::optional<agenda::clock::duration> series::enforce_timeouts() {
  constexpr clock::duration until_its_turn = 10ms;
  const door::run first = door_.over() + 1;
  const door::run last = door_.submitted();
  bool waits = false;
  for (door::run k = first; k <= last; ++k) waits |= runs_.of(k).worker_limits.timed();
  if (!waits) return std::nullopt;
  if (!runs_.of(first).worker_limits.timed()) return until_its_turn;
  const auto due = turn_of(first).run.enforce_timeouts();
  return last == first ? due
                       : std::min<clock::duration>(due.value_or(until_its_turn), until_its_turn);
}

// ---- Errands ----

void series::watch(os::poll_set& all) { called_ = all.add(runs_.calls()); }

void series::serve(const os::poll_set& found) {
  if (!found.ready(called_)) return;
  os::take_events(runs_.calls());
  kill_who_works_in_vain();
  name_stacks_if_asked();
}

void series::kill_who_works_in_vain() {
  const door::run number = door_.over() + 1;
  if (!is_current(number)) return;
  if ((turn_of(number).board.controls() & board::cancelled) == 0) return;
  for (unsigned slot = 0; slot < staff_.seats(); ++slot) {
    if (door_.inside(slot) == number && staff_.is(slot, staff::seat_state::working)) {
      staff_.kill(slot);
    }
  }
}

// In a child: what names take to be found is given back with it.
void series::name_stacks_if_asked() {
  const door::run number = runs_.to_be_named().load();
  if (number == runs_.named().load()) return;
  struct context {
    const run_queue& runs;
    door::run number;
  } start{runs_, number};
  try {
    attempt([&] {
      os::start_process(
          os::child_exit::signals_parent,
          [](void* given) {
            const auto& from = *static_cast<context*>(given);
            try {
              name_stacks(from.runs.board_of(from.runs.of(from.number)));
            } catch (const std::exception&) {
              // Short of memory: the stacks that are left are told as addresses.
            }
            os::leave(0);
          },
          &start)
          .wait();
    });
  } catch (const std::exception&) {
    // No process, and so no names.
  }
  runs_.named().store(number);
  static_cast<void>(os::count_event(runs_.event().get()));
}

// ---- Its beginning ----

supervision supervision_of(const service& all, const std::vector<mapped>& forsaken) {
  supervision one{.family = all.runs.family(),
                  .prefix_output = all.terms.prefix_output,
                  .mask = all.terms.mask,
                  .held = all.terms.held};
  one.plan = [&all](staff& who, memory_kills& kills) {
    return std::make_unique<series>(all.runs, who, kills);
  };
  one.work = [&all, &forsaken](const newcomer& self) {
    be_worker({all.runs.family(), all.runs.memory(), all.terms.mask, self,
               all.terms.threads_per_worker, false},
              [&](worker& here) { serve(all, forsaken, here); });
  };
  one.conclude = [] {};
  return one;
}

}  // namespace shard::family
