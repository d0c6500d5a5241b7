#include "os/stack_overflow.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <ucontext.h>
#include <unistd.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace shard::os {
namespace {

using word = std::uintptr_t;

// 0: not known on this machine.
word stack_pointer_of(const ucontext_t& where) {
#if defined(__x86_64__)
  return static_cast<word>(where.uc_mcontext.gregs[REG_RSP]);
#elif defined(__aarch64__)
  return static_cast<word>(where.uc_mcontext.sp);
#else
  static_cast<void>(where);
  return 0;
#endif
}

struct region {
  word begin = 0;
  word end = 0;
  bool writable = false;
};

// The mappings of this process that can be accessed, from the lowest on; without the heap, which
// may be what is broken.
class memory_map {
 public:
  memory_map() noexcept : file_(::open("/proc/self/maps", O_RDONLY | O_CLOEXEC)) {}
  memory_map(const memory_map&) = delete;
  memory_map& operator=(const memory_map&) = delete;
  ~memory_map() {
    if (file_ >= 0) ::close(file_);
  }

  // A line: "7f12a000-7f12b000 rw-p …".
  std::optional<region> next() noexcept {
    for (;;) {
      const std::optional<word> begin = number('-');
      const std::optional<word> end = number(' ');
      if (!begin || !end) return std::nullopt;
      const char readable = byte();
      const bool writable = byte() == 'w';
      for (char c = byte(); c != '\n';) {
        if (c == '\0') return std::nullopt;
        c = byte();
      }
      if (readable == 'r') return region{*begin, *end, writable};  // a guard can't even be read
    }
  }

 private:
  // 0: there is no more.
  char byte() noexcept {
    if (at_ == filled_) {
      const ssize_t found = file_ < 0 ? 0 : ::read(file_, room_, sizeof room_);
      if (found <= 0) return '\0';
      filled_ = static_cast<std::size_t>(found);
      at_ = 0;
    }
    return room_[at_++];
  }
  std::optional<word> number(char then) noexcept {
    constexpr std::string_view digits = "0123456789abcdef";
    word value = 0;
    for (char c = byte(); c != then; c = byte()) {
      const std::size_t digit = digits.find(c);
      if (digit == std::string_view::npos) return std::nullopt;
      value = value * 16 + digit;
    }
    return value;
  }

  int file_;
  char room_[1024];
  std::size_t at_ = 0;
  std::size_t filled_ = 0;
};

// A thread has its control block at the upper end of its stack, above which are a few KiB at most;
// and stacks have sizes of whole KiB.
overflown_stack describe(const region& stack) noexcept {
  constexpr word step = 16 * 1024;
  const auto self = std::bit_cast<word>(::pthread_self());
  if (self >= stack.begin && self < stack.end) {
    return {(self - stack.begin + step - 1) / step * step, false};
  }
  rlimit limit{};
  if (::getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return {};
  return {limit.rlim_cur, true};
}

}  // namespace

std::optional<overflown_stack> stack_overflow_at(interruption where, const void* address) noexcept {
  constexpr word reach = 4096;  // below the stack pointer: what is pushed, and red zones
  const auto at = std::bit_cast<word>(address);
  const word pointer = stack_pointer_of(*static_cast<const ucontext_t*>(where.context));
  if (pointer == 0 || at + reach < pointer) return std::nullopt;
  memory_map map;
  std::optional<region> above_pointer;
  while (const std::optional<region> next = map.next()) {
    if (!above_pointer && next->end > pointer) above_pointer = next;
    if (next->end <= at) continue;
    const bool same = above_pointer && above_pointer->begin == next->begin;
    if (!same || next->begin <= at || !next->writable) return std::nullopt;
    return describe(*next);
  }
  return std::nullopt;
}

}  // namespace shard::os
