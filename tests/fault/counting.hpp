// Runs code instruction by instruction, to die or to stop at any one of them.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace shard_test {

#if defined(__x86_64__)
constexpr bool can_count = true;
#else
constexpr bool can_count = false;  // needs the processor's trap flag and its one-byte breakpoint
#endif

// One moment in a run: the `visit`th time, from 1 on, that it comes to the instruction there.
struct moment {
  std::uintptr_t instruction = 0;
  std::size_t visit = 0;
};

// For children that were forked to run the same steps again and again: one with the trap flag set,
// which tells all the moments there are, and then one for each, which runs at full speed to a
// breakpoint. (Single-stepping each of them would be quadratic, and costs microseconds a step.)
class counting {
 public:
  // Writes the address of each instruction that `steps` execute, but for the first, to `trace`;
  // returns how many there were, even if that is more than there was room for.
  template <class Steps>
  static std::size_t record(Steps steps, std::span<std::uintptr_t> trace) {
    trace_ = trace;
    count_ = 0;
    counter_ = nullptr;
    handle_traps_by(on_step);
    set_trap_flag();
    steps();
    clear_trap_flag();
    return count_;
  }

  // The same, of all that this process executes from the return of this on, until it ends. The
  // count is kept before the trace, in the first word of what is given: memory that is shared.
  static void record_from_here(std::span<std::uintptr_t> count_and_trace) {
    counter_ = &count_and_trace.front();
    trace_ = count_and_trace.subspan(1);
    process_ = ::getpid();
    handle_traps_by(on_step);
    set_trap_flag();
  }
  // Leaves out what that function does: a step costs microseconds.
  static void skip(std::uintptr_t function) { skipped_ = function; }
  // Around a fork: the C library blocks all signals in it, and the child must not be stepped.
  static void pause_recording() {
    if (records()) clear_trap_flag();
  }
  static void go_on_recording() {
    if (records()) set_trap_flag();
  }

  // Sends this process `signal` at that moment of `steps`, if it comes.
  template <class Steps>
  static void interrupt(Steps steps, moment when, int signal) {
    interrupt_from_here(when, signal);
    steps();
  }
  // The same, of all that this process executes from now on. `came` is shared memory that says
  // whether the moment has come.
  static void interrupt_from_here(moment when, int signal, std::uintptr_t* came = nullptr) {
    came_ = came;
    counter_ = nullptr;
    when_ = when;
    signal_ = signal;
    process_ = ::getpid();
    handle_traps_by(on_breakpoint);
    original_ = *reinterpret_cast<const volatile unsigned char*>(when_.instruction);
    plant(breakpoint);
  }

 private:
  // This process, until it ends; not one that is to be interrupted.
  static bool records() { return process_ == ::getpid() && counter_ != nullptr; }

  static constexpr unsigned char breakpoint = 0xCC;
  static constexpr std::int64_t trap_flag = 0x100;

  static void handle_traps_by(void (*handler)(int, siginfo_t*, void*)) {
    struct sigaction trap {};
    trap.sa_sigaction = handler;
    trap.sa_flags = SA_SIGINFO;
    ::sigaction(SIGTRAP, &trap, nullptr);
  }

  // Puts a byte where the instruction begins.
  static void plant(unsigned char byte) {
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    auto* start = reinterpret_cast<void*>(when_.instruction / page * page);
    // The kernel's own page of code can't be changed: what is there is passed by.
    if (::mprotect(start, page, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) return;
    *reinterpret_cast<volatile unsigned char*>(when_.instruction) = byte;
  }

#if defined(__x86_64__)
  static greg_t& saved(void* context, int which) {
    return static_cast<ucontext_t*>(context)->uc_mcontext.gregs[which];
  }
  static void on_step(int, siginfo_t*, void* context) {
    if (skips_) {  // back from that
      skips_ = false;
      saved(context, REG_RIP) -= 1;
      plant(original_);
      saved(context, REG_EFL) |= trap_flag;
      return;
    }
    const auto at = static_cast<std::uintptr_t>(saved(context, REG_RIP));
    if (count_ < trace_.size()) trace_[count_] = at;
    ++count_;
    if (counter_ != nullptr) *counter_ = count_;
    if (at != skipped_) return;
    // It has just been called: there is where it returns to.
    skips_ = true;
    when_.instruction = *reinterpret_cast<const std::uintptr_t*>(saved(context, REG_RSP));
    original_ = *reinterpret_cast<const volatile unsigned char*>(when_.instruction);
    plant(breakpoint);
    saved(context, REG_EFL) &= ~trap_flag;
  }
  // Comes in pairs: at the breakpoint, and one instruction later to plant it again.
  static void on_breakpoint(int, siginfo_t*, void* context) {
    if ((saved(context, REG_EFL) & trap_flag) != 0) {
      saved(context, REG_EFL) &= ~trap_flag;
      plant(breakpoint);
      return;
    }
    saved(context, REG_RIP) -= 1;
    plant(original_);
    if (process_ != ::getpid()) return;  // in a child, which has inherited the breakpoint
    if (--when_.visit == 0) {
      if (came_ != nullptr) *came_ = 1;
      ::kill(::getpid(), signal_);
    } else {
      saved(context, REG_EFL) |= trap_flag;
    }
  }
  static void set_trap_flag() {
    asm volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq" : : : "memory", "cc");
  }
  static void clear_trap_flag() {
    asm volatile("pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq" : : : "memory", "cc");
  }
#else
  static void on_step(int, siginfo_t*, void*) {}
  static void on_breakpoint(int, siginfo_t*, void*) {}
  static void set_trap_flag() {}
  static void clear_trap_flag() {}
#endif

  static inline std::span<std::uintptr_t> trace_;
  static inline std::size_t count_ = 0;
  static inline std::uintptr_t skipped_ = 0;
  static inline bool skips_ = false;
  static inline std::uintptr_t* counter_ = nullptr;
  static inline std::uintptr_t* came_ = nullptr;
  static inline pid_t process_ = 0;
  static inline moment when_;
  static inline int signal_ = 0;
  static inline unsigned char original_ = 0;
};

// The moments of a recorded run, in their order.
inline std::vector<moment> moments_of(std::span<const std::uintptr_t> trace) {
  std::map<std::uintptr_t, std::size_t> visits;
  std::vector<moment> found;
  for (const std::uintptr_t at : trace) found.push_back({at, ++visits[at]});
  return found;
}

}  // namespace shard_test
