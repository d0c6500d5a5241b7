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
#include "family/series.hpp"
#include "family/worker.hpp"
#include "os/anonymous.hpp"
#include "os/event.hpp"
#include "os/futex.hpp"
#include "os/process.hpp"
#include "shard/error.hpp"

namespace shard::family {
namespace {

using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How long a supervisor has to end a run that is cancelled, and workers to leave in the end.
constexpr milliseconds patience_with_a_cancel{500};
constexpr milliseconds patience_with_the_end{40};

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
                .last_one_sleeps = what.last_one_sleeps,
                .prefix_output = what.prefix_output,
                .caller = os::own_pid()}},
      brief_([this](std::vector<memory::live_segment> inherited) {
        supervision one = supervision_of(service_, forsaken_);
        one.prepare = [this, buffers = std::move(inherited)] {
          inherited_ = buffers;  // names, that the places refer to
          forsaken_ = forsake_buffers(inherited_);
        };
        return one;
      }),
      how_(prepare_to_launch(runs_.family(), what.allow_threads || what.program)) {
  require_to_be_looked_into();
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
  service_.terms.mask = os::signal_mask();
  const std::span<std::byte> memory = runs_.memory();
  os::leave_to_children(memory.data(), memory.size());
  attempt([&] { launch_.emplace(runs_.family(), birth_of(again)); });
  keep_from_children(runs_.family(), memory.data(), memory.size());
}

launch::birth warm_family::birth_of(bool again) {
  if (!what_.program) return forked(how_, again, brief_);
  spawned_.emplace(runs_, service_.terms, *what_.program, again);
  return std::ref(*spawned_);
}

void warm_family::submit(door::run number, bool awaited) {
  if (awaited) door_.await(number);
  const assignment& what = runs_.of(number);
  const auto wanted = std::clamp<std::size_t>(what.size.chunks, 1, runs_.slots());
  door_.submit(number, static_cast<unsigned>(wanted));
  if (what.worker_limits.timed()) runs_.call_supervisor();
}

// ---- Waiting ----

bool warm_family::wait(door::run number, const crew& all, const on_tick& listen,
                       std::optional<clock::time_point> until) {
  if (what_.caller_spin.count() != 0) {
    const clock::time_point tired = clock::now() + what_.caller_spin;
    while (door_.over() < number && clock::now() < tired) os::pause();
  }
  const awaiting its_end(door_, number);
  while (door_.over() < number && !ended_) {
    if (until && clock::now() >= *until) return false;
    if (!sleep(&all, listen, until)) cancel(number);
  }
  return true;
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
  if (spawned_) spawned_->tell_why_it_has_not_begun(how);
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
  const awaiting its_end(door_, number);
  clock::time_point end_of_patience = clock::now() + patience_with_a_cancel;
  bool killed = false;
  while (door_.over() < number && !ended_) {
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
    if (ended_ || killed || clock::now() < end_of_patience) continue;
    launch_->kill_supervisor();  // it may be stopped
    killed = true;
  }
}

void warm_family::wait_for_output() const {
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

void warm_family::give_back(std::uint64_t buffer) noexcept {
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
  if (!all.ready) launch_->call_off(patience_with_the_end);
  launch_->bury();
}

}  // namespace shard::family
