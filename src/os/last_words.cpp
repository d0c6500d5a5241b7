#include "os/last_words.hpp"

#include <pthread.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include <atomic>
#include <bit>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace shard::os {
namespace {

constexpr unsigned longest_handler_s = 2;

void (*last_of_signal)(int, std::optional<fault>, interruption) = nullptr;
void (*last_of_exit)(int) = nullptr;

// Large enough for any processor's saved registers (AVX-512, AMX), a handler's frames and the
// unwinder's.
alignas(64) std::byte signal_stack[128 * 1024];

// SIGALRM ends the process then, whatever it is used for, unless another signal has before.
void limit_own_life() noexcept {
  ::signal(SIGALRM, SIG_DFL);
  sigset_t alarm;
  ::sigemptyset(&alarm);
  ::sigaddset(&alarm, SIGALRM);
  ::pthread_sigmask(SIG_UNBLOCK, &alarm, nullptr);
  ::alarm(longest_handler_s);
}

void handle(int signal, siginfo_t* info, void* context) {
  static std::atomic<pid_t> first = 0;  // the thread that is heard
  const auto self = static_cast<pid_t>(::syscall(SYS_gettid));
  pid_t before = 0;
  if (!first.compare_exchange_strong(before, self)) {
    if (before != self) {
      for (;;) ::pause();  // the other one's crash ends this process
    }
    ::signal(signal, SIG_DFL);  // the handler itself has called abort()
    ::raise(signal);
    return;
  }
  limit_own_life();
  std::optional<fault> at;
  if (info->si_code > 0 && (signal == SIGSEGV || signal == SIGBUS)) {
    at = {info->si_addr, info->si_code != SI_KERNEL};
  }
  last_of_signal(signal, at, {context});
  ::alarm(0);
  // Takes effect once this handler returns, in the place that was interrupted.
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

// ---- The stack. ----

// The registers that a walk begins with, where it is known which those are. undo_call: as if the
// call that has just been made had not been.
#if defined(__x86_64__)
constexpr bool registers_are_known = true;
std::uint64_t pc_of(const ucontext_t& where) {
  return static_cast<std::uint64_t>(where.uc_mcontext.gregs[REG_RIP]);
}
void undo_call(ucontext_t& where) {
  greg_t* const registers = where.uc_mcontext.gregs;
  std::uint64_t caller = 0;
  std::memcpy(&caller, std::bit_cast<const void*>(registers[REG_RSP]), sizeof caller);
  registers[REG_RIP] = static_cast<greg_t>(caller - 1);
  registers[REG_RSP] += static_cast<greg_t>(sizeof caller);
}
#elif defined(__aarch64__)
constexpr bool registers_are_known = true;
std::uint64_t pc_of(const ucontext_t& where) { return where.uc_mcontext.pc; }
void undo_call(ucontext_t& where) { where.uc_mcontext.pc = where.uc_mcontext.regs[30] - 4; }
#else
constexpr bool registers_are_known = false;
std::uint64_t pc_of(const ucontext_t&) { return 0; }
void undo_call(ucontext_t&) {}
#endif

// A stack that leads back to itself would be walked for ever.
constexpr std::size_t deepest = std::size_t{1} << 20;

struct walk {
  stack_record& to;
  std::uint64_t base;   // frames above it are not walked; 0: all are
  std::uint64_t from;   // 0: not known; it is the frame that a signal has interrupted
  bool inside = false;  // past the frames of the handler itself
};

_Unwind_Reason_Code step(_Unwind_Context* at, void* given) {
  walk& here = *static_cast<walk*>(given);
  int interrupted = 0;
  const std::uint64_t pc = _Unwind_GetIPInfo(at, &interrupted);
  if (!here.inside) {
    here.inside = here.from != 0 ? pc == here.from : interrupted != 0;
    if (!here.inside) return _URC_NO_REASON;
  }
  // Below a thread's first function there is nothing, which is told in more than one way.
  if (pc <= 1 || pc == ~std::uint64_t{0}) return _URC_NORMAL_STOP;
  if (here.base != 0 && _Unwind_GetCFA(at) > here.base) return _URC_NORMAL_STOP;
  if (here.to.depth() == deepest) return _URC_NORMAL_STOP;
  here.to.add(interrupted != 0 ? pc : pc - 1);
  return _URC_NO_REASON;
}

}  // namespace

bool on_fatal_signal(void (*last)(int signal, std::optional<fault> at,
                                  interruption where)) noexcept {
  last_of_signal = last;
  stack_t stack{};
  stack.ss_sp = signal_stack;
  stack.ss_size = sizeof signal_stack;
  const bool heard = ::sigaltstack(&stack, nullptr) == 0;
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP}) {
    struct sigaction action {};
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    // A fault in the handler finds its signal blocked, and so ends the process at once.
    ::sigfillset(&action.sa_mask);
    ::sigaction(signal, &action, nullptr);
  }
  return heard;
}

void walk_stack(interruption where, const void* base, stack_record& to) noexcept {
  auto& context = *static_cast<ucontext_t*>(where.context);
  const bool in_first_thread = ::syscall(SYS_gettid) == ::getpid();
  const std::uint64_t end = in_first_thread ? std::bit_cast<std::uintptr_t>(base) : 0;
  walk whole{to, end, pc_of(context)};
  _Unwind_Backtrace(step, &whole);
  if (to.depth() > 1 || !registers_are_known) return;
  // No code that the unwinder knows: most likely a call through a null or wild pointer. What the
  // kernel saved is what the unwinder begins with, so that it can be told to begin with the caller.
  if (to.depth() == 0) to.add(pc_of(context));
  const ucontext_t saved = context;
  undo_call(context);
  walk rest{to, end, pc_of(context)};
  _Unwind_Backtrace(step, &rest);
  context = saved;
}

void on_exit_called(void (*last)(int exit_status)) noexcept {
  last_of_exit = last;
  ::on_exit([](int status, void*) { last_of_exit(status); }, nullptr);
}

void on_fork_called(void (*first)()) noexcept { ::pthread_atfork(nullptr, nullptr, first); }

}  // namespace shard::os
