#include "family/supervisor.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include "board/recovery.hpp"
#include "family/relay.hpp"
#include "family/stack_names.hpp"
#include "family/worker.hpp"
#include "os/last_words.hpp"
#include "os/memory_pressure.hpp"
#include "os/output.hpp"
#include "os/poll_set.hpp"
#include "os/process.hpp"
#include "shard/error.hpp"

namespace shard::family {
namespace {

using namespace std::chrono_literals;

// Deaths that blame no chunk which a run bears, of workers and of supervisors: more are a fault
// that repeats itself.
constexpr unsigned deaths_borne = 100;
static_assert(deaths_borne + 2 <= roster::leader_capacity);

// What can't be done at once (reaping, mending a slot, forking) is tried again after these.
constexpr std::chrono::milliseconds soon{5};
constexpr std::chrono::milliseconds later{100};
constexpr unsigned forks_tried = 50;

// How long a standby leaves it to the supervisor to end the run of a caller that has died.
constexpr auto grace = 500ms;

// One slot of the board, as the supervisor sees it.
struct seat {
  enum { vacant, working, ended, dead } state = vacant;
  os::process
      worker;  // ended: its pidfd says so, but it can't be reaped yet; dead: its slot needs mending
  os::poll_set::token readable;

  // What it was at when we killed it for taking too long; nothing: we didn't.
  struct overtime {
    std::uint64_t running = 0;
    std::chrono::nanoseconds began{};
    double seconds = 0;
    double allowed = 0;
  };
  std::optional<overtime> killed_for{};
};

class supervisor {
  using clock = std::chrono::steady_clock;

 public:
  supervisor(const supervision& run, os::pipe_ends life)
      : run_(run),
        board_(run.all.board),
        roster_(run.all.roster),
        life_(std::move(life)),
        seats_(board_.size().slots),
        relay_(roster_, run.all.prefix_output) {}

  // Until the run is over: every slot with work has a worker.
  void supervise() {
    while (prepare()) watch();
    pass_on_the_rest();
    board_.raise(board::finished);
  }

  void inherit();  // from a supervisor that has died, with all its workers
  void end_all();

 private:
  bool prepare();
  void forget();  // in a child: what is the supervisor's
  void keep_a_standby();
  void mend(unsigned slot);
  void staff(unsigned slot);
  bool has_work(unsigned slot) const;
  void fork_failed(const error& why);
  void watch();
  void reap_orphans();
  void pass_on_the_rest();
  void look_at(unsigned slot);
  void worker_ended(unsigned slot, const os::ending& how);
  std::optional<clock::duration> allowed_time() const;
  std::optional<clock::duration> enforce_timeouts();
  bool was_killed_for_memory();
  struct cause;
  cause cause_of(unsigned slot, const os::ending& how);
  bool judge(unsigned slot, pid_t pid, const os::ending& how, const cause& why);
  void give_up(const std::string& trouble);
  unsigned in_state(int state) const;

  const supervision& run_;
  const board::board& board_;
  const roster& roster_;
  os::pipe_ends life_;  // write ends: this process and its workers; read end: the standby
  std::vector<seat> seats_;
  relay relay_;
  os::descriptor children_ = os::hear_of_children();  // those of dead kernels among them
  bool orphans_ended_ = false;
  os::process standby_;
  bool standby_ended_ = false;  // but can't be reaped yet
  unsigned standbys_lost_ = 0;
  unsigned unblamed_ = 0;
  bool given_up_ = false;      // not even what is in quarantine is finished
  unsigned forks_failed_ = 0;  // in a row
  bool short_of_processes_ = false;
  std::size_t kills_for_memory_ = os::kills_for_memory().value_or(0);  // that we know of
  unsigned most_working_ = static_cast<unsigned>(seats_.size());  // fewer, where memory is short
};

[[noreturn]] void be_standby(const supervision& run, const os::descriptor& supervisor_ended,
                             pid_t supervisor, os::pipe_ends& life);

// ---- Staffing ----

// Brings slots and processes together as far as it can be done now. False: nothing is left to do.
bool supervisor::prepare() {
  keep_a_standby();
  short_of_processes_ = false;
  for (unsigned slot = 0; slot < seats_.size(); ++slot) {
    if (seats_[slot].state == seat::ended) look_at(slot);
    if (seats_[slot].state == seat::dead) mend(slot);
    if (seats_[slot].state == seat::vacant && has_work(slot)) staff(slot);
  }
  return short_of_processes_ || in_state(seat::vacant) != seats_.size();
}

void supervisor::forget() {
  relay_.forget();
  children_ = {};
}

void supervisor::keep_a_standby() {
  if (standby_ || standbys_lost_ > deaths_borne) return;
  struct context {
    supervisor* self;
    os::descriptor ended;
    pid_t pid;
  };
  try {
    context start{this, os::watch_process(os::own_pid()), os::own_pid()};
    standby_ = os::start_process(
        os::child_exit::signals_parent,
        [](void* given) {
          auto& from = *static_cast<context*>(given);
          from.self->forget();
          be_standby(from.self->run_, from.ended, from.pid, from.self->life_);
        },
        &start);
    // It says so itself, too; here, since it may be killed before it has run at all.
    roster_.leader(roster_.takeovers().load(std::memory_order_relaxed) + 1)
        .store(standby_.pid(), std::memory_order_relaxed);
    os::let_lead_own_group(standby_.pid());  // before there is a worker that can kill this group
  } catch (const std::exception&) {
    // The run goes on without; its caller still hears of the supervisor's death.
    roster_.go_without(supervisor_replaced);
    standbys_lost_ = deaths_borne + 1;
  }
}

void supervisor::mend(unsigned slot) {
  const auto alive = [this](unsigned other) {
    return seats_[other].state == seat::working || seats_[other].state == seat::ended;
  };
  if (!board::reclaim(board_, slot, alive)) return;
  seats_[slot].state = seat::vacant;
  // Whoever set these may have died before it woke the others.
  for (const board::control bit : {board::done, board::stopping}) {
    if ((board_.controls() & bit) != 0) board_.raise(bit);
  }
  if (board_.settled() == board_.size().chunks) board_.raise(board::done);
}

bool supervisor::has_work(unsigned slot) const {
  if (given_up_) return false;
  if ((board_.controls() & (board::done | board::exhausted)) != 0) return false;
  if ((board_.controls() & board::stopping) != 0) return board::has_quarantine(board_, slot);
  return board::has_tail(board_, slot) ||
         board_.cursor().load(std::memory_order_relaxed) < board_.size().chunks;
}

void supervisor::staff(unsigned slot) {
  if (in_state(seat::working) + in_state(seat::ended) >= most_working_) {
    board_.raise(board::handover);  // it gets the place of the next who leaves
    return;
  }
  member& at = roster_.at(slot);
  seats_[slot].killed_for.reset();
  board_.at(slot).left.store(board::leaving::not_yet, std::memory_order_relaxed);
  at.words.spoken.store(0, std::memory_order_relaxed);
  at.words.stack.clear();
  at.preparing.store(0, std::memory_order_relaxed);
  struct context {
    worker_start what;
    supervisor* self;
  } start{{run_.all,
           slot,
           os::own_pid(),
           run_.inherited,
           run_.mask,
           {life_.write.get(), run_.run_goes_on.get()},
           relay_.open(slot)},
          this};
  try {
    seats_[slot].worker = os::start_process(
        os::child_exit::signals_parent,
        [](void* given) {
          auto& from = *static_cast<context*>(given);
          from.self->forget();
          be_worker(from.what);
        },
        &start);
  } catch (const error& why) {
    // It may have run before it was found that it can't be watched: its slot needs mending.
    seats_[slot].state = seat::dead;
    relay_.close(slot);
    fork_failed(why);
    return;
  }
  at.pid.store(seats_[slot].worker.pid(), std::memory_order_relaxed);
  seats_[slot].state = seat::working;
  forks_failed_ = 0;
  board_.lower(board::handover);
}

// A slot can wait: a worker that has nothing to do makes room for it. If nobody works, all that is
// left is to try again, for a while; but for descriptors, which others can't give back.
void supervisor::fork_failed(const error& why) {
  short_of_processes_ = true;
  board_.raise(board::handover);
  ++forks_failed_;
  const bool nobody_works = in_state(seat::vacant) + in_state(seat::dead) == seats_.size();
  const bool hopeless = why.code() == std::errc::too_many_files_open;
  if (nobody_works && (hopeless || forks_failed_ > forks_tried * seats_.size())) {
    give_up(why.what());
  }
}

// ---- Watching ----

void supervisor::watch() {
  const bool standby_lives = standby_ && !standby_ended_;
  os::poll_set all;
  const auto caller = all.add(run_.caller);
  const auto called_off = all.add(run_.called_off);
  const auto standby = all.add(standby_lives ? standby_.pidfd() : -1);
  const auto children = all.add(children_);
  for (seat& one : seats_) {
    one.readable = all.add(one.state == seat::working ? one.worker.pidfd() : -1);
  }
  relay_.watch(all);
  if (short_of_processes_) all.wake_after(later);
  const unsigned dead = short_of_processes_ ? 0 : in_state(seat::dead);
  if (!children_) all.wake_after(later);
  if (standby_ended_ || orphans_ended_ || in_state(seat::ended) + dead != 0) all.wake_after(soon);
  if (const auto due = enforce_timeouts()) {
    all.wake_after(std::chrono::ceil<std::chrono::milliseconds>(*due));
  }
  all.wait();

  if (all.ready(caller) || all.ready(called_off)) {  // nobody wants the results, or no more of them
    end_all();
    os::leave(0);
  }
  standby_ended_ |= all.ready(standby);
  relay_.serve(all);
  if (standby_ended_ && standby_.reap()) {
    standby_ = {};
    standby_ended_ = false;
    ++standbys_lost_;
  }
  for (unsigned slot = 0; slot < seats_.size(); ++slot) {
    if (all.ready(seats_[slot].readable)) look_at(slot);
  }
  orphans_ended_ |= all.ready(children) || !children_;
  if (orphans_ended_) reap_orphans();
}

// What kernels have started and left behind ends as a child of ours: a run that is long enough
// could have no more processes for its dead.
void supervisor::reap_orphans() {
  std::vector<pid_t> ours{standby_.pid()};
  for (const seat& one : seats_) ours.push_back(one.worker.pid());
  orphans_ended_ = !os::reap_all_but(ours, children_);
}

// Every worker has ended. What they printed is passed on before the caller goes on.
void supervisor::pass_on_the_rest() {
  while (relay_.holds_any()) {
    os::poll_set all;
    const auto caller = all.add(run_.caller);
    relay_.watch(all);
    all.wait();
    if (all.ready(caller)) return;
    relay_.serve(all);
  }
}

void supervisor::look_at(unsigned slot) {
  const std::optional<os::ending> how = seats_[slot].worker.reap();
  seats_[slot].state = seat::ended;
  if (how) worker_ended(slot, *how);
}

// ---- Workers that take too long, or too much ----

// What a piece of work may take now: the median is that of the chunks so far, and not trusted to
// mean anything about short ones.
std::optional<supervisor::clock::duration> supervisor::allowed_time() const {
  constexpr clock::duration least_by_median = 1s;
  const limits& given = run_.all.worker_limits;
  std::optional<clock::duration> allowed;
  if (given.timeout.count() != 0) allowed = given.timeout;
  if (given.timeout_factor == 0) return allowed;
  if (const auto median = board_.median_time()) {
    const auto by_median = std::chrono::duration_cast<clock::duration>(
        std::min<std::chrono::duration<double>>(given.timeout_factor * *median, 1000h));
    allowed =
        std::min(allowed.value_or(clock::duration::max()), std::max(least_by_median, by_median));
  }
  return allowed;
}

// Kills who has taken too long. Returns how long the next one may still take.
std::optional<supervisor::clock::duration> supervisor::enforce_timeouts() {
  if (!run_.all.worker_limits.timed()) return std::nullopt;
  const auto allowed = allowed_time();
  // Before the first median there is nothing to wait for but the chunks that it is made of.
  if (!allowed) return later;
  std::optional<clock::duration> next;
  for (unsigned slot = 0; slot < seats_.size(); ++slot) {
    seat& one = seats_[slot];
    const board::slot& at = board_.at(slot);
    if (one.state != seat::working || one.killed_for) continue;
    const std::uint64_t running = at.running.load(std::memory_order_acquire);
    const std::chrono::nanoseconds began = at.began.load(std::memory_order_relaxed);
    const bool claims = at.claims.load(std::memory_order_relaxed) % 2 != 0;
    const clock::duration took = clock::now().time_since_epoch() - began;
    if ((running == 0 && !claims) || began.count() == 0) {
      next = std::min(next.value_or(*allowed), *allowed);
    } else if (took < *allowed) {
      next = std::min(next.value_or(*allowed), *allowed - took);
    } else {
      one.killed_for = {running, began, std::chrono::duration<double>(took).count(),
                        std::chrono::duration<double>(*allowed).count()};
      one.worker.kill();
    }
  }
  return next;
}

// Whether the kernel says so of one more process than it did the last time.
bool supervisor::was_killed_for_memory() {
  if (os::kills_for_memory().value_or(0) <= kills_for_memory_) return false;
  ++kills_for_memory_;
  return true;
}

// What is held against the chunk that a worker died in.
struct supervisor::cause {
  board::failure_kind kind;
  int signal;
  std::string what;
  bool blames = true;
};

std::string spent_all_time(const os::ending& how) {
  const std::chrono::duration<double> used = how.used.user + how.used.system;
  std::array<char, 160> text{};
  std::snprintf(text.data(), text.size(),
                " by the system: the worker had used %.3g s of processor time, and a process may "
                "use %lld s (RLIMIT_CPU, ulimit -t)",
                used.count(), static_cast<long long>(how.spent->count()));
  return text.data();
}

supervisor::cause supervisor::cause_of(unsigned slot, const os::ending& how) {
  const member& at = roster_.at(slot);
  const bool spoke = at.words.spoken.load(std::memory_order_acquire) != 0;
  if (how.signal == 0) {
    return {board::failure_kind::exit, 0,
            spoke ? at.words.what : "_exit(" + std::to_string(how.exit_status) + ") was called"};
  }
  const std::string name =
      "signal " + std::to_string(how.signal) + " (SIG" + os::name_of_signal(how.signal) + ")";
  if (how.spent) {
    return {board::failure_kind::signal, how.signal, name + spent_all_time(how)};
  }
  if (how.signal != SIGKILL) {
    if (!spoke && how.signal == SIGSEGV) {
      // Its handler has a stack of its own in the worker's first thread only.
      return {board::failure_kind::signal, how.signal,
              name +
                  ", which the crash handler was not called for: perhaps a stack overflow in a "
                  "thread that the kernel started"};
    }
    if (!spoke && how.signal == SIGXFSZ) {
      return {board::failure_kind::signal, how.signal,
              name + ": a file was to grow beyond the limit (RLIMIT_FSIZE, ulimit -f)"};
    }
    if (!spoke) return {board::failure_kind::signal, how.signal, name};
    // The handler may have died of another one.
    return {board::failure_kind::signal, at.words.signal, at.words.what};
  }
  if (const auto& over = seats_[slot].killed_for) {
    std::array<char, 96> text{};
    std::snprintf(text.data(), text.size(), "took %.3g s, longer than the timeout of %.3g s",
                  over->seconds, over->allowed);
    // It may have come to the end of that just before it was hit.
    const board::slot& its = board_.at(slot);
    const bool at_it = its.running.load(std::memory_order_relaxed) == over->running &&
                       its.began.load(std::memory_order_relaxed) == over->began;
    return {board::failure_kind::timeout, SIGKILL, text.data(), at_it};
  }
  if (was_killed_for_memory()) {
    const unsigned others = in_state(seat::working);
    most_working_ = std::max(1u, others);
    return {
        others == 0 ? board::failure_kind::out_of_memory_alone : board::failure_kind::out_of_memory,
        SIGKILL,
        name + " by the kernel, for want of memory, beside " + std::to_string(others) +
            " other workers"};
  }
  return {board::failure_kind::killed, SIGKILL, name + " from outside"};
}

void supervisor::worker_ended(unsigned slot, const os::ending& how) {
  board::slot& at = board_.at(slot);
  member& who = roster_.at(slot);
  const pid_t pid = seats_[slot].worker.pid();
  seats_[slot].worker = {};
  seats_[slot].state = seat::dead;
  relay_.close(slot);
  who.pid.store(0, std::memory_order_relaxed);
  const board::leaving left = at.left.load(std::memory_order_acquire);
  if (left == board::leaving::for_another) at.replacements.fetch_add(1, std::memory_order_relaxed);
  if (left != board::leaving::not_yet) return;  // its work was done, however it ended
  cause why = cause_of(slot, how);
  if (who.preparing.load(std::memory_order_relaxed) != 0)
    why.what += ", in making its worker_state";
  if (!why.blames) {
    at.deaths.fetch_add(1, std::memory_order_relaxed);
    board::acquit(board_, slot);
  }
  const bool blamed = why.blames && judge(slot, pid, how, why);
  if (!blamed && ++unblamed_ > deaths_borne) {
    give_up("more than " + std::to_string(deaths_borne) +
            " workers died outside of any chunk; the last one: " + why.what);
  }
}

// False: no chunk is to blame.
bool supervisor::judge(unsigned slot, pid_t pid, const os::ending& how, const cause& why) {
  const member& dead = roster_.at(slot);
  // Acquire: pairs with the release of whoever spoke.
  const bool spoke = dead.words.spoken.load(std::memory_order_acquire) != 0;
  std::array<char, tail::capacity> errors;
  return board::judge(
      board_, slot,
      {.kind = why.kind,
       .signal = why.signal,
       .exit_status = how.exit_status,
       .what = why.what,
       .when = spoke ? dead.words.when : clock::now().time_since_epoch(),
       .pid = pid,
       .used = how.used,
       .left = {spoke ? &dead.words.stack : nullptr, {errors.data(), dead.errors.copy(errors)}}},
      run_.all.policy.allowed);
}

void supervisor::give_up(const std::string& trouble) {
  std::snprintf(roster_.trouble(), roster::trouble_bytes, "%s", trouble.c_str());
  given_up_ = true;
  board_.raise(board::stopping);
}

unsigned supervisor::in_state(int state) const {
  return static_cast<unsigned>(
      std::ranges::count_if(seats_, [state](const seat& one) { return one.state == state; }));
}

// ---- The end, and the next beginning ----

void supervisor::end_all() {
  if (standby_) {  // first: it would take our place
    standby_.kill();
    standby_.wait();
  }
  for (const seat& one : seats_) {
    if (one.worker) one.worker.kill();
  }
  if (!os::end_all_children()) roster_.go_without(orphans_end);
}

void supervisor::inherit() {
  *roster_.trouble() = '\0';  // was the other one's
  for (unsigned slot = 0; slot < seats_.size(); ++slot) {
    roster_.at(slot).pid.store(0, std::memory_order_relaxed);
    board::acquit(board_, slot);  // it died with its supervisor
    seats_[slot].state = seat::dead;
  }
}

// What a sandbox may deny, though the caller has found nothing denied: filters look at arguments,
// too. Without these a run could not be ended, and it isn't begun.
void take_the_lead(const crew& all) {
  const char* denied = nullptr;
  if (!os::lead_own_group()) denied = "lead a group of processes: setpgid fails";
  if (!os::may_die_with_parent()) denied = "end workers with their supervisor: prctl fails";
  if (!os::reset_signal_handlers()) denied = "reset signal handlers: sigaction fails";
  if (denied != nullptr) {
    std::snprintf(all.roster.trouble(), roster::trouble_bytes, "%s", denied);
    all.board.raise(board::refused);
    os::leave(1);
  }
  if (!os::become_subreaper()) all.roster.go_without(orphans_end);
}

[[noreturn]] void supervise(const supervision& run, bool again) noexcept {
  os::call_itself("shard sup");
  take_the_lead(run.all);
  os::read_nothing_from_stdin();
  os::raise_descriptor_limit();  // three for each worker
  os::unblock_signals(os::without_signals_of_writing(run.mask));
  try {
    supervisor self(run, os::make_pipe());
    if (again) self.inherit();
    self.supervise();
    self.end_all();
  } catch (const std::exception& problem) {
    // Short of memory or descriptors. As if killed: the standby, if there is one, goes on.
    std::snprintf(run.all.roster.trouble(), roster::trouble_bytes, "%s", problem.what());
    os::leave(1);
  }
  try {
    name_stacks(run.all.board);
  } catch (const std::exception&) {
    // Short of memory: the stacks that are left are told as addresses.
  }
  os::leave(0);
}

// Waits for the supervisor's death, makes sure that nothing of it is left, and takes its place.
void be_standby(const supervision& run, const os::descriptor& supervisor_ended, pid_t supervisor,
                os::pipe_ends& life) {
  os::call_itself("shard standby");
  const board::board& on = run.all.board;
  const roster& family = run.all.roster;
  if (!os::lead_own_group() || !os::reset_signal_handlers()) os::leave(1);  // its supervisor could
  family.leader(family.takeovers().load(std::memory_order_relaxed) + 1)
      .store(os::own_pid(), std::memory_order_relaxed);
  os::unblock_signals(run.mask);
  life.write = {};
  os::watched dead[]{{supervisor_ended.get()}, {run.caller.get()}};
  while (!dead[0].ready && !dead[1].ready) os::wait_ready(dead, std::nullopt);
  // When the caller dies the supervisor ends the run, and us, unless it is stopped.
  if (!dead[0].ready) os::wait_ready({dead, 1}, grace);
  os::kill_group(supervisor);
  os::wait_for_end_of_file(life.read);

  os::watched caller{run.caller.get()};
  os::wait_ready({&caller, 1}, 0ms);
  if (caller.ready || (on.controls() & (board::finished | board::cancelled)) != 0) os::leave(0);
  // Release: pairs with the acquire of a caller that looks for its pid.
  if (family.takeovers().fetch_add(1, std::memory_order_release) >= deaths_borne) {
    std::snprintf(family.trouble(), roster::trouble_bytes, "more than %u supervisors died",
                  deaths_borne);
    os::leave(1);
  }
  supervise(run, true);
}

}  // namespace

void be_supervisor(const supervision& run, bool again) noexcept { supervise(run, again); }

}  // namespace shard::family
