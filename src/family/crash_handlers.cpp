#include "family/crash_handlers.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <optional>

#include "os/last_words.hpp"
#include "os/output.hpp"
#include "os/process.hpp"
#include "os/stack_overflow.hpp"

namespace shard::family {
namespace {

// A handler is given nothing of ours: it finds it here.
crash_context* mine = nullptr;

// ---- Everything from here on may run in a signal handler: no locks, no allocation. ----

// Text in a fixed place.
class writer {
 public:
  explicit writer(last_words& to) : at_(to.what), end_(to.what + sizeof to.what - 1) {}
  writer(const writer&) = delete;
  writer& operator=(const writer&) = delete;
  ~writer() { *at_ = '\0'; }

  writer& operator<<(std::string_view text) {
    const std::size_t length = std::min(text.size(), static_cast<std::size_t>(end_ - at_));
    std::memcpy(at_, text.data(), length);
    at_ += length;
    return *this;
  }
  writer& number(std::uintptr_t value, unsigned base) {
    char digits[24];
    std::size_t at = sizeof digits;
    do {
      digits[--at] = "0123456789abcdef"[value % base];
      value /= base;
    } while (value != 0);
    return *this << std::string_view(digits + at, sizeof digits - at);
  }

 private:
  char* at_;
  char* const end_;
};

// Null: it is in none of these.
const mapped* mapping_at(const std::vector<mapped>& these, const std::byte* address) {
  for (const mapped& one : these) {
    if (address >= one.base && address < one.base + one.length_bytes) return &one;
  }
  return nullptr;
}

void name_place(writer& to, int signal, const std::byte* address) {
  const mapped* const found =
      mine->mappings == nullptr ? nullptr : mapping_at(*mine->mappings, address);
  if (found != nullptr) {
    const mapped& one = *found;
    const auto offset = static_cast<std::size_t>(address - one.base);
    to << (one.name == std::string_view("memory") ? " in a buffer in " : " in the buffer ")
       << one.name;
    if (offset >= one.data_offset) {
      to << ", at element ";
      to.number((offset - one.data_offset) / one.element_bytes, 10);
    }
    if (signal == SIGBUS) {
      to << ", which its file or the memory behind it no longer has";
      return;
    }
    if (one.how == held::inherited_output) {
      to << ", which is an output of this map: what a kernel wrote there it may read back when its "
            "chunk is run again; read another buffer";
    }
    if (one.how == held::forsaken) {
      to << ", which is a buffer of the program that has started the pool: kernels of a pool have "
            "only what they are granted";
    }
    if (one.how == held::inherited) to << ", which was only captured: grant it with out() to write";
    if (one.how == held::granted_for_reading) to << ", which was granted for reading";
    return;
  }
  to << " at address 0x";
  to.number(reinterpret_cast<std::uintptr_t>(address), 16);
}

void name_stack(writer& to, const os::overflown_stack& stack) {
  to << ": stack overflow";
  if (stack.size_bytes == 0) return;
  to << ", beyond the ";
  to.number(stack.size_bytes / 1024, 10);
  to << " KiB that " << (stack.by_ulimit ? "ulimit -s allows" : "the stack of this thread has");
}

void crashed(int signal, std::optional<os::fault> at, os::interruption where) {
  last_words& words = *mine->words;
  words.signal = signal;
  words.when = std::chrono::steady_clock::now().time_since_epoch();
  {
    writer to(words);
    to << "signal ";
    to.number(static_cast<unsigned>(signal), 10);
    to << " (SIG" << os::name_of_signal(signal) << ")";
    const bool is_told = at && at->is_told;
    if (const auto stack = is_told ? os::stack_overflow_at(where, at->address) : std::nullopt) {
      name_stack(to, *stack);
    } else if (is_told) {
      name_place(to, signal, static_cast<const std::byte*>(at->address));
    } else if (at) {
      to << " at an address that no pointer can have";
    }
  }
  words.spoken.store(1, std::memory_order_release);
  os::walk_stack(where, mine->stack_base, words.stack);
}

void exited(int status) {
  last_words& words = *mine->words;
  {
    writer to(words);
    to << "exit(" << (status < 0 ? "-" : "");
    to.number(status < 0 ? 0u - static_cast<unsigned>(status) : static_cast<unsigned>(status), 10);
    to << ") was called";
  }
  words.signal = 0;
  words.exit_status = status;
  words.when = std::chrono::steady_clock::now().time_since_epoch();
  words.spoken.store(1, std::memory_order_release);
  os::flush_standard_output();
  os::leave(status);
}

// In a process that the kernel forked: it is no worker, and what becomes of it is not told here.
// One that returns from the kernel must not go on as if it were: it has no board to go on with.
void forked() {
  static last_words unheard;
  mine->words = &unheard;
  for (const int sign : mine->signs_of_life) os::close_inherited(sign);
}

}  // namespace

void install_crash_handlers(crash_context& with, const roster& family) noexcept {
  mine = &with;
  os::on_exit_called(exited);
  if (!os::on_fatal_signal(crashed)) family.go_without(overflows_told);
  os::on_fork_called(forked);
}

void speak(last_words& words, std::string_view what) noexcept {
  writer(words) << what;
  words.when = std::chrono::steady_clock::now().time_since_epoch();
  words.spoken.store(1, std::memory_order_release);
}

}  // namespace shard::family
