// The processor's mode while numbers are cut.
#pragma once

#include <cstdint>
#if !defined(__x86_64__)
#include <cfenv>
#endif

namespace shard::exact {

// Rounds to nearest, with subnormal numbers and without traps, as long as this lives. A program
// that is linked with -ffast-math runs in a mode that takes subnormal numbers for zeros, and
// anybody may have called fesetround(). Flags that are raised meanwhile are forgotten.
//
// Compilers move arithmetic across changes of the mode. So there must be none in a function that
// has one of these, only in functions that it calls through pointers, or on what it reads from
// memory.
class default_arithmetic {
 public:
#if defined(__x86_64__)
  default_arithmetic() noexcept {
    constexpr std::uint32_t as_at_the_start_of_a_program = 0x1f80;
    asm volatile("stmxcsr %0" : "=m"(before_)::"memory");
    asm volatile("ldmxcsr %0" ::"m"(as_at_the_start_of_a_program) : "memory");
  }
  ~default_arithmetic() { asm volatile("ldmxcsr %0" ::"m"(before_) : "memory"); }
#else
  default_arithmetic() noexcept {
    std::fegetenv(&before_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~default_arithmetic() { std::fesetenv(&before_); }
#endif
  default_arithmetic(const default_arithmetic&) = delete;
  default_arithmetic& operator=(const default_arithmetic&) = delete;

 private:
#if defined(__x86_64__)
  std::uint32_t before_;
#else
  std::fenv_t before_;
#endif
};

}  // namespace shard::exact
