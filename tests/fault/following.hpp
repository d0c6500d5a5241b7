// Processes of a real run that follow orders: to record what they execute, or to die at one moment
// of that. The caller tells the orders before it forks; who is to follow them is told by the order
// of forks, or by a kernel.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <string_view>
#include <vector>

#include "fault/counting.hpp"
#include "os/cgroup.hpp"

namespace shard_test {

// Set in a process that is being counted: it keeps its handler of traps, whatever it does with its
// signals.
inline bool keeps_traps = false;

// What a process of the next run is to do, told by the caller, and read where it begins.
struct orders {
  enum { nothing, record, die } what = nothing;
  moment when;
  int by = SIGKILL;
};
inline orders next;

// Where it is recorded. While it is there, it is the one that is used.
class trace {
 public:
  static constexpr std::size_t most = 2'000'000;

  trace() {
    void* const memory = mmap(nullptr, (most + 1) * sizeof(std::uintptr_t), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    words_ = {static_cast<std::uintptr_t*>(memory), most + 1};
    current = this;
  }
  trace(const trace&) = delete;
  trace& operator=(const trace&) = delete;
  ~trace() {
    current = nullptr;
    munmap(words_.data(), words_.size_bytes());
  }

  static inline const trace* current = nullptr;

  std::span<std::uintptr_t> words() const { return words_; }
  std::vector<std::uintptr_t> found() const {
    EXPECT_LE(words_[0], most);
    const auto used = words_.subspan(1, std::min(words_[0], most));
    return {used.begin(), used.end()};
  }
  // Of who is to die: whether its moment has come.
  void forget() const { words_[0] = 0; }
  bool has_come() const { return words_[0] != 0; }

 private:
  std::span<std::uintptr_t> words_;
};

inline void follow(const orders& given) {
  const std::span<std::uintptr_t> words = trace::current->words();
  // It goes through /proc, in long loops.
  counting::skip(reinterpret_cast<std::uintptr_t>(&shard::os::control_groups));
  if (given.what == orders::record) counting::record_from_here(words);
  if (given.what == orders::die) {
    counting::interrupt_from_here(given.when, given.by, words.data());
  }
  keeps_traps = given.what != orders::nothing;
}

inline void follow_orders() {
  follow(next);
  next.what = orders::nothing;  // for this process and those that it forks
}

// The program's own: this executable, and the library, if that is not linked into it.
inline std::vector<std::uintptr_t> own_of(std::vector<std::uintptr_t> trace) {
  struct text {
    std::uintptr_t first = 0;
    std::uintptr_t last = 0;
  };
  std::vector<text> own;
  dl_iterate_phdr(
      [](dl_phdr_info* module, std::size_t, void* given) {
        auto& all = *static_cast<std::vector<text>*>(given);
        const std::string_view name = module->dlpi_name;
        if (!all.empty() && name.find("libshard.so") == name.npos) return 0;
        for (int k = 0; k < module->dlpi_phnum; ++k) {  // the first module is the program
          const auto& part = module->dlpi_phdr[k];
          if (part.p_type != PT_LOAD || (part.p_flags & PF_X) == 0) continue;
          const std::uintptr_t first = module->dlpi_addr + part.p_vaddr;
          all.push_back({first, first + part.p_memsz});
        }
        return 0;
      },
      &own);
  std::erase_if(trace, [&](std::uintptr_t at) {
    return std::ranges::none_of(
        own, [at](const text& each) { return at >= each.first && at < each.last; });
  });
  return trace;
}

// ---- Forks of this process and of those that it makes: who they are is told by their order.

struct forks {
  pid_t caller = 0;
  bool follows = false;  // the orders are for this family's supervisor, or standby
  bool standby = false;
  int made = 0;
};
inline forks family_tree;

inline void before_a_fork() { counting::pause_recording(); }
inline void after_a_fork() {
  counting::go_on_recording();
  if (!family_tree.follows || getpid() == family_tree.caller) return;
  // A supervisor: its first fork was its standby, the second one its worker.
  if (++family_tree.made == 2 && !family_tree.standby) {
    family_tree.follows = false;
    follow_orders();
  }
}
inline void in_the_child() {
  if (!family_tree.follows) return;
  const bool is_standby = family_tree.made == 0;
  family_tree.follows = false;
  if (is_standby && family_tree.standby) {
    follow_orders();
  } else {
    next.what = orders::nothing;
  }
}

// While it is there, the supervisor of a family that is started follows the orders from its first
// worker on, or its standby from its beginning.
class forks_are_followed {
 public:
  explicit forks_are_followed(bool standby) {
    static const int once = pthread_atfork(before_a_fork, after_a_fork, in_the_child);
    static_cast<void>(once);
    family_tree = {getpid(), true, standby, 0};
  }
  forks_are_followed(const forks_are_followed&) = delete;
  forks_are_followed& operator=(const forks_are_followed&) = delete;
  ~forks_are_followed() { family_tree.follows = false; }
};

}  // namespace shard_test

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
// Takes the place of the C library's.
extern "C" [[gnu::used]] inline int sigaction(int signal, const struct sigaction* how,
                                              struct sigaction* before) noexcept {
  using function = int (*)(int, const struct sigaction*, struct sigaction*);
  static const auto real = reinterpret_cast<function>(dlsym(RTLD_NEXT, "sigaction"));
  return signal == SIGTRAP && shard_test::keeps_traps ? 0 : real(signal, how, before);
}
#endif
