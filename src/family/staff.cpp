#include "family/staff.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <system_error>
#include <utility>

#include "family/attempt.hpp"
#include "os/own_pid.hpp"

namespace shard::family {
namespace {

using clock = std::chrono::steady_clock;

// What can't be done at once (reaping, mending a slot, forking) is tried again after these.
constexpr std::chrono::milliseconds soon{5};
constexpr std::chrono::milliseconds later{100};
constexpr unsigned forks_tried = 50;

// A run that is over before this needs no standby: if its supervisor dies, the caller starts
// another.
constexpr std::chrono::milliseconds long_enough{2};

}  // namespace

staff::staff(const roster& of, relay& output, std::vector<int> signs_of_life)
    : roster_(of),
      relay_(output),
      signs_of_life_(std::move(signs_of_life)),
      seats_(of.size()),
      most_working_(of.size()),
      standby_due_(clock::now() + long_enough) {}

// ---- Seats ----

unsigned staff::in_state(seat_state state) const {
  return static_cast<unsigned>(
      std::ranges::count_if(seats_, [state](const seat& one) { return one.state == state; }));
}

bool staff::may_run(unsigned slot) const {
  return is(slot, seat_state::working) || is(slot, seat_state::ended);
}

bool staff::has_room() const {
  return in_state(seat_state::working) + in_state(seat_state::ended) < most_working_;
}

void staff::start(unsigned slot, const std::function<void(const newcomer&)>& work) {
  member& at = roster_.at(slot);
  at.words.spoken.store(0, std::memory_order_relaxed);
  at.words.stack.clear();
  at.preparing.store(0, std::memory_order_relaxed);
  const newcomer one{slot, os::own_pid(), signs_of_life_, relay_.open(slot)};
  try {
    seats_[slot].worker = fork_off([&] { work(one); });
  } catch (const error&) {
    // It may have run before it was found that it can't be watched: its slot needs mending.
    seats_[slot].state = seat_state::dead;
    relay_.close(slot);
    short_of_processes_ = true;
    ++forks_failed_;
    throw;
  }
  at.pid.store(seats_[slot].worker.pid(), std::memory_order_relaxed);
  seats_[slot].state = seat_state::working;
  forks_failed_ = 0;
}

// If nobody works, all that is left is to try again, for a while; but for descriptors, which others
// can't give back.
bool staff::is_helpless(const error& why) const {
  const bool nobody_works =
      in_state(seat_state::vacant) + in_state(seat_state::dead) == seats_.size();
  const bool hopeless = why.code() == std::errc::too_many_files_open;
  return nobody_works && (hopeless || forks_failed_ > forks_tried * seats_.size());
}

std::optional<departure> staff::reap(unsigned slot) {
  seat& one = seats_[slot];
  const std::optional<os::ending> how = one.worker.reap();
  one.state = seat_state::ended;
  if (!how) return std::nullopt;
  const pid_t pid = one.worker.pid();
  one.worker = {};
  one.state = seat_state::dead;
  relay_.close(slot);
  roster_.at(slot).printed.store(0);
  roster_.at(slot).pid.store(0, std::memory_order_relaxed);
  return departure{pid, *how};
}

void staff::inherit(unsigned slot) {
  standby_due_ = {};                  // who follows a dead supervisor wants one at once
  roster_.at(slot).printed.store(0);  // what was in its pipes is lost
  roster_.at(slot).pid.store(0, std::memory_order_relaxed);
  seats_[slot].state = seat_state::dead;
}

// ---- The standby ----

void staff::keep_a_standby(const std::function<void(const os::descriptor&, pid_t)>& wait) {
  if (standby_ || standbys_lost_ > deaths_borne || clock::now() < standby_due_) return;
  try {
    const os::descriptor supervisor_ended = os::watch_process(os::own_pid());
    const pid_t supervisor = os::own_pid();
    standby_ = fork_off([&] { wait(supervisor_ended, supervisor); });
    // It says so itself, too; here, since it may be killed before it has run at all.
    roster_.leader(roster_.takeovers().load(std::memory_order_relaxed) + 1)
        .store(standby_.pid(), std::memory_order_relaxed);
    os::let_lead_own_group(standby_.pid());  // soon: a kernel may kill this group
  } catch (const std::exception&) {
    // The run goes on without; its caller still hears of the supervisor's death.
    roster_.go_without(supervisor_replaced);
    standbys_lost_ = deaths_borne + 1;
  }
}

void staff::reap_standby(const os::poll_set& found) {
  standby_ended_ |= found.ready(standby_end_);
  if (!standby_ended_ || !standby_.reap()) return;
  standby_ = {};
  standby_ended_ = false;
  ++standbys_lost_;
}

// ---- The loop ----

bool staff::has_gone() const {
  return !short_of_processes_ && in_state(seat_state::vacant) == seats_.size();
}

void staff::watch(os::poll_set& all) {
  const bool standby_lives = standby_ && !standby_ended_;
  standby_end_ = all.add(standby_lives ? standby_.pidfd() : -1);
  child_end_ = all.add(children_);
  for (seat& one : seats_) {
    one.end = all.add(one.state == seat_state::working ? one.worker.pidfd() : -1);
  }
  if (!standby_ && standbys_lost_ <= deaths_borne) all.wake_after(long_enough);
  if (short_of_processes_) all.wake_after(later);
  const unsigned dead = short_of_processes_ ? 0 : in_state(seat_state::dead);
  if (!children_) all.wake_after(later);
  if (standby_ended_ || orphans_ended_ || in_state(seat_state::ended) + dead != 0) {
    all.wake_after(soon);
  }
}

bool staff::has_ended(unsigned slot, const os::poll_set& found) const {
  return found.ready(seats_[slot].end);
}

void staff::reap_orphans(const os::poll_set& found) {
  orphans_ended_ |= found.ready(child_end_) || !children_;
  if (!orphans_ended_) return;
  std::vector<pid_t> ours{standby_.pid()};
  for (const seat& one : seats_) ours.push_back(one.worker.pid());
  orphans_ended_ = !os::reap_all_but(ours, children_);
}

void staff::end_all() {
  if (standby_) {  // first: it would take our place
    standby_.kill();
    standby_.wait();
  }
  for (const seat& one : seats_) {
    if (one.worker) one.worker.kill();
  }
  if (!os::end_all_children()) roster_.go_without(orphans_end);
}

os::process staff::fork_off(const std::function<void()>& life) {
  struct context {
    staff* self;
    const std::function<void()>* life;
  } start{this, &life};
  const fork_timer timer(roster_);
  return attempt([&] {
    return os::start_process(
        os::child_exit::signals_parent,
        [](void* given) {
          const auto& from = *static_cast<context*>(given);
          from.self->forget();
          (*from.life)();
        },
        &start);
  });
}

void staff::forget() {
  relay_.forget();
  children_ = {};
}

}  // namespace shard::family
