// What a process can still do when something in it calls exit(), crashes or forks. Each takes
// effect for the calling process from now on, and is meant to be called once in it.
#pragma once

#include <optional>

namespace shard::os {

// Calls `last` before a fatal signal (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP)
// ends the process, on a stack of its own, so that a stack overflow is heard of, too. `last` must
// be async-signal-safe. address: the one that faulted, for SIGSEGV and SIGBUS that have one. The
// signal ends the process all the same.
void on_fatal_signal(void (*last)(int signal, std::optional<const void*> address)) noexcept;

// Calls `last` when anything calls exit(), before all exit handlers registered until now. It must
// not return.
void on_exit_called(void (*last)(int exit_status)) noexcept;

// Calls `first` in each child that a fork() in this process makes.
void on_fork_called(void (*first)()) noexcept;

const char* name_of_signal(int signal) noexcept;

}  // namespace shard::os
