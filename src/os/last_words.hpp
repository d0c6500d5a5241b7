// What a process can still do when something in it calls exit(), crashes or forks. Each takes
// effect for the calling process from now on, and is meant to be called once in it.
#pragma once

#include <optional>

#include "os/stack_record.hpp"

namespace shard::os {

// Where a signal has interrupted this process: the ucontext_t that its handler was given.
struct interruption {
  void* context;
};

// The address of which a signal tells. Processors may keep one to themselves that no pointer can
// have: x86 does.
struct fault {
  const void* address = nullptr;
  bool is_told = false;
};

// Calls `last` before a fatal signal (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP)
// ends the process, on a stack of its own, so that a stack overflow is heard of, too (but for one
// in a thread that the process started). `last` must be async-signal-safe. at: for SIGSEGV and
// SIGBUS that an access to memory has raised. The signal ends the process all the same, and if
// `last` itself faults, or takes longer than 2 s, another one does. Of several threads that crash,
// the first is heard. False: there is no such stack, so that of a stack overflow nothing is heard.
[[nodiscard]] bool on_fatal_signal(void (*last)(int signal, std::optional<fault> at,
                                                interruption where)) noexcept;

// Writes down the code addresses of an interrupted stack, innermost first. First comes the
// instruction that was interrupted, then one byte inside each call that has not returned. A call
// through a pointer to no code is told by that pointer, and then by who called. In the process's
// first thread the walk ends where the stack reaches `base`, the frame address of a function; null:
// it goes to the end. The walk reads the stack, and faults if that is spoilt: what must be said is
// said before. Asynchronously safe where the C++ library's unwinder is: with the GNU C library 2.35
// and newer.
void walk_stack(interruption where, const void* base, stack_record& to) noexcept;

// Calls `last` when anything calls exit(), before all exit handlers registered until now. It must
// not return.
void on_exit_called(void (*last)(int exit_status)) noexcept;

// Calls `first` in each child that a fork() in this process makes.
void on_fork_called(void (*first)()) noexcept;

}  // namespace shard::os
