// Starting, watching and ending processes: fork, pidfds, and how a child gives up what it
// inherited.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <optional>
#include <span>
#include <utility>

#include "os/descriptor.hpp"
#include "os/usage.hpp"

namespace shard::os {

// How a process ended.
struct ending {
  int signal = 0;  // that killed it; 0: it exited
  int exit_status = 0;
  usage used = {};
  // The limit on its processor time (RLIMIT_CPU), if the system has killed it for reaching that.
  std::optional<std::chrono::seconds> spent = {};
  // False: nothing is known, since somebody else has reaped it; or nobody, if SIGCHLD is ignored.
  bool known = true;
};

const char* name_of_signal(int signal) noexcept;  // without its SIG; async-signal-safe

// A child of this process, held by its pidfd: never confused with another that has its pid later.
class process {
 public:
  process() noexcept = default;  // none
  process(pid_t pid, descriptor pidfd) noexcept : pid_(pid), pidfd_(std::move(pidfd)) {}
  process(process&&) noexcept = default;
  process& operator=(process&&) noexcept = default;

  explicit operator bool() const noexcept { return static_cast<bool>(pidfd_); }
  pid_t pid() const noexcept { return pid_; }
  int pidfd() const noexcept { return pidfd_.get(); }  // readable once the process has ended

  void kill() const noexcept;  // SIGKILL. Requires: it was not reaped

  // Reaps it if it has ended. A pidfd may be readable a moment before that: try again, later. One
  // that was reaped by somebody else (a host that ignores SIGCHLD, or waits for any child) counts
  // as ended with status 0.
  std::optional<ending> reap() const noexcept;
  // Blocks until it has ended.
  ending wait() const noexcept;

 private:
  pid_t pid_ = 0;
  descriptor pidfd_;
};

enum class child_exit {
  signals_parent,  // SIGCHLD, as of any child
  quiet            // no signal at all; the heap of a caller with threads may be left locked
};

// fork(2). Runs `body`, which must not return, in the child; returns the child in the parent.
// All signals stay blocked in the child until it says otherwise. Throws call_failed, after which
// the child is gone that could not be watched.
process start_process(child_exit how, void (*body)(void* context), void* context);
// A child of this process that was started in another way. Throws call_failed, after which it is
// gone.
process watch_child(pid_t pid);

// While one lives, all signals of this thread are blocked.
class signals_blocked {
 public:
  signals_blocked();  // throws call_failed
  signals_blocked(const signals_blocked&) = delete;
  signals_blocked& operator=(const signals_blocked&) = delete;
  ~signals_blocked();

 private:
  sigset_t before_;
};

// What the C library calls around each fork(2) of this process from now on, in the thread that
// forks: not around clone(2), nor around a child_exit::quiet.
void around_forks(void (*before)(), void (*in_the_parent)(), void (*in_the_child)()) noexcept;

// The pidfd of a process that is not our child. Throws call_failed.
descriptor watch_process(pid_t pid);

// Whether other processes of this user may look into this one: prctl(2), PR_GET_DUMPABLE.
bool may_be_looked_into() noexcept;

// ---- For a child that was just started. ----

// As across exec: handlers go back to the default, and what is ignored stays so (but for SIGCHLD,
// which reaping needs). SIGINT, SIGQUIT, SIGTTIN and SIGTTOU are ignored from now on: the
// terminal's keys are the caller's business, and who reads or prints there is never stopped.
// False: an action can't be changed.
[[nodiscard]] bool reset_signal_handlers() noexcept;
void unblock_signals(const sigset_t& mask) noexcept;
sigset_t signal_mask() noexcept;

// What ps and top call this process and those it forks: at most 15 bytes.
void call_itself(const char* name) noexcept;

void close_inherited(int descriptor) noexcept;
[[nodiscard]] bool lead_own_group() noexcept;
void let_lead_own_group(
    pid_t child) noexcept;  // done in the parent: at once; the child does it, too
[[nodiscard]] bool become_subreaper() noexcept;
void read_nothing_from_stdin() noexcept;
// As many descriptors as the system allows; and, in what is forked from there, as many as before.
void raise_descriptor_limit() noexcept;
void restore_descriptor_limit() noexcept;
// Whether this process may ask for what die_with_parent() does.
[[nodiscard]] bool may_die_with_parent() noexcept;
// SIGKILL when the parent dies. False: it is dead already (it was `parent`), or that can't be.
[[nodiscard]] bool die_with_parent(pid_t parent) noexcept;
[[noreturn]] void leave(int exit_status) noexcept;  // _exit

// ---- Groups of processes. ----

bool kill_process(pid_t pid) noexcept;  // false: it can't be
void kill_group(pid_t leader) noexcept;
// Waits for every child of this process that is in the group.
void reap_group(pid_t leader) noexcept;
// Whether this process becomes the parent of orphans among its descendants.
bool adopts_orphans() noexcept;
// Kills and reaps every child of this process that is left, and theirs, which it inherits. False:
// some may be left, since they can't be found or killed.
[[nodiscard]] bool end_all_children() noexcept;

// Blocks SIGCHLD, and makes it a descriptor that is readable once a child has ended; an empty one
// if there can be none: who waits must look from time to time then. signalfd(2).
descriptor hear_of_children() noexcept;
// Reaps every child that has ended, but for these, and makes the descriptor unreadable. False: one
// of these is in the way, and must be reaped before.
bool reap_all_but(std::span<const pid_t> these, const descriptor& heard) noexcept;

// ---- Waiting. ----

struct watched {
  int descriptor = -1;       // -1: ignored
  bool ready = false;        // readable, or its other end is closed
  bool for_writing = false;  // instead: can be written to, or will never again
};
// Waits until one is ready, or for at most `limit`; without a limit, for ever. Signal handlers of
// the caller may make it return early. Throws call_failed.
void wait_ready(std::span<watched> any, std::optional<std::chrono::milliseconds> limit);

struct pipe_ends {
  descriptor read;
  descriptor write;
};
pipe_ends make_pipe();                                       // throws call_failed
void wait_for_end_of_file(const descriptor& pipe) noexcept;  // all its write ends are closed

}  // namespace shard::os
