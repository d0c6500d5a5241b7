// Walks code store by store: every memory that a process could leave behind by dying in it.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstddef>
#include <functional>

namespace shard_test {

#if defined(__x86_64__)
constexpr bool can_step = true;
#else
constexpr bool can_step = false;  // needs the processor's trap flag
#endif

// Runs `steps`, and calls `look` after each of its instructions that stores to the memory; there
// the memory may be read and written, but not stepped again.
//
// The memory is kept read-only. A store faults; the handler lets that one instruction through, with
// the trap flag set, and is called back right after it. What happens between two stores to shared
// memory no other process can see: these are all the moments at which a death makes a difference.
class stepping {
 public:
  stepping(std::byte* memory, std::size_t bytes, const std::function<void()>& steps,
           const std::function<void()>& look)
      : memory_(memory), bytes_(bytes), look_(look) {
    current = this;
    struct sigaction fault {};
    fault.sa_flags = SA_SIGINFO;
    fault.sa_sigaction = on_fault;
    struct sigaction trap = fault;
    trap.sa_sigaction = on_trap;
    ::sigaction(SIGSEGV, &fault, &fault_before_);
    ::sigaction(SIGTRAP, &trap, &trap_before_);
    protect(PROT_READ);
    steps();
  }
  stepping(const stepping&) = delete;
  stepping& operator=(const stepping&) = delete;
  ~stepping() {
    protect(PROT_READ | PROT_WRITE);
    ::sigaction(SIGTRAP, &trap_before_, nullptr);
    ::sigaction(SIGSEGV, &fault_before_, nullptr);
    current = nullptr;
  }

 private:
#if defined(__x86_64__)
  static void trap_next(void* context, bool on) {
    constexpr greg_t trap_flag = 0x100;
    greg_t& flags = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL];
    flags = on ? flags | trap_flag : flags & ~trap_flag;
  }
#else
  static void trap_next(void*, bool) {}
#endif

  static void on_fault(int, siginfo_t* what, void* context) {
    const auto at = static_cast<std::byte*>(what->si_addr);
    if (at < current->memory_ || at >= current->memory_ + current->bytes_) {
      ::sigaction(SIGSEGV, &current->fault_before_, nullptr);  // none of ours: let it happen again
      return;
    }
    current->protect(PROT_READ | PROT_WRITE);
    trap_next(context, true);
  }

  // Signals of the code's own making, at an instruction that stores to the memory: no lock is held
  // there, and `look` may do what it likes.
  static void on_trap(int, siginfo_t*, void* context) {
    trap_next(context, false);
    current->look_();
    current->protect(PROT_READ);
  }

  void protect(int rights) const { ::mprotect(memory_, bytes_, rights); }

  static inline stepping* current = nullptr;

  std::byte* memory_;
  std::size_t bytes_;
  const std::function<void()>& look_;
  struct sigaction fault_before_ {};
  struct sigaction trap_before_ {};
};

}  // namespace shard_test
