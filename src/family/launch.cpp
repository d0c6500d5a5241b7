#include "family/launch.hpp"

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "family/attempt.hpp"
#include "family/thread_team.hpp"
#include "family/worker.hpp"
#include "memory/attempt.hpp"
#include "os/calls.hpp"
#include "os/cpu.hpp"
#include "os/event.hpp"
#include "os/own_pid.hpp"
#include "os/sandbox.hpp"
#include "shard/error.hpp"

namespace shard::family {
namespace {

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

os::descriptor event() {
  return memory::attempt("watch a run", "an eventfd", [] { return os::event_counter(); });
}

// As it should, or for a reason that somebody could still give.
bool has_ended(const roster& family) noexcept {
  return family.is(finished) || family.is(dismissed) || !family.trouble().empty();
}

}  // namespace

void prepare_to_spawn() {
  require_calls();
  flush_output();
}

os::child_exit prepare_to_fork(const roster& family, bool allow_threads) {
  end_idle_threads();
  // With other threads, only the C library's own fork leaves the heap unlocked in the child; the
  // price is a SIGCHLD when the family has ended.
  const auto how = check_threads(family, allow_threads) == 0 ? os::child_exit::quiet
                                                             : os::child_exit::signals_parent;
  require_calls();
  flush_output();
  return how;
}

// No other thread drops a buffer meanwhile, of which a child would have an address that is not
// mapped, or begins a map, whose family would have our pipe's end.
launch::launch(const roster& family, const birth& begin) : family_(family), called_off_(event()) {
  std::unique_lock<std::mutex> others = detail::segment::hold_live();
  os::pipe_ends life = os::make_pipe();
  try {
    const fork_timer timer(family);
    supervisor_ = begin({called_off_, life, others});
  } catch (...) {  // it can't be watched, but may have begun
    life.write = {};
    if (others) others.unlock();
    end_ = std::move(life.read);
    call_off({});
    throw;
  }
  life.write = {};
  end_ = std::move(life.read);
  // It stands in for a standby that had taken over, and died before it had one of its own.
  if (const unsigned takeovers = family.takeovers().load(std::memory_order_relaxed)) {
    family.leader(takeovers).store(supervisor_.pid(), std::memory_order_relaxed);
  }
}

// A standby that had taken over, or does so without having seen that all is called off, is a
// supervisor like the first one. While it lives it holds the pipe, and its pid is its own.
void launch::end_successors() const {
  for (os::watched all{end_.get()}; !all.ready;) {
    const unsigned successor = family_.takeovers().load(std::memory_order_acquire);
    const pid_t pid =
        successor == 0 ? 0 : family_.leader(successor).load(std::memory_order_relaxed);
    if (pid != 0) static_cast<void>(os::kill_process(pid));  // until the pipe says that it is gone
    os::wait_ready({&all, 1}, std::chrono::milliseconds(10));
  }
}

void launch::call_off(std::chrono::milliseconds patience) {
  family_.raise(dismissed);
  static_cast<void>(
      os::count_event(called_off_.get()));  // if not, it is killed when that takes long
  const auto end_of_patience = std::chrono::steady_clock::now() + patience;
  for (os::watched all{end_.get()};
       !all.ready && std::chrono::steady_clock::now() < end_of_patience;) {
    os::wait_ready({&all, 1}, patience);
  }
  if (supervisor_) supervisor_.kill();
  end_successors();
}

// Where nobody was left to do it: the children of kernels, which hold nothing of the family, end
// now; and a caller that adopts orphans has the dead of the supervisors that died.
os::ending launch::bury() const {
  const bool abandoned = !family_.is(finished);
  const unsigned takeovers = family_.takeovers().load(std::memory_order_relaxed);
  if (abandoned) os::kill_group(supervisor_.pid());
  if (os::adopts_orphans() && (abandoned || takeovers != 0)) {
    os::reap_group(supervisor_.pid());
    for (unsigned k = 1; k <= takeovers + 1; ++k) {
      const pid_t leader = family_.leader(k).load(std::memory_order_relaxed);
      if (leader == 0) continue;
      if (abandoned) os::kill_group(leader);
      os::reap_group(leader);
    }
  }
  return supervisor_.wait();
}

launch::birth forked(os::child_exit how, bool again, const briefing& brief) {
  return [how, again, &brief](const launch::gifts& given) {
    struct context {
      supervision what;
      const launch::gifts& given;
      bool again;
    } start{brief(detail::segment::live(given.others)), given, again};
    start.what.mask = os::signal_mask();
    start.what.caller = os::watch_process(os::own_pid());
    start.what.called_off = given.called_off.get();
    start.what.somebody_lives = std::move(given.life.write);
    return os::start_process(
        how,
        [](void* with) {
          auto& from = *static_cast<context*>(with);
          if (from.given.others) from.given.others.unlock();  // for what its kernels do
          from.given.life.read = {};
          be_supervisor(from.what, from.again);
        },
        &start);
  };
}

bool died_at_birth(const roster& family) noexcept {
  const unsigned takeovers = family.takeovers().load(std::memory_order_relaxed);
  return !has_ended(family) && family.leader(takeovers + 1).load(std::memory_order_relaxed) == 0;
}

void tell_why_nobody_is_left(const roster& family) {
  if (family.is(refused)) {
    refuse(EPERM, "that this system doesn't let the supervisor " + std::string(family.trouble()));
  }
  if (has_ended(family)) return;
  const bool had_standby = family.leader(1).load(std::memory_order_relaxed) != 0;
  family.tell_trouble(had_standby ? "the supervisor and its standby were both killed"
                                  : "the supervisor was killed each time before it had a standby");
}

}  // namespace shard::family
