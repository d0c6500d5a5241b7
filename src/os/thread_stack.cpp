#include "os/thread_stack.hpp"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace shard::os {

std::size_t own_stack_bytes() noexcept {
  constexpr std::size_t ample = std::size_t{64} << 20;
  // The first thread's stack grows as far as the limit says, which may have been changed since.
  if (::syscall(SYS_gettid) == ::getpid()) {
    rlimit limit{};
    const bool limited = ::getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
    return limited ? limit.rlim_cur : ample;
  }
  pthread_attr_t found;
  if (::pthread_getattr_np(::pthread_self(), &found) != 0) return ample;
  std::size_t bytes = ample;
  ::pthread_attr_getstacksize(&found, &bytes);
  ::pthread_attr_destroy(&found);
  return bytes;
}

}  // namespace shard::os
