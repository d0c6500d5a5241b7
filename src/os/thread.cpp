#include "os/thread.hpp"

#include <pthread.h>

#include <algorithm>
#include <climits>
#include <memory>
#include <type_traits>

#include "os/calls.hpp"

namespace shard::os {
namespace {

static_assert(std::is_same_v<pthread_t, unsigned long>);

// SIGPROF is sent to whichever thread runs, by profilers.
sigset_t signals_of_others() noexcept {
  sigset_t all;
  ::sigfillset(&all);
  for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF}) {
    ::sigdelset(&all, own);
  }
  return all;
}

struct start {
  void (*body)(void*);
  void* context;
};

}  // namespace

thread::thread(std::size_t stack_bytes, void (*body)(void* context), void* context) {
  constexpr std::size_t page = 4096;
  constexpr std::size_t least = std::size_t{256} << 10;  // some are thread_local variables
  auto what = std::make_unique<start>(start{body, context});
  pthread_attr_t how;
  ::pthread_attr_init(&how);
  ::pthread_attr_setstacksize(&how, std::max(stack_bytes / page * page, least));
  // So that no signal finds it unblocked, it begins with the mask.
  const sigset_t blocked = signals_of_others();
  sigset_t before;
  ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const int error = ::pthread_create(
      &id_, &how,
      [](void* given) -> void* {
        const start here = *static_cast<start*>(given);
        delete static_cast<start*>(given);
        here.body(here.context);
        return nullptr;
      },
      what.get());
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::pthread_attr_destroy(&how);
  if (error != 0) throw call_failed(error, "clone");
  static_cast<void>(what.release());
}

thread::~thread() { ::pthread_join(id_, nullptr); }

void block_signals(const sigset_t& these) noexcept {
  ::pthread_sigmask(SIG_SETMASK, &these, nullptr);
}

void block_signals_of_others() noexcept {
  const sigset_t all = signals_of_others();
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

}  // namespace shard::os
