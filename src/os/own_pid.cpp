#include "os/own_pid.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <new>

namespace shard::os {
namespace {

// Zero at first, and again in every child that has memory of its own: madvise(2), MADV_WIPEONFORK.
// pthread_atfork(3) would miss the children of clone(2). Null, where the system lacks that. Some
// emulators (older ones of QEMU) say yes to whatever they are advised, and do nothing: those say
// yes to an advice that doesn't exist, too.
std::atomic<pid_t>* word_that_children_lack() noexcept {
  constexpr std::size_t bytes = sizeof(std::atomic<pid_t>);  // the system takes a page
  constexpr int no_advice = -1;
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  if (::madvise(memory, bytes, no_advice) != 0 && ::madvise(memory, bytes, MADV_WIPEONFORK) == 0) {
    return new (memory) std::atomic<pid_t>(0);
  }
  ::munmap(memory, bytes);
  return nullptr;
}

// Not inside the function: a thread may fork while another one's first call makes it, and then the
// child would wait for that one for ever. Null until it is there.
std::atomic<pid_t>* const kept = word_that_children_lack();

}  // namespace

pid_t own_pid() noexcept {
  if (kept == nullptr) return ::getpid();
  pid_t own = kept->load(std::memory_order_relaxed);
  if (own == 0) kept->store(own = ::getpid(), std::memory_order_relaxed);
  return own;
}

pid_t own_thread() noexcept { return static_cast<pid_t>(::syscall(SYS_gettid)); }

}  // namespace shard::os
