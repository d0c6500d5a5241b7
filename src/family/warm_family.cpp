#include "family/warm_family.hpp"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "family/attempt.hpp"
#include "family/mappings.hpp"
#include "family/place.hpp"
#include "family/series.hpp"
#include "family/worker.hpp"
#include "os/anonymous.hpp"
#include "os/event.hpp"
#include "os/futex.hpp"
#include "os/own_pid.hpp"
#include "os/process.hpp"
#include "shard/error.hpp"

namespace shard::family {
namespace {

using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How long a supervisor has to end a run that is cancelled, and workers to leave in the end.
constexpr milliseconds patience_with_a_cancel{500};
constexpr milliseconds patience_with_the_end{40};

// How long few workers have for what should be done in no time. Longer than from one tick of the
// system's clock to the next: an earlier timer costs more than a short run.
constexpr milliseconds patience_with_few{20};

// Or each worker would find it out for itself, and die of that.
void require_to_be_looked_into() {
  if (os::may_be_looked_into()) return;
  throw error(std::errc::operation_not_permitted,
              "cannot start a pool: found a program that isn't dumpable (prctl, PR_SET_DUMPABLE; a "
              "change of its user does that, too), expected one whose workers may open its buffers "
              "in /proc; or map without a pool");
}

// While one lives, the end of the run is told, and what workers print is passed on before that. Not
// longer: whoever ends a run that nobody waits for should lose no time.
class awaiting {
 public:
  awaiting(const door& at, door::run which) noexcept : door_(at) { door_.await(which); }
  awaiting(const awaiting&) = delete;
  awaiting& operator=(const awaiting&) = delete;
  ~awaiting() { door_.await(0); }

 private:
  const door& door_;
};

}  // namespace

warm_family::warm_family(const order& what)
    : what_(what),
      runs_(what.workers,
            what.program ? run_queue::audience::programs : run_queue::audience::children),
      door_(runs_.entrance()),
      service_{runs_,
               what.make,
               {.spin = what.spin,
                .processors = what.processors,
                .threads_per_worker = what.threads_per_worker,
                .prefix_output = what.prefix_output,
                .caller = os::own_pid(),
                .held = what.held}},
      brief_([this](std::vector<memory::live_segment> inherited) {
        supervision one = supervision_of(service_, forsaken_);
        one.prepare = [this, buffers = std::move(inherited)] {
          inherited_ = buffers;  // names, that the places refer to
          forsaken_ = forsake_buffers(inherited_);
        };
        return one;
      }) {
  require_to_be_looked_into();
  if (what_.pin) give_places(runs_.family(), what_.threads_per_worker);
  start(false);
  memory::add_borrower(*this);
}

warm_family::~warm_family() {
  memory::remove_borrower(*this);
  finish();
}

// Only this family has the memory: other processes that the caller forks could do nothing good with
// it.
void warm_family::start(bool again) {
  ++births_;
  runs_.family().lower(arrived);
  service_.terms.mask = os::signal_mask();
  const std::span<std::byte> memory = runs_.memory();
  os::leave_to_children(memory.data(), memory.size());
  attempt([&] { launch_.emplace(runs_.family(), birth_of(again)); });
  keep_from_children(runs_.family(), memory.data(), memory.size());
}

launch::birth warm_family::birth_of(bool again) {
  if (!what_.program) {
    const os::child_exit how = prepare_to_fork(runs_.family(), what_.allow_threads || again);
    return forked(how, again, brief_);
  }
  prepare_to_spawn();
  spawned_.emplace(runs_, service_.terms, *what_.program, again);
  return std::ref(*spawned_);
}

void warm_family::submit(door::run number) {
  const assignment& what = runs_.of(number);
  const unsigned workers = runs_.workers_for(what);
  const bool sleeps = what.awaited && !may_look(number, workers);
  if (sleeps) door_.await(number);
  // Who is woken may be one that must not enter: then all are.
  const bool is_limited = what.most_workers < runs_.slots();
  door_.submit(number, is_limited ? door::all : workers,
               sleeps ? door::waker::makes_room : door::waker::stays, what.most_workers);
  if (sleeps && workers == 1 && looks_pay_off()) door_.call_one_from_elsewhere();
  if (what.worker_limits.timed()) runs_.call_supervisor();
}

// Of one short run after the other: to wake another worker, who looks for the next ones while the
// caller does, costs as much as some runs for which the caller and the same worker sleep in turn.
bool warm_family::looks_pay_off() noexcept {
  constexpr int enough = 8;
  const clock::time_point here = clock::now();
  const bool goes_on = here - slept_ < what_.spin;
  slept_ = here;
  turns_ = goes_on ? turns_ + 1 : 0;
  return turns_ % enough == enough - 1;
}

// ---- Waiting ----

// Whether the caller may look for the end of a run of so many workers, instead of sleeping: it
// doesn't take long, and nobody needs the processor.
bool warm_family::may_look(door::run number, unsigned workers) const noexcept {
  if (what_.spin.count() == 0 || runs_.expected(runs_.of(number), workers) > what_.spin) {
    return false;
  }
  const door::watch awake = door_.awake();
  if (awake.all == 0 || awake.all != awake.elsewhere) return false;
  return std::min(runs_.slots(), std::max(workers, awake.all)) < what_.processors;
}

// For a while.
void warm_family::look_for_the_end(door::run number) const noexcept {
  constexpr int turns_between_looks_at_the_clock = 16;
  clock::time_point tired{};
  clock::duration looked{};
  for (int turn = 1; door_.over() < number && looked < what_.spin; ++turn) {
    os::pause();
    if (turn % turns_between_looks_at_the_clock != 0) continue;
    const clock::time_point here = clock::now();
    if (tired == clock::time_point{}) tired = here + what_.spin;
    looked = here + what_.spin - tired;
  }
  if (looked.count() != 0) family().add_looking(looked);
}

bool warm_family::wait(door::run number, const crew& all, const on_tick& listen,
                       std::optional<clock::time_point> until) {
  if (door_.over() < number && may_look(number, door_.wanted(number))) look_for_the_end(number);
  if (door_.over() < number) {
    const awaiting its_end(door_, number);
    while (door_.over() < number && !ended_) {
      if (until && clock::now() >= *until) return false;
      const std::optional<clock::time_point> due = call_for_help();
      heed_signals(all);
      if (nobody_comes_for_anything()) stop_waiting_for_it();
      if (!sleep(&all, listen, due ? std::min(until.value_or(*due), *due) : until)) cancel(number);
    }
  }
  door_.await(0);  // also where it was over before
  if ((all.board.controls() & board::stopping) == 0) runs_.learn_from(number);
  return true;
}

// Whether all runs are to stop, and nobody is there yet who could see to it: a program that was
// started may take its time before it gets to shard::init. As long as any run is wanted, the
// program is, too.
bool warm_family::nobody_comes_for_anything() noexcept {
  if (!what_.program || family().is(arrived)) return false;
  for (door::run number = door_.over() + 1; number <= door_.submitted(); ++number) {
    const assignment& one = runs_.of(number);
    const bool is_to_stop = (runs_.board_of(one).controls() & board::stopping) != 0;
    // One that follows won't begin, if the one before it has stopped.
    if (!is_to_stop && (number == door_.over() + 1 || !one.follows)) return false;
  }
  return true;
}

void warm_family::stop_waiting_for_it() noexcept {
  if (!given_up_) launch_->kill_supervisor();
  given_up_ = true;
}

void warm_family::tell_of_a_request() const noexcept { os::count_event(runs_.event().get()); }

// Whoever is awake for the run whose turn it is may be stopped, or have more to do than was
// thought. When that is due; nothing: all have been called, or were from the beginning.
std::optional<clock::time_point> warm_family::call_for_help() noexcept {
  const door::run now = door_.over() + 1;
  if (now > door_.submitted() || now == called_for_ || door_.wanted(now) >= runs_.slots()) {
    return std::nullopt;
  }
  if (now != waited_for_) help_is_due_ = clock::now() + patience_with_few;
  waited_for_ = now;
  if (clock::now() < help_is_due_) return help_is_due_;
  door_.call_all();
  called_for_ = now;
  return std::nullopt;
}

// Until something has happened. False: a second signal has come.
bool warm_family::sleep(const crew* all, const on_tick& listen,
                        std::optional<clock::time_point> until) {
  os::watched any[]{{runs_.event().get()}, {launch_->end().get()}, {-1}};
  if (all != nullptr && all->signals) {
    const unsigned signals = heed_signals(*all);
    if (signals > 1 && (all->board.controls() & board::cancelled) == 0) return false;
    if (signals == 0) any[2].descriptor = all->signals->has_come();
    if (signals == 1) any[2].descriptor = all->signals->has_come_again();
  }
  std::optional<milliseconds> limit;
  if (listen) limit = tick;
  if (until) {
    const auto left = std::chrono::ceil<milliseconds>(*until - clock::now());
    limit = std::min(limit.value_or(left), std::max(left, milliseconds(0)));
  }
  os::wait_ready(any, limit);
  if (any[0].ready) os::take_events(runs_.event());
  if (any[1].ready) hear_of_the_end();
  if (listen && !any[0].ready) listen();
  return true;
}

// Nobody is left.
void warm_family::hear_of_the_end() {
  const os::ending how = launch_->bury();
  if (given_up_) return be_ended();  // the report says who has stopped the runs
  if (spawned_) spawned_->tell_why_it_has_not_begun(how, births_ == most_births);
  try {
    if (births_ < most_births && died_at_birth(runs_.family())) return start(true);
  } catch (...) {
    be_ended();
    throw;
  }
  be_ended();
  tell_why_nobody_is_left(runs_.family());
}

void warm_family::be_ended() noexcept {
  ended_ = true;
  launch_.reset();
  door_.give_up(door_.submitted());
}

void warm_family::cancel(door::run number) noexcept {
  if (door_.over() >= number || ended_) return;
  const board::board on = runs_.board_of(runs_.of(number));
  on.raise(board::stopping);
  on.raise(board::cancelled);
  runs_.call_supervisor();
  door_.call_all();  // it may have been meant for one, who is stopped
  const awaiting its_end(door_, number);
  clock::time_point end_of_patience = clock::now() + patience_with_a_cancel;
  int killed = 0;  // the last birth that was
  while (door_.over() < number && !ended_) {
    if (nobody_comes_for_anything()) stop_waiting_for_it();
    os::watched any[]{{runs_.event().get()}, {launch_->end().get()}};
    os::wait_ready(any, patience_with_a_cancel);
    if (any[0].ready) os::take_events(runs_.event());
    if (any[1].ready) {
      try {
        hear_of_the_end();
      } catch (const std::exception&) {  // it has ended: who waits for a run is told why
      }
    }
    if (door_.over() + 1 < number) {  // its turn is not yet
      end_of_patience = clock::now() + patience_with_a_cancel;
      runs_.call_supervisor();
    }
    if (ended_ || killed == births_ || clock::now() < end_of_patience) continue;
    launch_->kill_supervisor();  // it may be stopped, or not have come as far as shard::init
    killed = births_;            // one that is started again may not come so far, either
    end_of_patience = clock::now() + patience_with_a_cancel;
  }
}

void warm_family::wait_for_output() const {
  const auto has_printed = [this](unsigned slot) { return family().at(slot).printed.load() != 0; };
  unsigned any = 0;
  while (any < runs_.slots() && !has_printed(any)) ++any;
  if (any == runs_.slots()) return;
  const awaiting all(door_, door_.submitted());  // whoever looks for a run sees to that first
  for (unsigned slot = 0; slot < runs_.slots() && !ended_; ++slot) {
    const std::atomic<std::uint32_t>& printed = family().at(slot).printed;
    for (unsigned turn = 0; printed.load() != 0; ++turn) {
      constexpr unsigned soon = 1000;
      if (turn < soon) {
        os::pause();
        continue;
      }
      os::watched end{launch_->end().get()};
      os::wait_ready({&end, 1}, milliseconds(1));
      if (end.ready) return;
    }
  }
}

void warm_family::name_stacks(door::run number) {
  runs_.to_be_named().store(number);
  runs_.call_supervisor();
  while (runs_.named().load() < number && !ended_) sleep(nullptr, {}, {});
}

// ---- Its end ----

// A child that the caller has forked has the family's name, and none of its memory.
void warm_family::give_back(std::uint64_t buffer) noexcept {
  if (service_.terms.caller != os::own_pid()) return;
  const std::scoped_lock held(closing_);
  runs_.close_buffer(buffer);
}

void warm_family::finish() {
  if (ended_) return;
  for (door::run number = door_.over() + 1; number <= door_.submitted(); ++number) {
    const board::board on = runs_.board_of(runs_.of(number));
    on.raise(board::stopping);
    on.raise(board::cancelled);
  }
  runs_.end();
  os::watched all{launch_->end().get()};
  os::wait_ready({&all, 1}, patience_with_the_end);
  // Until somebody has read what was printed, or for 10 s has not: see relay.hpp.
  while (!all.ready && family().is(passing_on)) os::wait_ready({&all, 1}, patience_with_the_end);
  if (!all.ready) launch_->call_off(patience_with_the_end);
  launch_->bury();
}

}  // namespace shard::family
