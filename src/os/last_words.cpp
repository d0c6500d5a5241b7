#include "os/last_words.hpp"

#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace shard::os {
namespace {

void (*last_of_signal)(int, std::optional<const void*>) = nullptr;
void (*last_of_exit)(int) = nullptr;

// Large enough for any processor's saved registers (AVX-512, AMX) and a handler's frames.
alignas(64) std::byte signal_stack[64 * 1024];

void handle(int signal, siginfo_t* info, void*) {
  const bool has_address = info->si_code > 0 && (signal == SIGSEGV || signal == SIGBUS);
  last_of_signal(signal, has_address ? std::optional<const void*>(info->si_addr) : std::nullopt);
  // SA_RESETHAND has restored the default action, which takes effect once this handler returns.
  ::raise(signal);
}

}  // namespace

void on_fatal_signal(void (*last)(int signal, std::optional<const void*> address)) noexcept {
  last_of_signal = last;
  stack_t stack{};
  stack.ss_sp = signal_stack;
  stack.ss_size = sizeof signal_stack;
  ::sigaltstack(&stack, nullptr);
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP}) {
    struct sigaction action {};
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | static_cast<int>(SA_RESETHAND);
    ::sigaction(signal, &action, nullptr);
  }
}

void on_exit_called(void (*last)(int exit_status)) noexcept {
  last_of_exit = last;
  ::on_exit([](int status, void*) { last_of_exit(status); }, nullptr);
}

void on_fork_called(void (*first)()) noexcept { ::pthread_atfork(nullptr, nullptr, first); }

const char* name_of_signal(int signal) noexcept {
  const char* const name = ::sigabbrev_np(signal);
  return name != nullptr ? name : "?";
}

}  // namespace shard::os
