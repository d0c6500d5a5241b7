#include "family/supervisor.hpp"

#include <chrono>
#include <exception>
#include <string>
#include <utility>

#include "family/attempt.hpp"
#include "family/relay.hpp"
#include "family/standby.hpp"
#include "os/output.hpp"
#include "os/poll_set.hpp"
#include "os/process.hpp"
#include "shard/error.hpp"

namespace shard::family {
namespace {

// The loop: brings together the processes, and what is to be done.
class supervisor {
  using seat_state = staff::seat_state;

 public:
  supervisor(const supervision& given, os::pipe_ends life)
      : given_(given),
        life_(std::move(life)),
        relay_(given.family, given.prefix_output),
        staff_(given.family, relay_, {life_.write.get(), given.somebody_lives.get(), given.held}),
        agenda_(given.plan(staff_, kills_)) {}

  // Until no slot wants a worker, and all workers have ended.
  void supervise() {
    while (prepare()) {
      kills_.begin();
      watch();
    }
    pass_on_the_rest();
    given_.family.raise(finished);
  }

  void inherit();  // from a supervisor that has died, with all its workers
  void end_all() { staff_.end_all(); }

 private:
  bool prepare();
  void fill_seat(unsigned slot);
  void watch();
  void look_at(unsigned slot);
  void tell_of_output() const;
  void pass_on_the_rest();

  const supervision& given_;
  os::pipe_ends life_;  // write ends: this process and its workers; read end: the standby
  relay relay_;
  staff staff_;
  memory_kills kills_;
  std::unique_ptr<agenda> agenda_;
};

// Brings slots and processes together as far as it can be done now. False: nothing is left to do.
bool supervisor::prepare() {
  staff_.keep_a_standby(
      [this](const os::descriptor& ended, pid_t pid) { be_standby(given_, ended, pid, life_); });
  staff_.begin_turn();
  for (unsigned slot = 0; slot < staff_.seats(); ++slot) {
    if (staff_.is(slot, seat_state::ended)) look_at(slot);
    if (staff_.is(slot, seat_state::dead) && agenda_->mend(slot)) staff_.clear(slot);
    if (staff_.is(slot, seat_state::vacant) && agenda_->wants_worker(slot)) fill_seat(slot);
  }
  return !staff_.has_gone();
}

// A slot can wait: a worker that has nothing to do makes room for it.
void supervisor::fill_seat(unsigned slot) {
  if (!staff_.has_room()) {
    agenda_->ask_for_a_place();
    return;
  }
  agenda_->prepare(slot);
  try {
    staff_.start(slot, given_.work);
    agenda_->has_a_place();
  } catch (const error& why) {
    agenda_->ask_for_a_place();
    if (staff_.is_helpless(why)) agenda_->give_up(why.what());
  }
}

void supervisor::watch() {
  os::poll_set all;
  const auto caller = all.add(given_.caller);
  const auto called_off = all.add(given_.called_off);
  relay_.watch(all);
  staff_.watch(all);
  agenda_->watch(all);
  if (const auto due = agenda_->enforce_timeouts()) {
    all.wake_after(std::chrono::ceil<std::chrono::milliseconds>(*due));
  }
  all.wait();

  if (all.ready(caller) || all.ready(called_off)) {  // nobody wants the results, or no more of them
    end_all();
    os::leave(0);
  }
  relay_.serve(all);
  tell_of_output();
  agenda_->serve(all);
  staff_.reap_standby(all);
  for (unsigned slot = 0; slot < staff_.seats(); ++slot) {
    if (staff_.has_ended(slot, all)) look_at(slot);
  }
  staff_.reap_orphans(all);
}

void supervisor::look_at(unsigned slot) {
  if (const auto dead = staff_.reap(slot)) agenda_->worker_ended(slot, *dead);
}

// The caller doesn't end the family before its output has come out.
void supervisor::tell_of_output() const {
  const bool holds_any = relay_.holds_any();
  if (given_.family.is(passing_on) == holds_any) return;
  holds_any ? given_.family.raise(passing_on) : given_.family.lower(passing_on);
}

// Every worker has ended. What they printed is passed on before the caller goes on.
void supervisor::pass_on_the_rest() {
  while (relay_.holds_any()) {
    os::poll_set all;
    const auto caller = all.add(given_.caller);
    relay_.watch(all);
    all.wait();
    if (all.ready(caller)) return;
    relay_.serve(all);
    tell_of_output();
  }
}

void supervisor::inherit() {
  given_.family.tell_trouble("");  // what there was, was the other one's
  for (unsigned slot = 0; slot < staff_.seats(); ++slot) {
    staff_.inherit(slot);
    agenda_->acquit(slot);
  }
}

// ---- Its beginning, and its end ----

// What a sandbox may deny, though the caller has found nothing denied: filters look at arguments,
// too. Without these a run could not be ended, and it isn't begun.
void take_the_lead(const roster& family) {
  const char* denied = nullptr;
  if (!os::lead_own_group()) denied = "lead a group of processes: setpgid fails";
  if (!os::may_die_with_parent()) denied = "end workers with their supervisor: prctl fails";
  if (!os::reset_signal_handlers()) {  // its own, and so those of all that it forks
    denied = "reset signal handlers: sigaction fails";
  }
  if (denied != nullptr) {
    family.tell_trouble(denied);
    family.raise(refused);
    os::leave(1);
  }
  if (!os::become_subreaper()) family.go_without(orphans_end);
}

}  // namespace

void be_supervisor(const supervision& given, bool again) noexcept {
  os::call_itself("shard sup");
  take_the_lead(given.family);
  os::read_nothing_from_stdin();
  os::raise_descriptor_limit();  // three for each worker
  os::unblock_signals(os::without_signals_of_writing(given.mask));
  try {
    if (given.prepare) given.prepare();
    attempt([&] {
      supervisor self(given, os::make_pipe());
      if (again) self.inherit();
      self.supervise();
      self.end_all();
    });
  } catch (const std::exception& problem) {
    // Short of memory or descriptors. As if killed: the standby, if there is one, goes on.
    given.family.tell_trouble(problem.what());
    os::leave(1);
  }
  try {
    given.conclude();
  } catch (const std::exception&) {
    // Short of memory: what it was to conclude is told as it is.
  }
  os::leave(0);
}

}  // namespace shard::family
