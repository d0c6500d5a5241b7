#include "family/processes.hpp"

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "family/attempt.hpp"
#include "family/supervisor.hpp"
#include "family/worker.hpp"
#include "memory/attempt.hpp"
#include "os/calls.hpp"
#include "os/cpu.hpp"
#include "os/event.hpp"
#include "os/process.hpp"
#include "os/sandbox.hpp"
#include "shard/error.hpp"

namespace shard::family {
namespace {

// How long a supervisor has to end a run that is called off.
constexpr std::chrono::milliseconds patience{500};

// A fork copies only the calling thread: locks that others hold stay locked in the copy for ever.
unsigned check_threads(const roster& family, bool allowed) {
  const auto counted = os::other_threads();
  if (!counted && !allowed) family.go_without(threads_counted);
  const unsigned others = counted.value_or(0);
  if (others != 0 && !allowed) {
    throw error(std::errc::operation_not_permitted,
                "cannot fork workers: found " + std::to_string(others) +
                    (others == 1 ? " other thread" : " other threads") +
                    " in this program, expected none, since locks that they hold would "
                    "stay locked in the workers. Map before threads are started, or run_on "
                    "executor::threads, or set allow_threads if kernels need no such lock");
  }
  return others;
}

[[noreturn]] void refuse(int error, const std::string& found) {
  throw shard::error(std::error_code(error, std::generic_category()),
                     "cannot map in processes: found " + found + ", expected " +
                         std::string(os::remedy_for_denial) +
                         "; or map with executor::threads, or set SHARD_EXECUTOR=serial");
}

// Of what a run can't do without, nothing is found out in the middle of it.
void require_calls() {
  const auto denied = os::denied_for_processes();
  if (!denied) return;
  refuse(denied->error, "'" + std::error_code(denied->error, std::generic_category()).message() +
                            "' from " + denied->name);
}

// What was printed before the run is printed once, and before what workers print.
void flush_output() {
  std::cout.flush();
  std::clog.flush();
  std::fflush(nullptr);
}

// After a run in which nobody was left to do it: the children of kernels, which hold nothing of the
// run, end now; and a caller that adopts orphans has the dead of the supervisors that died.
void bury(const crew& all, const os::process& supervisor) {
  const bool abandoned = (all.board.controls() & board::finished) == 0;
  const unsigned takeovers = all.roster.takeovers().load(std::memory_order_relaxed);
  if (abandoned) os::kill_group(supervisor.pid());
  if (os::adopts_orphans() && (abandoned || takeovers != 0)) {
    os::reap_group(supervisor.pid());
    for (unsigned k = 1; k <= takeovers + 1; ++k) {
      const pid_t leader = all.roster.leader(k).load(std::memory_order_relaxed);
      if (leader == 0) continue;
      if (abandoned) os::kill_group(leader);
      os::reap_group(leader);
    }
  }
  supervisor.wait();
}

// A standby that had taken over, or does so without having seen that the run is cancelled, is a
// supervisor like the first one. While it lives it holds the pipe, and its pid is its own.
void end_successors(const roster& family, const os::descriptor& pipe) {
  for (os::watched run{pipe.get()}; !run.ready;) {
    const unsigned successor = family.takeovers().load(std::memory_order_acquire);
    const pid_t pid = successor == 0 ? 0 : family.leader(successor).load(std::memory_order_relaxed);
    if (pid != 0) static_cast<void>(os::kill_process(pid));  // until the pipe says that it is gone
    os::wait_ready({&run, 1}, std::chrono::milliseconds(10));
  }
}

// False: a second signal came first.
bool wait_until_all_have_ended(const crew& all, const os::descriptor& pipe,
                               const on_tick& report_progress) {
  os::watched run[]{{pipe.get()}, {-1}};
  for (;;) {
    const unsigned signals = heed_signals(all);
    if (signals > 1) return false;
    if (all.signals) {
      run[1].descriptor = signals == 0 ? all.signals->has_come() : all.signals->has_come_again();
    }
    os::wait_ready(run, report_progress ? std::optional(tick) : std::nullopt);
    if (run[0].ready) return true;
    if (report_progress) report_progress();
  }
}

// Ends the run at once. The supervisor does it, with all that it has adopted from kernels. If it
// can't (it is stopped), its standby ends the workers, sees that the run is cancelled, and leaves.
void cancel(const crew& all, const os::process& supervisor, const os::descriptor& called_off,
            const os::descriptor& pipe) {
  all.board.raise(board::cancelled);
  static_cast<void>(
      os::count_event(called_off.get()));  // if not, it is killed when that takes long
  const auto end_of_patience = std::chrono::steady_clock::now() + patience;
  for (os::watched run{pipe.get()};
       !run.ready && std::chrono::steady_clock::now() < end_of_patience;) {
    os::wait_ready({&run, 1}, patience);
  }
  if (supervisor) supervisor.kill();
  end_successors(all.roster, pipe);
}

os::descriptor event() {
  return memory::attempt("watch a run", "an eventfd", [] { return os::event_counter(); });
}

// Meanwhile no other thread drops a buffer, of which the child would have an address that is not
// mapped, or begins a map, whose family would have our pipe's end. The child lets go of it, too,
// for what its kernels do.
class birth {
 public:
  birth() : others_(detail::segment::hold_live()) {}

  std::vector<memory::live_segment> buffers() const { return detail::segment::live(others_); }
  void is_over() {
    if (others_) others_.unlock();
  }

 private:
  std::unique_lock<std::mutex> others_;
};

// Starts a supervisor; returns when nothing is left of it and of those who took its place. `again`:
// an earlier one may have left something on the board.
void run_supervisor(const crew& all, os::child_exit how, bool again,
                    const on_tick& report_progress) {
  birth mine;
  os::pipe_ends run = os::make_pipe();
  struct context {
    supervision what;
    os::descriptor* read_end;
    bool again;
    birth* here;
  } start{{all, mine.buffers(), os::signal_mask(), os::watch_process(os::own_pid()), event(),
           std::move(run.write)},
          &run.read,
          again,
          &mine};
  os::process supervisor;
  try {
    {
      const fork_timer timer(all.roster);
      supervisor = os::start_process(
          how,
          [](void* given) {
            auto& from = *static_cast<context*>(given);
            from.here->is_over();
            restrict_outer_worker();
            *from.read_end = {};
            be_supervisor(from.what, from.again);
          },
          &start);
    }
    start.what.run_goes_on = {};
    mine.is_over();
    if (!wait_until_all_have_ended(all, run.read, report_progress)) {
      cancel(all, supervisor, start.what.called_off, run.read);
    }
  } catch (...) {
    // It can't be watched (but may have begun), or what tells of the progress has thrown.
    start.what.run_goes_on = {};
    mine.is_over();
    cancel(all, supervisor, start.what.called_off, run.read);
    if (supervisor) bury(all, supervisor);
    throw;
  }
  bury(all, supervisor);
}

// As it should, or for a reason that somebody could still give.
bool has_ended(const crew& all) {
  return (all.board.controls() & (board::finished | board::cancelled)) != 0 ||
         *all.roster.trouble() != '\0';
}

// Whether the supervisor was killed before it had a standby.
bool died_at_birth(const crew& all) {
  const roster& family = all.roster;
  return !has_ended(all) && family.takeovers().load(std::memory_order_relaxed) == 0 &&
         family.leader(1).load(std::memory_order_relaxed) == 0;
}

}  // namespace

void run_in_processes(const crew& all, bool allow_threads, const on_tick& report_progress) {
  // With other threads, only the C library's own fork leaves the heap unlocked in the child; the
  // price is a SIGCHLD when the run is over.
  const auto how = check_threads(all.roster, allow_threads) == 0 ? os::child_exit::quiet
                                                                 : os::child_exit::signals_parent;
  require_calls();
  flush_output();
  constexpr int most_births = 3;
  for (int birth = 1; birth == 1 || (birth <= most_births && died_at_birth(all)); ++birth) {
    attempt([&] { run_supervisor(all, how, birth != 1, report_progress); });
  }
  const roster& family = all.roster;
  if ((all.board.controls() & board::refused) != 0) {
    refuse(EPERM, "that this system doesn't let the supervisor " + std::string(family.trouble()));
  }
  if (!has_ended(all)) {
    const bool had_standby = family.leader(1).load(std::memory_order_relaxed) != 0;
    std::snprintf(family.trouble(), roster::trouble_bytes,
                  had_standby ? "the supervisor and its standby were both killed"
                              : "the supervisor was killed each time before it had a standby");
  }
}

}  // namespace shard::family
